"""The benchmark's peers: that they train what they claim to."""

import json
import sys

import benchmark
import keras
import numpy as np
import peers
import pytest
import tensorflow as tf
import time_to_quality
from helpers import LATENT_DIM, tiny_gan, tiny_images
from keras import layers

import gan_keras
from gan_keras import recipes

OPTIONAL = "PyTorch is an optional peer of the benchmark"


class Fixed:
    """Draws that are given instead of made."""

    def __init__(self, z, u):
        self.z, self.u = z, u

    def normal(self, shape):
        return tf.constant(self.z)

    def uniform(self, shape):
        return tf.constant(self.u)


@pytest.mark.parametrize("name", benchmark.NETWORKS)
def test_the_torch_twin_has_our_losses_and_gradients(name):
    Twin = pytest.importorskip("torch_twin", reason=OPTIONAL, exc_type=ImportError).Twin
    import torch

    rng = np.random.default_rng(0)
    n = 6
    gan = recipes.get(name).build(seed=3)
    low, high = gan.value_range
    images = rng.uniform(low, high, (n, 28, 28, 1)).astype("float32")
    z = rng.normal(size=(n, gan.latent_dim)).astype("float32")
    u = rng.uniform(size=(n, 1, 1, 1)).astype("float32")
    batch = gan_keras.gan.Batch(tf.constant(images), None, Fixed(z, u))
    twin = Twin(gan, exact=True)
    d_loss = twin.d_loss(torch.tensor(images).permute(0, 3, 1, 2), torch.tensor(z), torch.tensor(u))
    d_loss.backward()
    d_gradients, logs = gan._discriminator_gradients(batch)
    assert d_loss.item() == pytest.approx(float(logs["d_loss"]), rel=1e-4)
    agree(d_gradients, twin.discriminator)
    twin.generator.zero_grad()
    g_loss = twin.g_loss(torch.tensor(z))
    g_loss.backward()
    g_gradients, logs = gan._generator_gradients(batch)
    assert g_loss.item() == pytest.approx(float(logs["g_loss"]), rel=1e-4)
    agree(g_gradients, twin.generator)


@pytest.mark.parametrize("name", benchmark.NETWORKS)
def test_the_step_of_the_torch_twin_trains_both_players(name):
    Twin = pytest.importorskip("torch_twin", reason=OPTIONAL, exc_type=ImportError).Twin
    import torch

    gan = recipes.get(name).build()
    twin = Twin(gan)  # with the paddings that are timed
    updates = []
    for optimizer in twin.optimizers:
        optimizer.register_step_post_hook(lambda optimizer, *_: updates.append(twin.optimizers.index(optimizer)))
    before = [p.detach().clone() for network in (twin.generator, twin.discriminator) for p in network.parameters()]
    average = [p.clone() for p in twin.average or []]
    z = torch.randn(3, gan.latent_dim)
    assert twin.generator(z).shape == (3, 1, 28, 28) and twin.score(twin.generator(z)).shape == (3, 1)
    twin.step(torch.rand(2 * gan.schedule.batches_per_step, 1, 28, 28))
    assert updates == [0] * gan.schedule.batches_per_step + [1]
    after = [p for network in (twin.generator, twin.discriminator) for p in network.parameters()]
    assert all((a != b).any() for a, b in zip(before, after, strict=True) if b.grad.abs().max() > 1e-6)
    assert any((a != b).any() for a, b in zip(average, twin.average)) if gan.ema else twin.average is None


def agree(ours, module):
    theirs = [parameter.grad.numpy() for parameter in module.parameters()]
    assert len(ours) == len(theirs)
    # A bias before BatchNorm has no gradient but rounding: the measure is the largest gradient of the network.
    scale = max(np.abs(a).max() for a in ours)
    for a, b in zip(ours, theirs):
        a = a.numpy()
        if a.ndim == 2:
            a = a.T
        elif a.ndim == 4:
            a = a.transpose(3, 2, 0, 1)
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-4 * scale


def linear_discriminator():
    """Its slope is the same everywhere, wherever a penalty looks."""
    images = keras.Input((8, 8, 1))
    return keras.Model(images, layers.Dense(1)(layers.Flatten()(images)))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    "loss, penalty, discriminator",
    [
        ("non_saturating", gan_keras.regularizers.R1(1.0, every=2), None),
        ("wasserstein", gan_keras.regularizers.GradientPenalty(3.0), linear_discriminator),
    ],
)
def test_the_step_of_the_library_is_the_plain_step(loss, penalty, discriminator, jit):
    # The generator puts out the same for every latent: the two draw theirs in other ways.
    z = keras.Input((LATENT_DIM,))
    x = layers.Dense(64, activation="tanh", bias_initializer="random_normal", name="dense")(layers.Rescaling(0.0)(z))
    generator = keras.Model(z, layers.Reshape((8, 8, 1))(x))
    images = tiny_images(8)
    weights = []
    for plainly in (True, False):
        keras.utils.set_random_seed(1)
        gan = tiny_gan(
            keras.optimizers.Adam(0.01, epsilon=1e-3),
            keras.optimizers.Adam(0.01, epsilon=1e-3),
            generator=keras.models.clone_model(generator),
            discriminator=discriminator and discriminator(),
            loss=loss,
            regularizers=penalty,
            schedule=gan_keras.schedules.Alternating(2),
            jit_compile=jit,
        )
        gan.generator.set_weights(generator.get_weights())
        if plainly:
            step = peers.plain_step(gan)
            for _ in range(3):
                step(tf.constant(images))
        else:
            gan.fit(images, batch_size=8, epochs=3, shuffle=False, verbose=0)
        weights.append(gan.discriminator.get_weights() + [gan.generator.get_layer("dense").bias.numpy()])
    moved = np.abs(weights[0][-1] - generator.get_layer("dense").bias.numpy()).max()
    assert moved > 0.01
    for a, b in zip(*weights):
        assert np.abs(a - b).max() < 1e-5


def test_the_plain_step_refuses_other_games():
    with pytest.raises(ValueError, match="plain step is Alternating.*Received: Hinge"):
        peers.plain_step(tiny_gan(loss="hinge"))


@pytest.mark.parametrize("kind", [peers.GuideGAN, peers.GuideWGAN, peers.TutorialGAN])
def test_the_guides_steps_train_both_players(kind):
    gan = tiny_gan()
    model = kind(gan.generator, gan.discriminator)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    before = [player.get_weights() for player in (gan.generator, gan.discriminator)]
    logs = model.fit(tiny_images(16), batch_size=8, verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
    for weights, player in zip(before, (gan.generator, gan.discriminator)):
        assert max(np.abs(a - b).max() for a, b in zip(weights, player.get_weights())) > 1e-4


def test_the_tutorials_order_of_layers_is_the_same_function():
    ours, stock = gan_keras.networks.tutorial_discriminator(), peers.stock_tutorial_discriminator()
    stock.set_weights(ours.get_weights())
    images = np.random.default_rng(0).normal(size=(5, 28, 28, 1)).astype("float32")
    assert np.array_equal(ours(images), stock(images))


def test_the_networks_of_the_guide_and_of_the_tutorial_have_their_published_sizes():
    for networks, shape, sizes in (
        (peers.guide_networks, (128,), (7 * 7 * 128 * 129 + 2 * (16 * 128 * 128 + 128) + 49 * 128 + 1, 74_625)),
        (peers.tutorial_networks, (100,), (2_330_944, 212_865)),
    ):
        generator, discriminator = networks()
        assert generator.input_shape[1:] == shape and generator.output_shape[1:] == (28, 28, 1)
        assert (generator.count_params(), discriminator.count_params()) == sizes


def run(folder, *arguments):
    out = folder / "speed.json"
    code = benchmark.main([*arguments, "--out", str(out)])
    return code, json.loads(out.read_text()) if out.exists() else None


def test_measures_and_draws(tmp_path, capsys):
    code, report = run(
        tmp_path,
        "--networks",
        "tutorial_mlp",
        "--peers",
        "fit",
        "step",
        "guide",
        "loop",
        "floor",
        "--builds",
        "1",
        "--rounds",
        "2",
        "--seconds",
        "0.05",
    )
    assert code == 0
    assert report["networks"]["tutorial_mlp"]["steps_per_execution"] == 20
    results = report["networks"]["tutorial_mlp"]["peers"]
    assert list(results) == ["fit", "step", "guide", "loop", "floor"]
    for result in results.values():
        assert len(result["rounds"]) == 2 and min(result["rounds"]) > 0
    assert (tmp_path / "speed.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "ms a step" in printed and "tutorial_mlp: batch 128" in printed


def test_the_peer_of_16_bits_computes_in_them(monkeypatch):
    monkeypatch.setattr(benchmark, "through_fit", lambda gan, *rest: gan)
    gan = benchmark.Networks("tutorial_mlp", "auto").bfloat16()
    dense = [l for player in (gan.generator, gan.discriminator) for l in player.layers if isinstance(l, layers.Dense)]
    assert [layer.compute_dtype for layer in dense] == ["bfloat16", "float32"] * 2, "what a player puts out stays in 32"
    assert keras.config.dtype_policy().name == "float32", "for this peer only"


class Clock:
    """A `time` whose seconds pass only when told to."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_the_clock_runs_from_the_first_call_to_the_last(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(benchmark, "time", clock)

    class Slow(keras.Model):
        def fit(self, stream, steps_per_epoch, callbacks, **_):
            (timer,) = callbacks
            timer.on_train_begin()
            clock.sleep(100.0)  # it starts, and compiles in the first call
            for last in range(3, steps_per_epoch, 4):
                clock.sleep(8.0)
                timer.on_train_batch_end(last)
            clock.sleep(100.0)

    assert benchmark.through_fit(Slow(), None, at_once=4)(8) == pytest.approx(2.0), "eight seconds for four steps"

    seconds = iter([50.0, 3.0, 3.0, 4.0])
    run = benchmark.in_a_loop(lambda: clock.sleep(next(seconds)), value=lambda nothing: None)
    assert run(3) == pytest.approx(10.0 / 3)
    assert next(seconds, None) is None


def test_torch_is_left_out_where_triton_would_crash(tmp_path, monkeypatch):
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch_twin", raising=False)
    with pytest.raises(benchmark.Missing, match="pip uninstall torch triton"):
        benchmark.Networks("tutorial_mlp", "off").torch()


def test_peers_take_turns_and_their_first_call_is_told_apart(monkeypatch, capsys):
    clock, calls, built = Clock(), [], []
    monkeypatch.setattr(benchmark, "time", clock)

    class Peers:
        def peer(self, name, seconds, start):
            built.append(name)

            def run(steps):
                calls.append((name, steps))
                clock.sleep(steps * seconds + (start if calls.count((name, 1)) == 1 else 0.0))
                return seconds

            return run

        def fit(self):
            return self.peer("fit", 0.1, 7.0)

        def step(self):
            return self.peer("step", 2.0, 9.0)

        def guide(self):
            raise benchmark.Missing("there is none")

        def torch(self):
            if "torch" in built:
                raise RuntimeError("not twice")
            return self.peer("torch", 1.0, 0.0)

    args = benchmark.parse(["--peers", "fit", "guide", "torch", "step", "--rounds", "2", "--builds", "2"])
    results = benchmark.measure(Peers(), args)
    assert [r["start"] for r in results.values()] == pytest.approx([7.0, 9.0])
    measured = [call for call in calls if call[1] > 1 and call[0] != "torch"]
    assert list(results) == ["fit", "step"], "what fails in any build is left out"
    assert measured == 2 * [("fit", 10), ("step", 5), ("step", 5), ("fit", 10)], "a second at least, and five steps"
    assert results["step"]["rounds"] == [2.0] * 4 and built == ["fit", "torch", "step", "fit", "step"]
    assert capsys.readouterr().out.count("guide: left out. there is none") == 1


def test_the_table_tells_medians_and_ratios_of_rounds():
    peers_ = {"fit": {"start": 4.0, "rounds": [0.1, 0.2, 0.4]}, "loop": {"start": 1.0, "rounds": [0.3, 0.2, 0.4]}}
    report = {"batch": 8, "jit_compile": True, "steps_per_execution": 5, "peers": peers_}
    lines = benchmark.table("mine", report).splitlines()
    assert lines[0] == "mine: batch 8, XLA, 5 steps at once in fit"
    assert lines[2].split() == "fit 200.0 100.0 - 400.0 1.00 (1.00 - 1.00) 4.0".split()
    assert lines[3].split() == "loop 300.0 200.0 - 400.0 1.00 (1.00 - 3.00) 1.0".split()


def test_floating_point_operations_are_counted():
    # One pass of the generator and two of the discriminator, and back to its weights; then one of each and back to the
    # generator's weights. Back to the weights of a first layer, and not to the images or latents before it.
    n, g, d = 128, [100 * 256, 256 * 784], [784 * 256, 256]
    expected = 2 * n * (sum(g) + 2 * (2 * sum(d) + d[1]) + sum(g) + sum(d) + sum(d) + sum(g) + g[1])
    gan = recipes.get("tutorial_mlp").build()
    assert benchmark.flops_of(peers.plain_step(gan), tf.zeros((n, 28, 28, 1))) == pytest.approx(expected, rel=0.01)
    n, g = 128, [100 * 6272, 49 * 25 * 128 * 64, 196 * 25 * 64]
    d = [196 * 25 * 64, 49 * 25 * 64 * 128, 6272]
    expected = 2 * n * (sum(g) + 2 * (2 * sum(d) + sum(d[1:])) + sum(g) + sum(d) + sum(d) + sum(g) + sum(g[1:]))
    gan = recipes.get("dcgan").build()
    assert benchmark.flops_of(peers.plain_step(gan), tf.zeros((n, 28, 28, 1))) == pytest.approx(expected, rel=0.02)


@pytest.mark.slow
def test_time_to_quality(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(time_to_quality, "SAMPLES", 200)
    monkeypatch.setattr(time_to_quality, "MARKS", (0.2, 1000))
    arguments = [
        "--time-to-quality",
        "--minutes",
        "0.01",
        "--contestants",
        "tutorial_mlp",
        "keras_guide",
        "--seeds",
        "1",
    ]
    code, report = run(tmp_path, *arguments)
    assert code == 0 and set(report["runs"]) == {"tutorial_mlp", "keras_guide"}
    for runs in report["runs"].values():
        seconds = [point["seconds"] for point in runs["0"]]
        assert len(seconds) == 2 and 0.2 <= seconds[0] < seconds[1]
        assert all(point["frechet_distance"] > 1 and 0 <= point["coverage"] <= 1 for point in runs["0"])
    assert (tmp_path / "speed.png").exists()
    first = report["runs"]["tutorial_mlp"]
    code, report = run(tmp_path, *arguments[:-3], "--seeds", "2")
    assert code == 0 and set(report["runs"]) == {"tutorial_mlp", "keras_guide"}, "added to what is there"
    assert set(first) == {"0"} and set(report["runs"]["tutorial_mlp"]) == {"0", "1"}
    assert report["runs"]["tutorial_mlp"]["0"] == first["0"], "what is there is not made again"
    (tmp_path / "speed.json").write_text('{"cores": 2}')
    assert benchmark.main([*arguments, "--out", str(tmp_path / "speed.json")]) == 2
    assert "holds something else" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--rounds", "0"], "must be above 0"),
        (["--out", "speed.txt"], "a .json file"),
        (["--out", "nowhere/speed.json"], "There is no folder nowhere"),
        (["--time-to-quality", "--minutes", "-1"], "must be above 0"),
        (["--minutes", "1"], "--minutes says nothing without --time-to-quality"),
        (["--time-to-quality", "--networks", "dcgan"], "--networks says nothing with --time-to-quality"),
        (["--seconds", "inf"], "finite"),
        (["--networks", "tutorial_mlp", "--peers", "guide", "--out", "old.json"], "old.json exists"),
    ],
)
def test_nonsense_is_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text("{}")
    assert benchmark.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"] and (tmp_path / "old.json").read_text() == "{}"
