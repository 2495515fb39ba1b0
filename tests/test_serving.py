"""What is exported computes what the GAN computes, without gan_keras and without Keras, and refuses what it cannot."""

import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
import serve
import tensorflow as tf
from conftest import SCRIPTS, environment, tiny_gan, tiny_images
from PIL import Image

from gan_keras import networks, plots, recipes, serving


def needs(*packages):
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}, an optional extra")


web = needs("starlette", "uvicorn")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A GAN with a moving average, and its export."""
    gan = tiny_gan(ema=0.5)
    gan.fit(tiny_images(), batch_size=8, epochs=1, verbose=0)
    return gan, serving.export(gan, tmp_path_factory.mktemp("export") / "plain", card="# card")


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    gan = tiny_gan(num_classes=3)
    return gan, serving.export(gan, tmp_path_factory.mktemp("export") / "conditional")


# The SavedModel.


def test_the_folder_is_what_servers_expect(plain):
    _, path = plain
    assert path.name == "1" and {p.name for p in path.parent.iterdir()} == {"1"}
    assert {"saved_model.pb", "variables", "signatures.json", "model_card.md"} <= {p.name for p in path.iterdir()}
    described = json.loads((path / "signatures.json").read_text())
    assert described["value_range"] == [-1.0, 1.0] and described["num_classes"] is None
    assert described["endpoints"]["serving_default"] == {
        "inputs": {"z": {"dtype": "float32", "shape": [None, 8]}},
        "outputs": {"images": {"dtype": "float32", "shape": [None, 8, 8, 1]}},
    }
    assert set(described["endpoints"]["generate"]["inputs"]) == {"seed", "n"}
    assert set(described["endpoints"]["discriminate"]["outputs"]) == {"logits", "probability"}


@pytest.mark.parametrize("kind", ["plain", "conditional"])
def test_without_keras_it_gives_the_same_bytes(kind, request, tmp_path):
    gan, path = request.getfixturevalue(kind)
    z = gan.latents(4)[:70]
    label = np.arange(70, dtype="int32") % 3
    arrays = {"z": z.numpy(), "label": label}
    for n in (1, 31, 33, 64, 256):
        arrays[f"sample_{n}"] = gan.sample(n, seed=7)
    for n in (1, 3, 64, 70):
        some = z[:n] if kind == "plain" else [z[:n], label[:n]]
        # Compiled, as fit and predict run it. Eagerly TensorFlow rounds some layers otherwise.
        arrays[f"call_{n}"] = gan.predict_on_batch(some)
        assert np.allclose(arrays[f"call_{n}"], gan(some), atol=1e-6)
    images = gan.sample(9, seed=3)
    arrays["images"] = images
    scored = images if kind == "plain" else [images, label[:9]]
    arrays["scores"] = gan.discriminator.predict_on_batch(scored)[:, 0]
    np.savez(tmp_path / "expected.npz", **arrays)
    done = subprocess.run(
        [sys.executable, "-c", _FOREIGN, path, tmp_path / "expected.npz", kind],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["11"]


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
path, expected, kind = sys.argv[1:]
model = tf.saved_model.load(path)
call = model.signatures
same = 0
with np.load(expected) as arrays:
    label = {} if kind == "plain" else {"label": tf.constant(-1)}
    labels = lambda n: {} if kind == "plain" else {"label": tf.constant(arrays["label"][:n])}
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
    same += 1
print(same)
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


def test_labels_choose_the_class(conditional):
    gan, path = conditional
    model = tf.saved_model.load(str(path))

    def images(label):
        return model.signatures["generate"](seed=tf.constant(2, tf.int64), n=tf.constant(6), label=tf.constant(label))[
            "images"
        ]

    assert (images(2).numpy() == gan.sample(6, seed=2, labels=2)).all()
    assert (images(-1).numpy() == gan.sample(6, seed=2)).all()
    assert np.abs(images(1) - images(2)).max() > 0


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"n": 0}, "n must lie from 1 to 256"),
        ({"n": -3}, "n must lie from 1 to 256"),
        ({"n": 257}, "n must lie from 1 to 256"),
        ({"n": 2**31 - 1}, "n must lie from 1 to 256"),
        ({"seed": -1}, "seed must lie from 0"),
        ({"seed": 2**31}, "seed must lie from 0"),
        ({"label": 3}, "label must lie from 0 to 2"),
        ({"label": -2}, "label must lie from 0 to 2"),
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
    with pytest.raises(tf.errors.InvalidArgumentError, match="label must lie from 0 to 2"):
        function(**{**given, "label": tf.constant([0, label])})


def test_a_loss_without_probabilities_and_points_have_fewer_outputs(tmp_path):
    gan = tiny_gan(loss="wasserstein", regularizers="gradient_penalty")
    described = json.loads((serving.export(gan, tmp_path / "critic") / "signatures.json").read_text())["endpoints"]
    assert set(described["discriminate"]["outputs"]) == {"logits"}
    ring = recipes.get("ring").build()
    described = json.loads((serving.export(ring, tmp_path / "ring") / "signatures.json").read_text())["endpoints"]
    assert set(described) == {"serving_default", "generate", "discriminate"}


def test_an_export_is_refused_or_replaces(tmp_path):
    gan = tiny_gan()
    first = serving.export(gan, tmp_path / "model")
    before = (first / "saved_model.pb").read_bytes()
    with pytest.raises(ValueError, match="exists.*overwrite"):
        serving.export(gan, tmp_path / "model")
    with pytest.raises(ValueError, match="Did you mean 'savedmodel'"):
        serving.export(gan, tmp_path / "other", format="saved_model")
    assert (first / "saved_model.pb").read_bytes() == before and not (tmp_path / "other").exists()
    serving.export(gan, tmp_path / "model", card="new", overwrite=True)
    assert (first / "model_card.md").read_text() == "new" and [p.name for p in (tmp_path / "model").iterdir()] == ["1"]


@pytest.mark.parametrize("format, packages", [("onnx", "tf2onnx and onnx"), ("openvino", "openvino and scipy")])
def test_absent_packages_are_named(format, packages, tmp_path, monkeypatch):
    gan = tiny_gan()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=rf"needs {packages}; not installed.*\[{format}\]"):
        serving.export(gan, tmp_path / "model", format=format)
    assert not (tmp_path / "model").exists()


def test_an_export_that_fails_at_the_last_moment_keeps_the_old_one(tmp_path, monkeypatch):
    gan = tiny_gan()
    serving.export(gan, tmp_path / "model", card="old")
    rename = os.rename

    def fail(source, target):
        if str(source).endswith(".building"):
            raise OSError("no space left")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="no space left"):
        serving.export(gan, tmp_path / "model", card="new", overwrite=True)
    assert (tmp_path / "model" / "1" / "model_card.md").read_text() == "old"
    monkeypatch.undo()
    rename(tmp_path / "model" / "1", tmp_path / "model" / ".old")  # killed there
    serving.export(gan, tmp_path / "model", card="new", overwrite=True)
    assert (tmp_path / "model" / "1" / "model_card.md").read_text() == "new"
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["1"]


@pytest.mark.slow
def test_killed_at_any_moment_no_half_written_version_stays(tmp_path):
    code = "from gan_keras import serving; gan = tiny_gan(); print('ready', flush=True)\n"
    code += f"while True: serving.export(gan, {str(tmp_path / 'model')!r}, overwrite=True)"
    rng = np.random.default_rng(0)
    whole = 0
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", "from conftest import *\n" + code],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline().strip() == "ready"
        time.sleep(rng.uniform(0.2, 4))
        process.kill()
        process.communicate()
        if (tmp_path / "model" / "1").exists():
            tf.saved_model.load(str(tmp_path / "model" / "1")).signatures["serving_default"]
            whole += 1
    assert whole >= 3, "the kills fell after some exports"
    serving.export(tiny_gan(), tmp_path / "model", overwrite=True)
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["1"]


# Other runtimes.


@pytest.fixture(scope="module")
def default_gan():
    return recipes.get("default").build()


@needs("openvino", "scipy")
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


# Requests, as the server answers them, and the server itself.


@pytest.fixture(scope="module")
def endpoints(conditional):
    return serve.Endpoints(conditional[1].parent)


@pytest.mark.parametrize("damaged", ["variables/variables.data-00000-of-00001", "signatures.json", "saved_model.pb"])
def test_a_damaged_export_is_refused(damaged, conditional, tmp_path, capsys):
    shutil.copytree(conditional[1], tmp_path / "1")
    (tmp_path / "1" / damaged).write_bytes(b"")
    assert serve.main([str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert serve.main([str(tmp_path / "1")]) == 2
    assert "Give the folder above it" in capsys.readouterr().err


def test_columns_and_rows(endpoints, conditional):
    gan, _ = conditional
    z = gan.latents(1)[:2].numpy()
    columns = endpoints.answer({"inputs": {"z": z.tolist(), "label": [0, 2]}})["outputs"]
    rows = endpoints.answer({"instances": [{"z": z[k].tolist(), "label": label} for k, label in enumerate([0, 2])]})
    assert columns == rows["predictions"] and np.shape(columns) == (2, 8, 8, 1)
    assert np.allclose(columns, gan([z, np.array([0, 2])]), atol=1e-6)
    request = {"signature_name": "generate_png", "inputs": {"seed": 1, "n": 2, "label": -1}}
    assert [set(file) for file in endpoints.answer(request)["outputs"]] == [{"b64"}] * 2
    told = endpoints.answer({"signature_name": "discriminate", "instances": [{"images": columns[0], "label": 0}]})
    assert set(told["predictions"][0]) == {"logits", "probability"}


@pytest.mark.parametrize(
    "request_, message",
    [
        (b"raw", 'either "inputs"'),
        ({}, 'either "inputs"'),
        ({"inputs": {}, "instances": []}, 'either "inputs"'),
        ({"inputs": {"z": [[0.0] * 8]}}, "takes label, z"),
        ({"inputs": {"z": [[0.0] * 9], "label": [0]}}, r"shape \[-1, 8\]. Received: shape \[1, 9\]"),
        ({"inputs": {"z": [[0.0] * 8, [0.0]], "label": [0, 1]}}, "unequal lengths"),
        ({"inputs": {"z": [["a"] * 8], "label": [0]}}, "must be float32"),
        ({"inputs": {"z": ["a" * 10**6] + ["b"] * 10**6, "label": [0]}}, "must be float32"),  # 4 TB as numpy's strings
        ({"inputs": {"z": [[10**400] * 8], "label": [0]}}, "too large"),
        ({"inputs": {"z": json.loads("[" * 70 + "]" * 70), "label": [0]}}, "shape"),
        ({"inputs": {"z": [[float("nan")] * 8], "label": [0]}}, "not finite"),
        ({"inputs": {"z": [[1e300] * 8], "label": [0]}}, "too large"),
        ({"inputs": {"z": [[0.0] * 8], "label": [3]}}, "label must lie from 0 to 2"),
        ({"inputs": {"z": [[0.0] * 8], "label": [-1]}}, "label must lie from 0 to 2"),
        ({"inputs": {"z": [[0.0] * 8], "label": [0.5]}}, "label must be int32"),
        ({"inputs": {"z": [[0.0] * 8], "label": [0, 1]}}, "as many rows"),
        ({"inputs": {"z": [], "label": []}}, "1 to 1,024 rows"),
        ({"inputs": {"z": [[0.0] * 8] * 2000, "label": [0] * 2000}}, "1 to 1,024 rows"),
        ({"instances": 3}, "a list of one row"),
        ({"instances": [{"z": [0.0] * 8}, {"label": 1}]}, "same names"),
        ({"signature_name": "serve", "inputs": {}}, "no endpoint 'serve'"),
        ({"signature_name": [], "inputs": {}}, "no endpoint"),
        ({"signature_name": "generate", "instances": [{"seed": 1, "n": 1, "label": 0}]}, "takes no rows"),
        ({"signature_name": "generate", "inputs": {"seed": 1, "n": -1, "label": 0}}, "n must lie from 1 to 256"),
        ({"signature_name": "generate", "inputs": {"seed": 1, "n": 10**9, "label": 0}}, "n must lie from 1 to 256"),
        ({"signature_name": "generate", "inputs": {"seed": 1, "n": 10**30, "label": 0}}, "n must be int32"),
        ({"signature_name": "generate", "inputs": {"seed": -1, "n": 1, "label": 0}}, "seed must lie"),
        ({"signature_name": "generate", "inputs": {"seed": True, "n": 1, "label": 0}}, "seed must be int64"),
    ],
)
def test_nonsense_is_refused(request_, message, endpoints):
    with pytest.raises(serve.Refused, match=message):
        endpoints.answer(request_)


def test_a_folder_without_an_export_is_refused(tmp_path, capsys):
    assert serve.main([str(tmp_path)]) == 2
    assert "holds no exported SavedModel" in capsys.readouterr().err


@contextlib.contextmanager
def running(folder):
    """scripts/serve.py on a port of its choice: the address that it prints, and its process."""
    process = subprocess.Popen(
        [sys.executable, SCRIPTS / "serve.py", folder, "--port", "0", "--name", "digits"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = next((line for line in process.stdout if line.startswith("Listens")), None)
        assert line, process.stderr.read()
        yield line.split()[1], process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(conditional):
    with running(conditional[1].parent) as started:
        yield started


def ask(address, path, body=None, method=None):
    """Status and JSON of an answer; a body that is not bytes is sent as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{address}{path}", data, method=method)) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@web
def test_over_http(server, conditional):
    address, _ = server
    gan, _ = conditional
    path = "/v1/models/digits:predict"
    status, answer = ask(address, path, {"signature_name": "generate", "inputs": {"seed": 5, "n": 3, "label": 1}})
    assert status == 200 and np.abs(np.array(answer["outputs"]) - gan.sample(3, seed=5, labels=1)).max() < 1e-6
    for code, wrong, message in [
        (400, {"inputs": {"z": [[0.0] * 9], "label": [0]}}, "shape"),
        (400, {"signature_name": "generate", "inputs": {"seed": 1, "n": -1, "label": 0}}, "n must lie"),
        (400, {"signature_name": "generate", "inputs": {"seed": 1, "n": 10**8, "label": 0}}, "n must lie"),
        (400, {"signature_name": "generate", "inputs": {"seed": 1, "n": 1, "label": 10}}, "label must lie"),
        (400, {"signature_name": "x" * 10**5, "inputs": {}}, "no endpoint"),
        (400, [1, 2], "inputs"),
        (400, b"", "not JSON"),
        (400, b"{'inputs'", "not JSON"),
        (400, b"\xff\xfe\xfd", "not JSON"),
        (400, b"[" * 10**6, "not JSON"),
        (400, b"1" * 10**4, "not JSON"),
        (413, b" " * (serve.MAX_BYTES + 1), "at most"),
    ]:
        status, answer = ask(address, path, wrong)
        assert status == code and message in answer["error"], (str(wrong)[:99], status, answer)
        assert len(answer["error"]) <= 500
    status, answer = ask(address, "/v1/models/digits")
    assert status == 200 and [version["state"] for version in answer["model_version_status"]] == ["AVAILABLE"]
    with urllib.request.urlopen(f"{address}/demo") as response:
        assert b"Walk between two latents" in response.read()


@web
def test_what_the_docs_do_not_name_is_not_found(server):
    address, process = server
    for method, path in [
        ("POST", "/v2/repository/models/digits/unload"),
        ("POST", "/v2/repository/models/digits/load"),
        ("POST", "/v2/repository/index"),
        ("GET", "/v2/models/digits"),
        ("POST", "/v2/models/digits/infer"),
        ("POST", "/v1/models/digits:explain"),
        ("POST", "/v1/models/other:predict"),
        ("GET", "/v1/models/other"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/digits/"),
        ("GET", "/demo/"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/"),
        ("GET", "/../setup.cfg"),
    ]:
        status, answer = ask(address, path, method=method)
        assert status == 404 and "/v1/models/digits:predict" in answer["error"], (path, status, answer)
    assert ask(address, "/v1/models/digits:predict", method="GET")[0] == 405
    assert ask(address, "/v1/models/digits", method="DELETE")[0] == 405
    assert process.poll() is None and ask(address, "/v1/models/digits")[0] == 200


@web
def test_it_listens_on_this_machine_alone(server):
    address = urllib.parse.urlsplit(server[0])
    assert address.hostname == "127.0.0.1"
    with pytest.raises(OSError):  # Linux answers on 127.0.0.2 what listens on all interfaces
        socket.create_connection(("127.0.0.2", address.port), timeout=5)


@web
@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_asked_to(sent, conditional):
    with running(conditional[1].parent) as (address, process):
        split = urllib.parse.urlsplit(address)
        with socket.create_connection((split.hostname, split.port)) as open_connection:  # of a client that waits
            open_connection.sendall(b"GET /v1/models/digits HTTP/1.1\r\nHost: digits\r\n\r\n")
            assert open_connection.recv(99).startswith(b"HTTP/1.1 200")
            process.send_signal(sent)
            assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
        with pytest.raises(OSError):
            ask(address, "/v1/models/digits")


@web
@pytest.mark.parametrize(
    "options, message",
    [
        (["--port", "70000"], "from 0 to 65535"),
        (["--port", "-1"], "from 0 to 65535"),
        (["--port", "TAKEN"], "Address already in use"),
        (["--host", "192.0.2.1"], "assign requested address"),
        (["--host", "no such host"], "no such host"),
        (["--host", ""], "--host"),
        (["--name", "x</script><b>"], "Give another with --name"),
        (["--name", "{x}"], "Give another with --name"),
        (["--name", "a/b"], "Give another with --name"),
        (["--name", "a:b"], "Give another with --name"),
        (["--name", ".."], "Give another with --name"),
        (["--name", ""], "Give another with --name"),
    ],
)
def test_options_that_cannot_be_served_are_refused(options, message, conditional, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = [option.replace("TAKEN", str(taken.getsockname()[1])) for option in options]
        assert serve.main([str(conditional[1].parent), *options]) == 2
    told = capsys.readouterr().err
    assert message in told and told.startswith("error: ") and told.count("\n") == 1


def test_a_folder_whose_name_is_markup_needs_another_name(conditional, tmp_path, capsys):
    shutil.copytree(conditional[1].parent, tmp_path / "x<b>")
    assert serve.main([str(tmp_path / "x<b>")]) == 2
    assert "x<b>" in (told := capsys.readouterr().err) and "Give another with --name" in told


def test_the_demo_page_holds_no_markup_of_the_model():
    described = {"name": "x</script><b>", "value_range": "<!-- & -->"}
    page = serve.demo_page(described)
    inserted = re.search("const model = (.*);", page)[1]
    assert json.loads(inserted) == described and not set("<>&") & set(inserted)
    assert page.count("</script>") == 1


@web
@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the memory in use from Linux")
def test_two_thousand_requests_from_eight_clients(server, capsys):
    import load_test

    address, process = server

    def memory():
        with open(f"/proc/{process.pid}/statm") as file:
            return int(file.read().split()[1]) * 4096

    arguments = [f"{address}/v1/models/digits", "--clients", "8", "--label", "-1", "--requests"]
    assert load_test.main([*arguments, "500"]) == 0
    before = memory()
    assert load_test.main([*arguments, "2000"]) == 0
    assert memory() - before < 30e6
    assert "2,000 requests" in capsys.readouterr().out


@web
@needs("selenium")
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs chromium and chromedriver")
def test_the_demo_page_in_a_browser(server, tmp_path):
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait

    options = webdriver.ChromeOptions()
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options, service)

    def wait(condition):
        return WebDriverWait(browser, 20).until(lambda _: condition())

    def find(selector):
        return browser.find_elements(By.CSS_SELECTOR, selector)

    def sources():
        return browser.execute_script("return [...document.querySelectorAll('#digits img')].map(image => image.src)")

    def pixels():
        return browser.execute_script("return document.getElementById('between').toDataURL()")

    try:
        browser.get(f"{server[0]}/demo")
        wait(lambda: len(sources()) == 20 and len(find("#path canvas")) == 11)
        wait(lambda: browser.execute_script("return document.getElementById('between').width") == 8)
        first = sources()
        assert len(Select(find("#digit")[0]).options) == 4, "three labels, and all in turn"
        Select(find("#digit")[0]).select_by_value("2")
        find("#draw")[0].click()
        wait(lambda: sources() != first)
        assert sources()[2] == first[2] and sources()[0] != first[0], "the third was a 2 already"
        start = pixels()
        browser.execute_script("position.value = 1; position.oninput()")
        wait(lambda: pixels() != start)
        find("#n")[0].clear()
        find("#n")[0].send_keys("999")
        find("#draw")[0].click()
        wait(lambda: "n must lie from 1 to 256" in find("#error")[0].text)
    finally:
        browser.quit()
