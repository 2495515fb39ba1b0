"""Execute examples/digits.ipynb in place, in about five minutes on two cores: python scripts/lab/notebook.py"""

import importlib.util
import pathlib
import sys
import tempfile

import gan_keras_scripts  # noqa: F401  sets the environment up, which the notebook's process inherits

if not all(map(importlib.util.find_spec, ("nbclient", "nbformat", "ipykernel"))):
    print("error: This needs nbclient, nbformat and ipykernel: pip install -e '.[docs]'", file=sys.stderr)
    sys.exit(2)

import nbclient
import nbformat

NOTEBOOK = pathlib.Path(__file__).parents[2] / "examples" / "digits.ipynb"


def main():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(notebook, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            # What libraries say on stderr differs between machines.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                output.get("data", {}).pop("image/jpeg", None)  # Pillow gives every picture as PNG and as JPEG
            cell.metadata.pop("execution", None)
    nbformat.write(notebook, NOTEBOOK)
    print(f"executed {NOTEBOOK}")


if __name__ == "__main__":
    sys.exit(main())
