"""What is exported computes what the GAN computes, without gan_keras and without Keras, and refuses what it cannot."""

import importlib.util
import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from helpers import environment, needs, tiny_gan, tiny_images
from PIL import Image

from gan_keras import networks, plots, recipes, serving
from gan_keras_scripts import serve


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A GAN with a moving average, and its export."""
    gan = tiny_gan(ema=0.5)
    gan.fit(tiny_images(), batch_size=8, epochs=1, verbose=0)
    return gan, serving.export(gan, tmp_path_factory.mktemp("export") / "plain", card="# card")


# The SavedModel.


def test_the_folder_is_what_servers_expect(plain):
    _, path = plain
    assert path.name == "1" and {p.name for p in path.parent.iterdir()} == {"1"}
    assert {"saved_model.pb", "variables", "signatures.json", "model_card.md"} <= {p.name for p in path.iterdir()}
    described = json.loads((path / "signatures.json").read_text())
    assert described["value_range"] == [-1.0, 1.0] and described["num_classes"] is None
    assert described["latents"] == {"z": {"call": "Normal", "size": 8, "stddev": 1.0}}
    assert described["endpoints"]["serving_default"] == {
        "inputs": {"z": {"dtype": "float32", "shape": [None, 8]}},
        "outputs": {"images": {"dtype": "float32", "shape": [None, 8, 8, 1]}},
    }
    assert set(described["endpoints"]["generate"]["inputs"]) == {"seed", "n"}
    assert set(described["endpoints"]["discriminate"]["outputs"]) == {"logits", "probability"}


def what_it_makes(gan):
    """Arrays to compare with: samples, images of latents, and scores."""
    z = gan.latents(4)[:70]
    label = np.arange(70, dtype="int32") % 3
    arrays = {"z": z.numpy(), "label": label}
    for n in (1, 31, 33, 64, 256):
        arrays[f"sample_{n}"] = gan.sample(n, seed=7)
    for n in (1, 3, 64, 70):
        some = [z[:n], label[:n]] if gan.conditional else z[:n]
        # Compiled, as fit and predict run it. Eagerly TensorFlow rounds some layers otherwise.
        arrays[f"call_{n}"] = gan.predict_on_batch(some)
        assert np.allclose(arrays[f"call_{n}"], gan(some), atol=1e-6)
    images = gan.sample(9, seed=3)
    arrays["images"] = images
    scored = [images, label[:9]] if gan.conditional else images
    arrays["scores"] = gan.discriminator.predict_on_batch(scored)[:, 0]
    return arrays


def test_without_keras_it_gives_the_same_bytes(plain, conditional, tmp_path):
    arguments = []
    for kind, (gan, path) in (("plain", plain), ("conditional", conditional)):
        np.savez(tmp_path / f"{kind}.npz", **what_it_makes(gan))
        arguments += [path, tmp_path / f"{kind}.npz"]
    command = [sys.executable, "-c", _FOREIGN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["11", "11"]


_FOREIGN = """
import sys
import numpy as np
import tensorflow as tf

class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "gan_keras"):
            raise ImportError(name)

for name in [name for name in sys.modules if name.split(".")[0] in ("keras", "gan_keras")]:
    del sys.modules[name]
sys.meta_path.insert(0, Barred())


def count_the_same(path, arrays, conditional):
    call = tf.saved_model.load(path).signatures
    same = 0
    label = {"label": tf.constant(-1)} if conditional else {}
    labels = lambda n: {"label": tf.constant(arrays["label"][:n])} if conditional else {}
    for name in arrays.files:
        what, _, n = name.partition("_")
        if what == "sample":
            made = call["generate"](seed=tf.constant(7, tf.int64), n=tf.constant(int(n)), **label)["images"]
        elif what == "call":
            made = call["serving_default"](z=tf.constant(arrays["z"][: int(n)]), **labels(int(n)))["images"]
        elif what == "scores":
            told = call["discriminate"](images=tf.constant(arrays["images"]), **labels(9))
            made = told["logits"]
            assert np.allclose(told["probability"], 1 / (1 + np.exp(-arrays["scores"].astype("float64"))))
        else:
            continue
        assert made.numpy().tobytes() == arrays[name].tobytes(), name
        same += 1
    again = [call["generate"](seed=tf.constant(5, tf.int64), n=tf.constant(3), **label)["images"].numpy() for _ in "ab"]
    assert (again[0] == again[1]).all()
    return same + 1


for path, expected, conditional in zip(sys.argv[1::2], sys.argv[2::2], (False, True)):
    with np.load(expected) as arrays:
        print(count_the_same(path, arrays, conditional))
"""


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_gan_in_16_bits_is_exported_as_it_computes(policy, tmp_path):
    with networks.precision(policy):
        gan = tiny_gan()
    model = tf.saved_model.load(str(serving.export(gan, tmp_path / "model")))
    made = model.signatures["generate"](seed=tf.constant(3, tf.int64), n=tf.constant(40))["images"]
    assert made.dtype == tf.float32 and (made.numpy() == gan.sample(40, seed=3)).all()


def test_png_files_are_the_images(plain):
    gan, path = plain
    model = tf.saved_model.load(str(path))
    files = model.signatures["generate_png"](seed=tf.constant(2, tf.int64), n=tf.constant(5))["image_bytes"].numpy()
    shown = np.stack([np.asarray(Image.open(io.BytesIO(file)))[..., np.newaxis] for file in files])
    assert (shown == plots.to_uint8(gan.sample(5, seed=2), (-1, 1))).all() and shown.std() > 1


def test_a_part_that_stands_for_the_label_is_drawn_as_often_as_it_was_seen(tmp_path):
    gan = tiny_gan(num_classes=3, clustered=True)
    gan.fit(tiny_images(), np.repeat([0, 2, 2, 2], 12), batch_size=24, verbose=0)
    version = serving.export(gan, tmp_path / "kinds")
    described = json.loads((version / "signatures.json").read_text())
    assert described["latents"]["kind"] == {"call": "Categorical", "size": 3, "shares": [0.25, 0.0, 0.75]}
    assert "shares" not in described["latents"]["z"] and set(described["endpoints"]["serving_default"]["inputs"]) == {"z"}
    loaded = tf.saved_model.load(str(version)).signatures
    seed, n, free = tf.constant(3, tf.int64), tf.constant(40), np.float32(np.nan)
    assert (loaded["generate"](seed=seed, n=n)["images"].numpy() == gan.sample(40, seed=3)).all()
    for given, fixed in (({}, tf.fill((3,), free)), ({"kind": 1}, tf.constant([0.0, 1.0, 0.0]))):
        parts = {"z": tf.fill((5,), free), "kind": fixed}
        made = loaded["generate_with_parts"](seed=seed, n=n, **parts)["images"].numpy()
        assert (made == gan.sample(40, seed=3, **given)).all()
        files = loaded["generate_png_with_parts"](seed=seed, n=n, **parts)["image_bytes"].numpy()
        assert (np.array(tf.io.decode_png(files[0])) == plots.to_uint8(made[0], gan.value_range)).all()
    images = gan.sample(4)
    scores = loaded["discriminate"](images=images, label=tf.constant([0, 1, 2, 2]))["logits"].numpy()
    assert scores == pytest.approx(gan.discriminator.predict([images, np.array([0, 1, 2, 2])], verbose=0)[:, 0], abs=1e-5)


def test_labels_choose_the_class(conditional):
    gan, path = conditional
    model = tf.saved_model.load(str(path))

    def images(label):
        return model.signatures["generate"](seed=tf.constant(2, tf.int64), n=tf.constant(6), label=tf.constant(label))["images"]

    assert (images(2).numpy() == gan.sample(6, seed=2, labels=2)).all()
    assert (images(-1).numpy() == gan.sample(6, seed=2)).all()
    assert np.abs(images(1) - images(2)).max() > 0


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"n": 0}, "n must be from 1 to 256"),
        ({"n": -3}, "n must be from 1 to 256"),
        ({"n": 257}, "n must be from 1 to 256"),
        ({"n": 2**31 - 1}, "n must be from 1 to 256"),
        ({"seed": -1}, "seed must be from 0"),
        ({"seed": 2**31}, "seed must be from 0"),
        ({"label": 3}, "label must be from 0 to 2"),
        ({"label": -2}, "label must be from 0 to 2"),
    ],
)
def test_the_bounds_are_in_the_graph(wrong, message, conditional):
    _, path = conditional
    model = tf.saved_model.load(str(path))
    given = {"seed": 1, "n": 2, "label": 0, **wrong}
    types = {"seed": tf.int64, "n": tf.int32, "label": tf.int32}
    for endpoint in ("generate", "generate_png"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            model.signatures[endpoint](**{key: tf.constant(value, types[key]) for key, value in given.items()})


@pytest.mark.parametrize("label", [-1, 3])
@pytest.mark.parametrize("endpoint", ["serving_default", "discriminate"])
def test_the_labels_of_rows_are_checked_in_the_graph(endpoint, label, conditional):
    _, path = conditional
    function = tf.saved_model.load(str(path)).signatures[endpoint]
    specs = function.structured_input_signature[1]
    given = {key: tf.zeros([2 if n is None else n for n in spec.shape], spec.dtype) for key, spec in specs.items()}
    function(**given)
    with pytest.raises(tf.errors.InvalidArgumentError, match="label must be from 0 to 2"):
        function(**{**given, "label": tf.constant([0, label])})


def test_a_loss_without_probabilities_and_points_have_fewer_outputs(tmp_path):
    gan = tiny_gan(loss="wasserstein", regularizers="gradient_penalty")
    described = json.loads((serving.export(gan, tmp_path / "critic") / "signatures.json").read_text())["endpoints"]
    assert set(described["discriminate"]["outputs"]) == {"logits"}
    ring = recipes.get("ring").build()
    described = json.loads((serving.export(ring, tmp_path / "ring") / "signatures.json").read_text())["endpoints"]
    assert set(described) == {"serving_default", "generate", "discriminate"}


def test_every_export_is_the_next_version(tmp_path):
    gan, folder = tiny_gan(), tmp_path / "model"
    assert serving.export(gan, folder, card="old") == folder / "1"
    assert serving.export(gan, folder, card="new") == folder / "2"
    assert [(folder / name / "model_card.md").read_text() for name in "12"] == ["old", "new"]
    (folder / "2").rename(folder / "9")
    assert serving.export(gan, folder) == folder / "10"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "10", "9"]
    assert serve.Endpoints(folder).path == folder / "10"
    with pytest.raises(ValueError, match="Did you mean 'savedmodel'"):
        serving.export(gan, tmp_path / "other", format="saved_model")
    assert not (tmp_path / "other").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="Cannot write to .*model: Not a directory. Choose another folder"):
        serving.export(gan, tmp_path / "file" / "model")


def test_exports_at_once_are_two_whole_versions(tmp_path, monkeypatch):
    gan, folder = tiny_gan(), tmp_path / "model"
    replace, others = os.replace, ["other"]

    def late(source, target):  # another process publishes between the choice of a number and the rename
        if others:
            serving.export(gan, folder, card=others.pop())
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    assert serving.export(gan, folder, card="mine") == folder / "2"
    assert [(folder / name / "model_card.md").read_text() for name in "12"] == ["other", "mine"]
    for path in folder.iterdir():
        tf.saved_model.load(str(path)).signatures["serving_default"]
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]


def test_a_folder_holds_versions_of_one_format(plain):
    gan, path = plain
    with pytest.raises(ValueError, match="1 is an export in another format, 'savedmodel'.*choose another folder"):
        serving.export(gan, path.parent, format="litert")
    assert [p.name for p in path.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("format, packages", [("onnx", "tf2onnx and onnx"), ("openvino", "openvino")])
def test_absent_packages_are_named(format, packages, tmp_path, monkeypatch):
    gan = tiny_gan()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=f"needs {packages}; not installed: pip install {packages.replace(' and', '')}$"):
        serving.export(gan, tmp_path / "model", format=format)
    assert not (tmp_path / "model").exists()


def test_an_export_that_fails_at_the_last_moment_leaves_nothing(tmp_path, monkeypatch):
    gan, folder = tiny_gan(), tmp_path / "model"
    serving.export(gan, folder)

    def fail(source, target):
        raise OSError("no space left")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space left"):
        patched.setattr(os, "replace", fail)
        serving.export(gan, folder)
    assert [path.name for path in folder.iterdir()] == ["1"]
    assert serving.export(gan, folder) == folder / "2"


@pytest.mark.slow
def test_killed_at_any_moment_no_half_written_version_stays(tmp_path):
    code = "from gan_keras import serving; gan = tiny_gan(); print('ready', flush=True)\n"
    code += f"while True: serving.export(gan, {str(tmp_path / 'model')!r})"
    rng = np.random.default_rng(0)
    whole = set()
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", "from helpers import *\n" + code],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline().strip() == "ready"
        time.sleep(rng.uniform(0.2, 4))
        process.kill()
        process.communicate()
        for version in set((tmp_path / "model").glob("[0-9]*")) - whole:
            tf.saved_model.load(str(version)).signatures["serving_default"]
            whole.add(version)
    assert len(whole) >= 3, "the kills fell after some exports"
    for leftover in (tmp_path / "model").glob(".*"):
        os.utime(leftover, (0, 0))  # removed when a day old
    whole.add(serving.export(tiny_gan(), tmp_path / "model"))
    assert set((tmp_path / "model").iterdir()) == whole


# Other runtimes.


@pytest.fixture(scope="module")
def default_gan():
    return recipes.get("default").build()


@needs("openvino")
@pytest.mark.filterwarnings("ignore")  # of the other project
@pytest.mark.parametrize("format", ["savedmodel", "openvino"])
def test_openvino_agrees(format, default_gan, tmp_path):
    import openvino

    path = serving.export(default_gan, tmp_path / "model", format=format)
    core = openvino.Core()
    read = core.read_model(path / "model.xml" if format == "openvino" else path)
    # Where the processor has bfloat16, OpenVINO computes in it unless it is told not to.
    model = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for n in (1, 3, 64):
        z = default_gan.latents(1)[:n]
        assert np.abs(model(z.numpy())[0] - default_gan(z).numpy()).max() < 1e-5


@needs("tf2onnx", "onnx")
@pytest.mark.filterwarnings("ignore")  # of the other project
@pytest.mark.parametrize("num_classes", [None, 3])
def test_a_gan_that_has_made_nothing_yet_is_exported_to_onnx(num_classes, tmp_path):
    assert (serving.export(tiny_gan(ema=0.9, num_classes=num_classes), tmp_path, format="onnx") / "model.onnx").exists()


@needs("tf2onnx", "onnx", "onnxruntime")
@pytest.mark.filterwarnings("ignore")  # of the other project
def test_onnx_runtime_agrees(default_gan, tmp_path):
    import onnxruntime

    path = serving.export(default_gan, tmp_path / "model", format="onnx")
    session = onnxruntime.InferenceSession(path / "model.onnx", providers=["CPUExecutionProvider"])
    for n in (1, 3, 64):
        z = default_gan.latents(1)[:n]
        made = session.run(None, {session.get_inputs()[0].name: z.numpy()})[0]
        assert np.abs(made - default_gan(z).numpy()).max() < 1e-5


@needs("ai_edge_litert")
@pytest.mark.filterwarnings("ignore")  # of the other project
def test_litert_agrees(default_gan, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path = serving.export(default_gan, tmp_path / "model", format="litert")
    interpreter = Interpreter(str(path / "model.tflite"))
    (taken,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    for n in (1, 3, 64):
        z = default_gan.latents(1)[:n]
        interpreter.resize_tensor_input(taken["index"], z.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(taken["index"], z.numpy())
        interpreter.invoke()
        assert np.abs(interpreter.get_tensor(made["index"]) - default_gan(z).numpy()).max() < 1e-5
