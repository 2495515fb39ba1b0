"""Serve an exported GAN over HTTP, with TensorFlow Serving's REST requests, and show a demo page. See docs/serving.md."""

import argparse
import asyncio
import base64
import importlib.util
import json
import os
import pathlib
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

# Rows of latents or images in one request.
MAX_ROWS = 1024


class Refused(ValueError):
    """A request that cannot be answered; the message says why."""


class Endpoints:
    """The endpoints of a SavedModel, called with JSON as TensorFlow Serving's REST interface has it.

    Args:
        folder: What scripts/export.py wrote: its newest version is loaded.
    """

    def __init__(self, folder):
        versions = [path.parent for path in pathlib.Path(folder).glob("*/saved_model.pb") if path.parent.name.isdigit()]
        if (pathlib.Path(folder) / "saved_model.pb").exists():
            raise ValueError(
                f"{folder} is a version of a model. Give the folder above it: {pathlib.Path(folder).absolute().parent}"
            )
        if not versions:
            raise ValueError(
                f"{folder} holds no exported SavedModel (no {folder}/1/saved_model.pb). Make one with scripts/export.py."
            )
        self.path = max(versions, key=lambda path: int(path.name))
        try:
            self._model = tf.saved_model.load(str(self.path))  # keeps the weights of the functions alive
            self.description = json.loads((self.path / "signatures.json").read_text())
        # IndexError is TensorFlow's word for a short read.
        except (ValueError, OSError, IndexError, tf.errors.OpError) as error:
            raise ValueError(f"{self.path} cannot be read: {error}. Export it again.") from error
        self.functions = dict(self._model.signatures)

    def answer(self, request):
        """The response to a request: `{"signature_name": ..., "inputs": {...}}`, or "instances", a list of rows.

        Raises:
            Refused: What was received, and what was expected.
        """
        if not isinstance(request, dict) or ("inputs" in request) == ("instances" in request):
            raise Refused('Send a JSON object with either "inputs" (columns) or "instances" (rows).')
        name = request.get("signature_name", "serving_default")
        if not isinstance(name, str) or name not in self.functions:
            raise Refused(f"There is no endpoint {name!r}. There are: {', '.join(sorted(self.functions))}.")
        specs = inputs_of(self.functions[name])
        by_rows = "instances" in request
        columns = columns_of(request["instances"], specs) if by_rows else request["inputs"]
        if len(specs) == 1 and not isinstance(columns, dict):
            columns = {next(iter(specs)): columns}
        if not isinstance(columns, dict) or columns.keys() != specs.keys():
            given = sorted(columns) if isinstance(columns, dict) else type(columns).__name__
            raise Refused(f"The endpoint {name!r} takes {', '.join(sorted(specs))}. Received: {given}.")
        tensors = {key: tensor(key, columns[key], spec) for key, spec in specs.items()}
        if len({len(t) for t in tensors.values() if t.ndim}) > 1:
            raise Refused(
                f"There must be as many rows of each input. Received: { {k: t.shape for k, t in tensors.items()} }."
            )
        try:
            outputs = self.functions[name](**{key: tf.constant(value) for key, value in tensors.items()})
        except tf.errors.InvalidArgumentError as error:
            failed = re.search(r"assertion failed: \[(.*?)\]", error.message)
            raise Refused((failed[1] if failed else error.message.splitlines()[0]).rstrip(" .") + ".") from error
        outputs = {key: listed(value.numpy()) for key, value in outputs.items()}
        if by_rows:
            rows = [dict(zip(outputs, row)) for row in zip(*outputs.values())]
            return {"predictions": rows if len(outputs) > 1 else next(iter(outputs.values()))}
        return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}


def inputs_of(function):
    return function.structured_input_signature[1]


def columns_of(rows, specs):
    """Rows, as values or objects, turned into one column for each input."""
    if not isinstance(rows, list) or not rows:
        raise Refused('"instances" must be a list of one row or more.')
    if any(not spec.shape.rank for spec in specs.values()):
        raise Refused(f'This endpoint takes no rows: send {", ".join(sorted(specs))} as "inputs".')
    if not isinstance(rows[0], dict):
        return rows
    if any(not isinstance(row, dict) or row.keys() != rows[0].keys() for row in rows):
        raise Refused("Every row must be an object with the same names.")
    return {key: [row[key] for row in rows] for key in rows[0]}


def tensor(name, value, spec):
    """JSON numbers as an array of the type and shape that an input has."""
    expected = f"{name} must be {spec.dtype.name} of shape {[-1 if n is None else n for n in spec.shape]}"
    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of unequal lengths
        raise Refused(f"{expected}. Received: lists of unequal lengths.") from error
    if array.dtype.kind not in ("iu" if spec.dtype.is_integer else "iuf"):
        raise Refused(f"{expected}. Received: {array.dtype}.")
    if not spec.shape.is_compatible_with(array.shape):
        raise Refused(f"{expected}. Received: shape {list(array.shape)}.")
    if array.ndim and not 1 <= len(array) <= MAX_ROWS:
        raise Refused(f"A request has 1 to {MAX_ROWS:,} rows. Received: {len(array):,} of {name}.")
    limits = np.iinfo(spec.dtype.as_numpy_dtype) if spec.dtype.is_integer else np.finfo(spec.dtype.as_numpy_dtype)
    if not ((array >= limits.min) & (array <= limits.max)).all():
        raise Refused(f"{expected}. Received: values that are not finite or too large.")
    return array.astype(spec.dtype.as_numpy_dtype)


def listed(array):
    """As JSON has it: nested lists of numbers; bytes as base64."""
    if array.dtype == object:
        return [{"b64": base64.b64encode(value).decode()} for value in array]
    return array.tolist()


def serve(endpoints, name, port):
    """Run KServe's model server on `port` until it is stopped."""
    import kserve
    from fastapi.responses import HTMLResponse
    from kserve.errors import InvalidInput
    from kserve.model_server import app

    class Model(kserve.Model):
        async def predict(self, payload, headers=None, response_headers=None):
            try:
                return await asyncio.to_thread(endpoints.answer, payload)
            except Refused as error:
                raise InvalidInput(str(error)) from error

    if "generate_png" in endpoints.functions:
        page = pathlib.Path(__file__).with_name("demo.html").read_text()
        page = page.replace("{{model}}", json.dumps({"name": name, **endpoints.description}))
        app.add_api_route("/demo", lambda: page, response_class=HTMLResponse)
        print(f"Demo      http://localhost:{port}/demo", flush=True)

    model = Model(name)
    model.load()
    kserve.ModelServer(http_port=port, enable_grpc=False, workers=1, enable_latency_logging=False).start([model])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="what scripts/export.py wrote")
    parser.add_argument("--port", type=int, default=8501, help="HTTP port; default: %(default)s")
    parser.add_argument("--name", help="the model's name in addresses; default: the folder's")
    args = parser.parse_args(argv)
    try:
        endpoints = Endpoints(args.folder)
        if importlib.util.find_spec("kserve") is None:
            raise ValueError("The server is KServe's, which is not installed: pip install -e '.[serve]'")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    name = args.name or pathlib.Path(args.folder).resolve().name
    print(f"Model     {endpoints.path}\nEndpoints {', '.join(sorted(endpoints.functions))}")
    print(f"Requests  http://localhost:{args.port}/v1/models/{name}:predict", flush=True)
    sys.argv = sys.argv[:1]  # KServe reads the command line on import
    serve(endpoints, name, args.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
