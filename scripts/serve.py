"""Serve an exported GAN over HTTP, with TensorFlow Serving's REST requests, and show a demo page. See docs/serving.md."""

import argparse
import asyncio
import base64
import contextlib
import importlib.util
import json
import os
import pathlib
import re
import signal
import socket
import sys
import tempfile

try:
    from gan_keras_scripts import hidden_stderr
except ImportError:  # on a server, this file may be alone
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    hidden_stderr = contextlib.nullcontext

import numpy as np

with hidden_stderr():
    import tensorflow as tf

# Rows of latents or images in one request, and bytes: 1,024 images of 28 x 28 pixels are 18 million at most.
MAX_ROWS = 1024
MAX_BYTES = 20_000_000


class Refused(ValueError):
    """A request that cannot be answered; the message says why."""


class Endpoints:
    """The endpoints of a SavedModel, called with JSON as TensorFlow Serving's REST interface has it.

    Args:
        folder: What `gan-keras export` wrote: its newest version is loaded.
    """

    def __init__(self, folder):
        versions = [path.parent for path in pathlib.Path(folder).glob("*/saved_model.pb") if path.parent.name.isdigit()]
        if (pathlib.Path(folder) / "saved_model.pb").exists():
            raise ValueError(
                f"{folder} is a version of a model. Give the folder above it: {pathlib.Path(folder).absolute().parent}"
            )
        if not versions:
            raise ValueError(
                f"{folder} holds no exported SavedModel (no {folder}/1/saved_model.pb). Make one with `gan-keras export`."
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
        # Parts of a latent are drawn where they are left out: NaN, to the SavedModel.
        parts = {key: np.full(spec.shape, np.nan, "float32") for key, spec in specs.items() if is_part(spec)}
        if not isinstance(columns, dict) or not specs.keys() - parts <= columns.keys() <= specs.keys():
            given = sorted(columns) if isinstance(columns, dict) else type(columns).__name__
            may = f", and may take {', '.join(parts)}" if parts else ""
            may += f"; parts of the latents go to {name}_with_parts" if f"{name}_with_parts" in self.functions else ""
            must = ", ".join(key for key in specs if key not in parts)
            raise Refused(f"The endpoint {name!r} takes {must}{may}. Received: {given}.")
        tensors = {key: tensor(key, columns[key], spec) for key, spec in specs.items() if key in columns}
        if len({len(t) for key, t in tensors.items() if has_rows(specs[key])}) > 1:
            raise Refused(
                f"All inputs must have the same number of rows. Received: { {k: t.shape for k, t in tensors.items()} }."
            )
        try:
            outputs = self.functions[name](**{key: tf.constant(value) for key, value in (parts | tensors).items()})
        except tf.errors.InvalidArgumentError as error:
            failed = re.search(r"assertion failed: \[(.*?)\]", error.message)
            raise Refused((failed[1] if failed else error.message.splitlines()[0]).rstrip(" .") + ".") from error
        outputs = {key: listed(value.numpy()) for key, value in outputs.items()}
        if by_rows:
            rows = [dict(zip(outputs, row)) for row in zip(*outputs.values())]
            return {"predictions": rows if len(outputs) > 1 else next(iter(outputs.values()))}
        return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}


def packaged_endpoints(text):
    """The endpoints of a model that comes with the package, "pretrained:NAME"."""
    from gan_keras_scripts import export  # and with it gan_keras, which the server of an exported folder does without

    with tempfile.TemporaryDirectory() as folder:
        export.write(text, folder, "savedmodel")
        return Endpoints(folder)


def inputs_of(function):
    return dict(sorted(function.structured_input_signature[1].items()))  # TensorFlow's order is another each time


def has_rows(spec):
    return spec.shape.rank > 0 and spec.shape[0] is None


def is_part(spec):
    """Whether an input is a part of the latent, the same for all images: float32 (size,)."""
    return spec.shape.rank == 1 and not has_rows(spec)


def columns_of(rows, specs):
    """Rows, as values or objects, turned into one column for each input."""
    if not isinstance(rows, list) or not rows:
        raise Refused('"instances" must be a list of one row or more.')
    if not all(map(has_rows, specs.values())):
        raise Refused(f'This endpoint takes no rows: send {", ".join(sorted(specs))} as "inputs".')
    if not isinstance(rows[0], dict):
        return rows
    if any(not isinstance(row, dict) or row.keys() != rows[0].keys() for row in rows):
        raise Refused("Every row must be an object with the same names.")
    return {key: [row[key] for row in rows] for key in rows[0]}


def tensor(name, value, spec):
    """JSON numbers as an array of the type and shape that an input has."""
    expected = f"{name} must be {spec.dtype.name} of shape {[-1 if n is None else n for n in spec.shape]}"
    expected += ", a part of the latents; for a categorical part 1 at the category, 0 elsewhere" if is_part(spec) else ""
    array = np.asarray(value, dtype=object)  # as text, numpy would make every string as long as the longest
    kinds = {type(x).__name__ for x in array.ravel()}
    if "list" in kinds:
        raise Refused(f"{expected}. Received: lists of unequal lengths.")
    if not kinds <= ({"int"} if spec.dtype.is_integer else {"int", "float"}):
        raise Refused(f"{expected}. Received: {', '.join(sorted(kinds))}.")
    if not spec.shape.is_compatible_with(array.shape):
        raise Refused(f"{expected}. Received: shape {list(array.shape)}.")
    if has_rows(spec) and not 1 <= len(array) <= MAX_ROWS:
        raise Refused(f"A request has 1 to {MAX_ROWS:,} rows. Received: {len(array):,} of {name}.")
    low, high = np.array([spec.dtype.min, spec.dtype.max], spec.dtype.as_numpy_dtype).tolist()
    if not all(low <= x <= high for x in array.ravel()):
        raise Refused(f"{expected}. Received: values that are not finite or too large.")
    return array.astype(spec.dtype.as_numpy_dtype)


def listed(array):
    """As JSON has it: nested lists of numbers; bytes as base64."""
    if array.dtype == object:
        return [{"b64": base64.b64encode(value).decode()} for value in array]
    return array.tolist()


def demo_page(model):
    """The page of /demo. What its script reads of the model cannot end the script."""
    text = json.dumps(model).translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&"})
    return pathlib.Path(__file__).with_name("demo.html").read_text().replace("{{model}}", text)


def application(endpoints, name):
    """What is served, and nothing else: predictions, the model's status, and the demo page of a model of images."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    def answer(body):
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(f"The body is not JSON: {error}.") from error
        return json.dumps(endpoints.answer(request))

    async def predict(request):
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                raise HTTPException(413, f"A request has at most {MAX_BYTES:,} bytes.")
        return Response(await asyncio.to_thread(answer, body), media_type="application/json")

    def status(request):
        state = {"version": endpoints.path.name, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return JSONResponse({"model_version_status": [state]})

    def refused(request, error):
        return JSONResponse({"error": str(error)[:500]}, 400)

    def failed(request, error):
        detail = f"Not found. There are: {', '.join(paths)}." if error.status_code == 404 else error.detail
        return JSONResponse({"error": detail}, error.status_code, error.headers)

    model = f"/v1/models/{name}"
    routes = [Route(f"{model}:predict", predict, methods=["POST"]), Route(model, status)]
    if "generate_png" in endpoints.functions:
        page = demo_page({"name": name, **endpoints.description})
        routes.append(Route("/demo", lambda request: HTMLResponse(page)))
    paths = [route.path for route in routes]
    handlers = {Refused: refused, ClientDisconnect: refused, HTTPException: failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


def listening(host, port):
    """A socket that listens at this address."""
    if not 0 <= port <= 65535:
        raise ValueError(f"A port is a number from 0 to 65535. Received: --port {port}.")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address, family=family)
        # Connections inherit it. Else the body of an answer waits for the receipt of its headers: 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, UnicodeError) as error:
        raise ValueError(f"Cannot listen on --host {host!r} --port {port}: {error}.") from error


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", metavar="FOLDER", help="what gan-keras export wrote; or pretrained:NAME, a model that comes with the package"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on; default: %(default)s, this machine alone"
    )
    parser.add_argument("--port", type=int, default=8501, metavar="N", help="HTTP port, 0 for a free one; default: %(default)s")
    parser.add_argument("--name", help="the model's name in addresses; default: the folder's")
    args = parser.parse_args(argv)
    packaged = args.folder.startswith("pretrained:")
    own = args.folder.partition(":")[2] if packaged else pathlib.Path(args.folder).resolve().name
    name = own if args.name is None else args.name
    try:
        if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
            raise ValueError(
                "A model's name has letters, digits, '_', '.' and '-', and begins with a letter, a digit or '_'. "
                f"Received: {name!r}. Give another with --name."
            )
        if missing := [package for package in ("starlette", "uvicorn") if importlib.util.find_spec(package) is None]:
            raise ValueError(f"The server needs {' and '.join(missing)}; not installed: pip install {' '.join(missing)}")
        endpoints = packaged_endpoints(args.folder) if packaged else Endpoints(args.folder)
        listener = listening(args.host, args.port)
    except (ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    import uvicorn

    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    app = application(endpoints, name)
    print(
        f"Model     {args.folder if packaged else endpoints.path}\nEndpoints {', '.join(sorted(endpoints.functions))}\nListens   {address}"
    )
    print(*(f"Serves    {address}{route.path}" for route in app.routes), sep="\n", flush=True)
    # h11 limits the size of headers; a client that never finishes its request delays the end by 5 seconds.
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", log_level="warning", server_header=False, timeout_graceful_shutdown=5
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn ends its work, then raises the signal again
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
