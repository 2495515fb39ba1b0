"""The scripts, as a package: `gan_keras_scripts`, whose programs the command `gan-keras` starts.

Importing it sets the environment up, before TensorFlow and Keras read it.
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # 2 still shows the graph optimizer's complaints about itself
# Keras writes ~/.keras and matplotlib its caches on import: keep them inside a virtual environment unless the user has them.
for _variable, _default, _name in (
    ("KERAS_HOME", "~/.keras", "keras"),
    ("MPLCONFIGDIR", "~/.config/matplotlib", "matplotlib"),
):
    if sys.prefix != sys.base_prefix and not os.path.exists(os.path.expanduser(_default)):
        os.environ.setdefault(_variable, os.path.join(sys.prefix, "var", _name))
