"""The scripts, as a package: `gan_keras_scripts`, whose programs the command `gan-keras` starts.

Importing it sets the environment up, before TensorFlow and Keras read it.
"""

import contextlib
import os
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # 2 still shows the graph optimizer's complaints about itself
# oneDNN's convolutions, which TensorFlow itself turns on only for processors with AVX-512 VNNI or better: docs/performance.md.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Keras writes ~/.keras and matplotlib its caches on import: keep them inside a virtual environment unless the user has them.
for _variable, _default, _name in (
    ("KERAS_HOME", "~/.keras", "keras"),
    ("MPLCONFIGDIR", "~/.config/matplotlib", "matplotlib"),
):
    if sys.prefix != sys.base_prefix and not os.path.exists(os.path.expanduser(_default)):
        os.environ.setdefault(_variable, os.path.join(sys.prefix, "var", _name))


@contextlib.contextmanager
def hidden_stderr():
    """Hold back what C++ libraries write to stderr; show it only if the block fails."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
