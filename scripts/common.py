"""What the scripts share: a quiet start, options, and errors in one line."""

import argparse
import functools
import os
import pathlib
import shutil
import sys

from gan_keras_scripts import hidden_stderr

with hidden_stderr():
    import tensorflow as tf

    from gan_keras.pretrained import PREFIX, names

    tf.config.list_physical_devices()  # the search for devices is the noisiest part


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors `command` reports, and which takes no empty or undecoded text."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, epilog="Pages such as docs/train.md are printed by: gan-keras docs train", **kwargs)
        self.register("type", None, checked_text)

    def error(self, message):
        raise ValueError(f"{message}. See --help.")


def checked_text(text):
    """The `type` of an option that has none."""
    if text == "":
        raise argparse.ArgumentTypeError("must not be empty")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # TensorFlow's paths are UTF-8
        raise argparse.ArgumentTypeError("must be UTF-8. Set the environment variable PYTHONUTF8=1") from error
    return text


def between(low, high, kind=int):
    """The `type` of an option: a number from `low` to `high`."""

    def convert(text):
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low:,} to {high:,}. Received: {text}")
        return value

    convert.__name__ = kind.__name__  # argparse names it in its errors
    return convert


def sides(text):
    """The `type` of --image-size: "64" is 64 x 64, "48x64" is 48 high and 64 wide."""
    parts = text.split("x")
    if len(parts) > 2 or not all(part.isdecimal() and 8 <= int(part) <= 4096 for part in parts):
        raise argparse.ArgumentTypeError(f"must be a number of pixels from 8 to 4096, or HEIGHTxWIDTH. Received: {text}")
    return int(parts[0]), int(parts[-1])


RUN = f"run folder of gan-keras train; or a trained model of the package: {', '.join(PREFIX + name for name in names())}"
SEED = between(0, 2**31 - 1)
SAMPLES = 1_000_000_000  # what --num takes at most


def program():
    """How the command gan-keras of this Python is started: by its name, or by its path if the PATH does not lead to it."""
    beside = pathlib.Path(sys.executable).with_name("gan-keras")
    found = shutil.which("gan-keras")
    return "gan-keras" if not beside.exists() or found and beside.samefile(found) else os.path.relpath(beside)


def one_line(text, most=500):
    """A message without line breaks and control characters, shortened in its middle."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else f"{text[: most // 2 - 5]} [...] {text[len(text) - most // 2 + 5 :]}"


def command(main):
    """Decorator of a script's main(argv): errors a user can correct are one line on stderr and exit code 2; Ctrl-C is 130."""

    @functools.wraps(main)
    def run(argv=None):
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does; a path may have any letters
        try:
            return main(argv)
        except (ValueError, OSError, ImportError, FloatingPointError, MemoryError, tf.errors.OpError) as error:
            print(one_line(f"error: {error}"), file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    return run
