"""How a peer of the benchmark is timed, with TensorFlow or without."""

import time


def in_a_loop(step, value):
    """Seconds of a call of `step`, without the first; `value` fetches a number from what it returns, so that it has run."""

    def run(steps):
        value(step())
        begin = time.perf_counter()
        for _ in range(steps):
            value(step())
        return (time.perf_counter() - begin) / steps

    return run
