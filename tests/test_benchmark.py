"""scripts/lab/benchmark.py: peers in turn, by a clock that starts late enough."""

import json
import sys

import benchmark
import keras
import peers
import pytest
import tensorflow as tf
from keras import layers

from gan_keras import recipes


@pytest.mark.slow
def test_measures_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "LARGE", 256)
    arguments = "--networks tutorial_mlp --peers fit step guide loop floor --jit off --builds 1 --rounds 2 --seconds 0.05"
    assert benchmark.main([*arguments.split(), "--out", str(tmp_path / "speed.json")]) == 0
    report = json.loads((tmp_path / "speed.json").read_text())
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


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--rounds", "0"], "--rounds: must be from 1 to 1,000"),
        (["--builds", "1.5"], "--builds: invalid int value"),
        (["--out", "speed.txt"], "--out: must end in .json"),
        (["--out", "nowhere/speed.json"], "--out: there is no folder nowhere"),
        (["--networks", "vae"], "--networks: invalid choice"),
        (["--seconds", "inf"], "--seconds: must be from 0.001 to 3,600"),
        (["--networks", "tutorial_mlp", "--peers", "guide", "--out", "old.json"], "old.json exists"),
    ],
)
def test_nonsense_is_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text("{}")
    assert benchmark.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"] and (tmp_path / "old.json").read_text() == "{}"
