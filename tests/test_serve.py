"""scripts/serve.py: requests, as the server answers them, and the server itself."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import load_test
import numpy as np
import pytest
import tensorflow as tf
from helpers import SCRIPTS, environment, needs

from gan_keras_scripts import serve

web = needs("starlette", "uvicorn")


@pytest.fixture(scope="module")
def endpoints(conditional):
    return serve.Endpoints(conditional[1].parent)


@pytest.mark.parametrize("damaged", ["variables/variables.data-00000-of-00001", "signatures.json", "saved_model.pb"])
def test_a_damaged_export_is_refused(damaged, conditional, tmp_path, capsys):
    shutil.copytree(conditional[1], tmp_path / "1")
    (tmp_path / "1" / damaged).write_bytes(b"")
    assert serve.main([str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert serve.main([str(tmp_path / "1")]) == 2
    assert "Give the folder above it" in capsys.readouterr().err


def test_columns_and_rows(endpoints, conditional):
    gan, _ = conditional
    z = gan.latents(1)[:2].numpy()
    columns = endpoints.answer({"inputs": {"z": z.tolist(), "label": [0, 2]}})["outputs"]
    rows = endpoints.answer({"instances": [{"z": z[k].tolist(), "label": label} for k, label in enumerate([0, 2])]})
    assert columns == rows["predictions"] and np.shape(columns) == (2, 8, 8, 1)
    assert np.allclose(columns, gan([z, np.array([0, 2])]), atol=1e-6)
    request = {"signature_name": "generate_png", "inputs": {"seed": 1, "n": 2, "label": -1}}
    assert [set(file) for file in endpoints.answer(request)["outputs"]] == [{"b64"}] * 2
    told = endpoints.answer({"signature_name": "discriminate", "instances": [{"images": columns[0], "label": 0}]})
    assert set(told["predictions"][0]) == {"logits", "probability"}


@pytest.mark.parametrize(
    "request_, message",
    [
        (b"raw", 'either "inputs"'),
        ({}, 'either "inputs"'),
        ({"inputs": {}, "instances": []}, 'either "inputs"'),
        ({"inputs": {"z": [[0.0] * 8]}}, "takes label, z"),
        ({"inputs": {"z": [[0.0] * 9], "label": [0]}}, r"shape \[-1, 8\]. Received: shape \[1, 9\]"),
        ({"inputs": {"z": [[0.0] * 8, [0.0]], "label": [0, 1]}}, "unequal lengths"),
        ({"inputs": {"z": [["a"] * 8], "label": [0]}}, "must be float32"),
        ({"inputs": {"z": ["a" * 10**6] + ["b"] * 10**6, "label": [0]}}, "must be float32"),  # 4 TB as numpy's strings
        ({"inputs": {"z": [[10**400] * 8], "label": [0]}}, "too large"),
        ({"inputs": {"z": json.loads("[" * 70 + "]" * 70), "label": [0]}}, "shape"),
        ({"inputs": {"z": [[float("nan")] * 8], "label": [0]}}, "not finite"),
        ({"inputs": {"z": [[1e300] * 8], "label": [0]}}, "too large"),
        ({"inputs": {"z": [[0.0] * 8], "label": [3]}}, "label must be from 0 to 2"),
        ({"inputs": {"z": [[0.0] * 8], "label": [-1]}}, "label must be from 0 to 2"),
        ({"inputs": {"z": [[0.0] * 8], "label": [0.5]}}, "label must be int32"),
        ({"inputs": {"z": [[0.0] * 8], "label": [0, 1]}}, "same number of rows"),
        ({"inputs": {"z": [], "label": []}}, "1 to 1,024 rows"),
        ({"inputs": {"z": [[0.0] * 8] * 2000, "label": [0] * 2000}}, "1 to 1,024 rows"),
        ({"instances": 3}, "a list of one row"),
        ({"instances": [{"z": [0.0] * 8}, {"label": 1}]}, "same names"),
        ({"signature_name": "serve", "inputs": {}}, "no endpoint 'serve'"),
        ({"signature_name": [], "inputs": {}}, "no endpoint"),
        ({"signature_name": "generate", "instances": [{"seed": 1, "n": 1, "label": 0}]}, "takes no rows"),
        ({"signature_name": "generate", "inputs": {"seed": 1, "n": -1, "label": 0}}, "n must be from 1 to 256"),
        ({"signature_name": "generate", "inputs": {"seed": 1, "n": 10**9, "label": 0}}, "n must be from 1 to 256"),
        ({"signature_name": "generate", "inputs": {"seed": 1, "n": 10**30, "label": 0}}, "n must be int32"),
        ({"signature_name": "generate", "inputs": {"seed": -1, "n": 1, "label": 0}}, "seed must be"),
        ({"signature_name": "generate", "inputs": {"seed": True, "n": 1, "label": 0}}, "seed must be int64"),
    ],
)
def test_nonsense_is_refused(request_, message, endpoints):
    with pytest.raises(serve.Refused, match=message):
        endpoints.answer(request_)


def test_what_a_part_of_the_latents_takes_is_told():
    part = tf.TensorSpec((3,), tf.float32)
    assert serve.tensor("cluster", [0, 1, 0], part).tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(serve.Refused, match="for a categorical part 1 at the category, 0 elsewhere. Received: shape \\[\\]"):
        serve.tensor("cluster", 1, part)


def test_a_folder_without_an_export_is_refused(tmp_path, capsys):
    assert serve.main([str(tmp_path)]) == 2
    assert "holds no exported SavedModel" in capsys.readouterr().err


def test_it_needs_no_gan_keras(tmp_path):
    """On a server there may be nothing but TensorFlow, Starlette and uvicorn."""
    shutil.copy(SCRIPTS / "serve.py", tmp_path)
    code = "import sys; sys.modules.update(gan_keras=None, gan_keras_scripts=None); import serve; serve.main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "usage" in done.stdout, done.stderr


@contextlib.contextmanager
def running(folder):
    """scripts/serve.py on a port of its choice: the address that it prints, and its process."""
    process = subprocess.Popen(
        [sys.executable, SCRIPTS / "serve.py", folder, "--port", "0", "--name", "digits"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = next((line for line in process.stdout if line.startswith("Listens")), None)
        assert line, process.stderr.read()
        yield line.split()[1], process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(conditional):
    with running(conditional[1].parent) as started:
        yield started


def ask(address, path, body=None, method=None):
    """Status and JSON of an answer; a body that is not bytes is sent as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{address}{path}", data, method=method)) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@web
def test_over_http(server, conditional):
    address, _ = server
    gan, _ = conditional
    path = "/v1/models/digits:predict"
    status, answer = ask(address, path, {"signature_name": "generate", "inputs": {"seed": 5, "n": 3, "label": 1}})
    assert status == 200 and np.abs(np.array(answer["outputs"]) - gan.sample(3, seed=5, labels=1)).max() < 1e-6
    for code, wrong, message in [
        (400, {"inputs": {"z": [[0.0] * 9], "label": [0]}}, "shape"),
        (400, {"signature_name": "generate", "inputs": {"seed": 1, "n": -1, "label": 0}}, "n must be"),
        (400, {"signature_name": "generate", "inputs": {"seed": 1, "n": 10**8, "label": 0}}, "n must be"),
        (400, {"signature_name": "generate", "inputs": {"seed": 1, "n": 1, "label": 10}}, "label must be"),
        (400, {"signature_name": "x" * 10**5, "inputs": {}}, "no endpoint"),
        (400, [1, 2], "inputs"),
        (400, b"", "not JSON"),
        (400, b"{'inputs'", "not JSON"),
        (400, b"\xff\xfe\xfd", "not JSON"),
        (400, b"[" * 10**6, "not JSON"),
        (400, b"1" * 10**4, "not JSON"),
        (413, b" " * (serve.MAX_BYTES + 1), "at most"),
    ]:
        status, answer = ask(address, path, wrong)
        assert status == code and message in answer["error"], (str(wrong)[:99], status, answer)
        assert len(answer["error"]) <= 500
    status, answer = ask(address, "/v1/models/digits")
    assert status == 200 and [version["state"] for version in answer["model_version_status"]] == ["AVAILABLE"]
    with urllib.request.urlopen(f"{address}/demo") as response:
        assert b"Walk between two latents" in response.read()


@web
def test_what_the_docs_do_not_name_is_not_found(server):
    address, process = server
    for method, path in [
        ("POST", "/v2/repository/models/digits/unload"),
        ("POST", "/v2/repository/models/digits/load"),
        ("POST", "/v2/repository/index"),
        ("GET", "/v2/models/digits"),
        ("POST", "/v2/models/digits/infer"),
        ("POST", "/v1/models/digits:explain"),
        ("POST", "/v1/models/other:predict"),
        ("GET", "/v1/models/other"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/digits/"),
        ("GET", "/demo/"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/"),
        ("GET", "/../setup.cfg"),
    ]:
        status, answer = ask(address, path, method=method)
        assert status == 404 and "/v1/models/digits:predict" in answer["error"], (path, status, answer)
    assert ask(address, "/v1/models/digits:predict", method="GET")[0] == 405
    assert ask(address, "/v1/models/digits", method="DELETE")[0] == 405
    assert process.poll() is None and ask(address, "/v1/models/digits")[0] == 200


@web
def test_it_listens_on_this_machine_alone(server):
    address = urllib.parse.urlsplit(server[0])
    assert address.hostname == "127.0.0.1"
    with pytest.raises(OSError):  # Linux answers on 127.0.0.2 what listens on all interfaces
        socket.create_connection(("127.0.0.2", address.port), timeout=5)


@web
@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_asked_to(sent, conditional):
    with running(conditional[1].parent) as (address, process):
        split = urllib.parse.urlsplit(address)
        with socket.create_connection((split.hostname, split.port)) as open_connection:  # of a client that waits
            open_connection.sendall(b"GET /v1/models/digits HTTP/1.1\r\nHost: digits\r\n\r\n")
            assert open_connection.recv(99).startswith(b"HTTP/1.1 200")
            process.send_signal(sent)
            assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
        with pytest.raises(OSError):
            ask(address, "/v1/models/digits")


@web
@pytest.mark.parametrize(
    "options, message",
    [
        (["--port", "70000"], "from 0 to 65535"),
        (["--port", "-1"], "from 0 to 65535"),
        (["--port", "TAKEN"], "Address already in use"),
        (["--host", "192.0.2.1"], "assign requested address"),
        (["--host", "no such host"], "no such host"),
        (["--host", ""], "--host"),
        (["--name", "x</script><b>"], "Give another with --name"),
        (["--name", "{x}"], "Give another with --name"),
        (["--name", "a/b"], "Give another with --name"),
        (["--name", "a:b"], "Give another with --name"),
        (["--name", ".."], "Give another with --name"),
        (["--name", ""], "Give another with --name"),
    ],
)
def test_options_that_cannot_be_served_are_refused(options, message, conditional, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = [option.replace("TAKEN", str(taken.getsockname()[1])) for option in options]
        assert serve.main([str(conditional[1].parent), *options]) == 2
    told = capsys.readouterr().err
    assert message in told and told.startswith("error: ") and told.count("\n") == 1


def test_a_folder_whose_name_is_markup_needs_another_name(conditional, tmp_path, capsys):
    shutil.copytree(conditional[1].parent, tmp_path / "x<b>")
    assert serve.main([str(tmp_path / "x<b>")]) == 2
    assert "x<b>" in (told := capsys.readouterr().err) and "Give another with --name" in told


def test_the_demo_page_holds_no_markup_of_the_model():
    described = {"name": "x</script><b>", "value_range": "<!-- & -->"}
    page = serve.demo_page(described)
    inserted = re.search("const model = (.*);", page)[1]
    assert json.loads(inserted) == described and not set("<>&") & set(inserted)
    assert page.count("</script>") == 1


@web
@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the memory in use from Linux")
def test_two_thousand_requests_from_eight_clients(server, capsys):
    address, process = server

    def memory():
        with open(f"/proc/{process.pid}/statm") as file:
            return int(file.read().split()[1]) * 4096

    arguments = [f"{address}/v1/models/digits", "--clients", "8", "--label", "-1", "--requests"]
    assert load_test.main([*arguments, "500"]) == 0
    before = memory()
    assert load_test.main([*arguments, "2000"]) == 0
    assert memory() - before < 30e6
    assert "2,000 requests" in capsys.readouterr().out


@web
@needs("selenium")
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs chromium and chromedriver")
def test_the_demo_page_in_a_browser(server, tmp_path):
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait

    options = webdriver.ChromeOptions()
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options, service)

    def wait(condition):
        return WebDriverWait(browser, 20).until(lambda _: condition())

    def find(selector):
        return browser.find_elements(By.CSS_SELECTOR, selector)

    def sources():
        return browser.execute_script("return [...document.querySelectorAll('#samples img')].map(image => image.src)")

    def pixels():
        return browser.execute_script("return document.getElementById('between').toDataURL()")

    try:
        browser.get(f"{server[0]}/demo")
        wait(lambda: len(sources()) == 20 and len(find("#path canvas")) == 11)
        wait(lambda: browser.execute_script("return document.getElementById('between').width") == 8)
        first = sources()
        assert len(Select(find("#label")[0]).options) == 4, "three labels, and all in turn"
        Select(find("#label")[0]).select_by_value("2")
        find("#draw")[0].click()
        wait(lambda: sources() != first)
        assert sources()[2] == first[2] and sources()[0] != first[0], "the third was a 2 already"
        start = pixels()
        browser.execute_script("position.value = 1; position.oninput()")
        wait(lambda: pixels() != start)
        find("#n")[0].clear()
        find("#n")[0].send_keys("999")
        find("#draw")[0].click()
        wait(lambda: "n must be from 1 to 256" in find("#error")[0].text)
    finally:
        browser.quit()


def test_an_answer_does_not_wait_for_the_receipt_of_its_headers():
    with serve.listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
