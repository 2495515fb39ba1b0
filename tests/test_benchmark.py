"""scripts/lab/benchmark.py: peers in turn, by a clock that starts late enough."""

import json

import benchmark
import floor
import keras
import peers
import pytest
import tensorflow as tf
from keras import layers

from gan_keras import recipes


@pytest.mark.slow
def test_measures_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(floor, "LARGE", 256)
    arguments = "--networks tutorial_mlp --peers fit step guide loop floor --jit off --builds 1 --rounds 2 --seconds 0.05"
    assert benchmark.main([*arguments.split(), "--out", str(tmp_path / "speed.json")]) == 0
    report = json.loads((tmp_path / "speed.json").read_text())
    assert report["networks"]["tutorial_mlp"]["steps_per_execution"] == 20
    results = report["networks"]["tutorial_mlp"]["peers"]
    assert list(results) == ["fit", "step", "guide", "loop", "floor"]
    for result in results.values():
        assert len(result["rounds"]) == 2 and min(result["rounds"]) > 0
    assert all(0 < cores for peer in ("step", "loop") for cores in results[peer]["cores"])
    assert (tmp_path / "speed.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "ms a step" in printed and "tutorial_mlp: batch 128" in printed


def test_the_peer_of_16_bits_computes_in_them(monkeypatch):
    monkeypatch.setattr(benchmark, "through_fit", lambda gan, *rest: gan)
    gan = benchmark.Networks("tutorial_mlp", "auto").bfloat16()
    dense = [part for player in (gan.generator, gan.discriminator) for part in player.layers if isinstance(part, layers.Dense)]
    assert [layer.compute_dtype for layer in dense] == ["bfloat16", "float32"] * 2, "what a player puts out stays in 32"
    assert keras.config.dtype_policy().name == "float32", "for this peer only"


class Clock:
    """A `time` whose seconds pass only when told to."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    process_time = perf_counter

    def sleep(self, seconds):
        self.now += seconds


def test_the_clock_runs_from_the_first_call_to_the_last(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(benchmark, "time", clock)
    monkeypatch.setattr("clock.time", clock)

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


# A program as torch_twin.py is one: the seconds of a step are what it was set up with.
ELSEWHERE = """
import os, pickle, signal, sys, time
def tell(answer):
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.flush()
answers = pickle.load(sys.stdin.buffer)
try:
    while True:
        pickle.load(sys.stdin.buffer)
        answer = answers.pop(0)
        if answer == "hang":
            time.sleep(600)
        if answer == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        tell(answer)
except EOFError:
    open(sys.argv[0] + ".ended", "w").close()
"""


def test_a_peer_in_a_process_of_its_own(tmp_path):
    program = tmp_path / "peer.py"
    program.write_text(ELSEWHERE)
    run = benchmark.Elsewhere(program, [0.25, 0.5])
    assert run(3) == 0.25 and run(3) == 0.5
    del run
    assert (tmp_path / "peer.py.ended").exists(), "it ends with its peer"
    with pytest.raises(benchmark.Missing, match="^no second derivatives$"):
        benchmark.Elsewhere(program, ["no second derivatives"])(1)
    program.write_text("import torch_of_another_name")
    with pytest.raises(benchmark.Missing, match="ended with exit code 1.*No module named 'torch_of_another_name'"):
        benchmark.Elsewhere(program, None)(1)


@pytest.mark.parametrize("answers", [["kill"], [0.25] * 4 + ["kill"], [0.25] * 5 + ["kill"], ["hang"]])
def test_a_peer_whose_process_dies_or_hangs_is_left_out(answers, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "PATIENCE", 1)
    (tmp_path / "peer.py").write_text(ELSEWHERE)

    class Peers:
        def torch(self):
            return benchmark.Elsewhere(tmp_path / "peer.py", answers)

        def step(self):
            return lambda steps: 2.0

    args = benchmark.parse(["--peers", "torch", "step", "--rounds", "2", "--builds", "2"])
    results = benchmark.measure(Peers(), args)
    assert list(results) == ["step"] and results["step"]["rounds"] == [2.0] * 4
    reason = "It did not answer within 1 seconds." if answers == ["hang"] else "Its process ended with exit code -9."
    assert capsys.readouterr().out.count(f"torch: left out. {reason}") == 1
    args.peers = ["torch"]
    assert benchmark.measure(Peers(), args) == {}


def test_networks_without_a_peer_are_left_out_of_the_chart(tmp_path, monkeypatch, capsys):
    class Networks:
        def __init__(self, name, jit):
            self.name = name

        def settings(self):
            return {"batch": 8, "jit_compile": False, "steps_per_execution": 1}

        def guide(self):
            if self.name == "default":
                raise benchmark.Missing("there is none")
            return lambda steps: 2.0

    monkeypatch.setattr(benchmark, "Networks", Networks)
    out = ["--builds", "1", "--rounds", "1", "--peers", "guide", "--out", str(tmp_path / "speed.json")]
    assert benchmark.main(["--networks", "dcgan", "default", *out]) == 0
    assert (tmp_path / "speed.png").exists() and "default: batch 8" in capsys.readouterr().out
    (tmp_path / "speed.json").unlink()
    assert benchmark.main(["--networks", "default", *out]) == 2
    assert "speed.png exists" in capsys.readouterr().err
    (tmp_path / "speed.png").unlink()
    assert benchmark.main(["--networks", "default", *out]) == 2
    assert "None of the peers can be measured" in capsys.readouterr().err


def test_the_benchmark_says_how_to_get_torch(monkeypatch):
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(benchmark.Missing, match="pip install torch"):
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
                raise benchmark.Missing("not twice")
            return self.peer("torch", 1.0, 0.0)

    args = benchmark.parse(["--peers", "fit", "guide", "torch", "step", "--rounds", "2", "--builds", "2"])
    results = benchmark.measure(Peers(), args)
    assert [r["start"] for r in results.values()] == pytest.approx([7.0, 9.0])
    measured = [call for call in calls if call[1] > 1 and call[0] != "torch"]
    assert list(results) == ["fit", "step"], "what fails in any build is left out"
    assert measured == 2 * [("fit", 10), ("step", 5), ("step", 5), ("fit", 10)], "a second at least, and five steps"
    assert results["step"]["cores"] == [1.0] * 4 and "cores" not in results["fit"], "the clocks of a round run alike"
    assert results["step"]["rounds"] == [2.0] * 4 and built == ["fit", "torch", "step", "fit", "step"]
    assert capsys.readouterr().out.count("guide: left out. there is none") == 1


def test_the_table_tells_medians_and_ratios_of_rounds():
    peers_ = {"fit": {"start": 4.0, "rounds": [0.1, 0.2, 0.4]}, "loop": {"start": 1.0, "rounds": [0.3, 0.2, 0.4]}}
    peers_["loop"]["cores"] = [1.5, 1.75, 2.0]
    report = {"batch": 8, "jit_compile": True, "steps_per_execution": 5, "peers": peers_}
    lines = benchmark.table("mine", report).splitlines()
    assert lines[0] == "mine: batch 8, XLA, 5 steps at once in fit"
    assert lines[2].split() == "fit 200.0 100.0 - 400.0 1.00 (1.00 - 1.00) 4.0".split()
    assert lines[3].split() == "loop 300.0 200.0 - 400.0 1.00 (1.00 - 3.00) 1.0 1.75".split()


def operations(gan, n):
    products, _ = floor.work(peers.plain_step(gan), tf.zeros((n, 28, 28, 1)))
    return sum(flops for flops, _ in products)


def test_floating_point_operations_are_counted():
    # One pass of the generator and two of the discriminator, and back to its weights; then one of each and back to the
    # generator's weights. Back to the weights of a first layer, and not to the images or latents before it.
    n, g, d = 128, [100 * 256, 256 * 784], [784 * 256, 256]
    expected = 2 * n * (sum(g) + 2 * (2 * sum(d) + d[1]) + sum(g) + sum(d) + sum(d) + sum(g) + g[1])
    assert operations(recipes.get("tutorial_mlp").build(), n) == pytest.approx(expected, rel=0.01)
    n, g = 128, [100 * 6272, 49 * 25 * 128 * 64, 196 * 25 * 64]
    d = [196 * 25 * 64, 49 * 25 * 64 * 128, 6272]
    expected = 2 * n * (sum(g) + 2 * (2 * sum(d) + sum(d[1:])) + sum(g) + sum(d) + sum(d) + sum(g) + sum(g[1:]))
    assert operations(recipes.get("dcgan").build(), n) == pytest.approx(expected, rel=0.02)


def test_bytes_are_counted_once_for_each_kernel_between_products():
    kernel, other = tf.Variable(tf.ones((8, 16))), tf.Variable(tf.ones((16, 4)))

    @tf.function(autograph=False)
    def step(x):
        hidden = tf.reshape(tf.nn.relu(tf.nn.tanh(tf.matmul(x, kernel)) + 1.0), (-1, 16))
        kernel.assign(0.5 * kernel)
        tf.exp(x)  # nothing asks for it
        return tf.matmul(hidden, other)

    products, between = floor.work(step, tf.zeros((32, 8)))
    number = 4  # bytes of one
    first = (2 * 32 * 8 * 16, number * (32 * 8 + 8 * 16 + 32 * 16))
    second = (2 * 32 * 16 * 4, number * (32 * 16 + 16 * 4 + 32 * 4))
    assert sorted(products) == sorted([first, second])
    # What the first product made is read and what the second takes is written; both variables are read, one is assigned.
    assert between == number * (2 * 32 * 16 + 8 * 16 + 16 * 4 + 8 * 16)


def test_the_floor_is_the_slower_of_arithmetic_and_memory(monkeypatch):
    monkeypatch.setattr(floor, "work", lambda step, images: ([(100, 30), (10, 40)], 7))
    monkeypatch.setattr(floor, "rate_of_products", lambda: 10.0)
    monkeypatch.setattr(floor, "rate_of_memory", lambda: 5.0)
    assert floor.of(None, None)(1) == pytest.approx(10 + 8 + 7 / 5)


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
