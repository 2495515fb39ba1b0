"""A quiet, self-contained environment, and the runs and exports that several files test."""

import gc
import os
import pathlib
import sys

SCRIPTS = pathlib.Path(__file__).parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS / "lab"))

# OpenVINO and ONNX Runtime report their use, and keep files for that in the home directory, unless these are set.
os.environ.update(CI="true", ORT_DISABLE_TELEMETRY="1")

import pytest  # noqa: E402

pytest.register_assert_rewrite("helpers")

from helpers import tiny_gan, train_run  # noqa: E402  first: it sets the environment up

import keras  # noqa: E402
import numpy as np  # noqa: E402

from gan_keras import data, serving  # noqa: E402


@pytest.fixture(autouse=True)
def fresh_names():
    """Layer names and global seeds that do not depend on which tests ran before."""
    keras.utils.clear_session(free_memory=False)  # collecting garbage before every test took a third of the suite's time
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def no_garbage_of_other_files():
    """What a file of tests leaves behind is not looked through again by every collection of garbage after it."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory):
    """600 real digits: enough to train on for a moment."""
    path = tmp_path_factory.mktemp("data") / "few.npz"
    images, labels = data.load(split="train[:600]")
    test, test_labels = data.load(split="test[:300]")
    np.savez_compressed(path, x_train=images, y_train=labels, x_test=test, y_test=test_labels)
    return path


@pytest.fixture(scope="session")
def mlp_run(few_digits, tmp_path_factory):
    """A run folder that nothing writes to."""
    out = tmp_path_factory.mktemp("runs") / "mlp"
    assert train_run(out, few_digits, "--recipe", "tutorial_mlp", "--steps", 7) == 0
    return out


@pytest.fixture(scope="session")
def cgan_run(few_digits, tmp_path_factory):
    """A run folder that nothing writes to."""
    out = tmp_path_factory.mktemp("runs") / "cgan"
    assert train_run(out, few_digits, "--recipe", "cgan", "--steps", 2) == 0
    return out


@pytest.fixture(scope="session")
def conditional(tmp_path_factory):
    """A conditional GAN, and its export."""
    gan = tiny_gan(num_classes=3)
    return gan, serving.export(gan, tmp_path_factory.mktemp("export") / "conditional")
