"""Build the API reference from the docstrings, as HTML.

    pip install -e '.[docs]'
    python scripts/lab/reference.py build/reference

Open build/reference/index.html then.
"""

import pathlib
import sys
import warnings

from lab import common  # first: it sets the environment up

try:
    import pdoc
except ImportError:
    print("error: The reference needs pdoc; not installed: pip install -e '.[docs]'", file=sys.stderr)
    sys.exit(2)


# The package, and modules that are not in its `__all__`: what your own regularizers and schedules are given, the settings of a run,
# weights as small files.
MODULES = ("gan_keras", "gan_keras.forward", "gan_keras.random", "gan_keras.settings", "gan_keras.weights")


@common.command
def main(argv=None):
    parser = common.Parser(description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=pathlib.Path, help="where to write the pages")
    folder = parser.parse_args(argv).folder
    pdoc.render.configure(docformat="google", show_source=True)
    with warnings.catch_warnings(action="error", category=UserWarning):  # what pdoc cannot read or link
        pdoc.pdoc(*MODULES, output_directory=folder)
    print(f"Reference: {folder / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
