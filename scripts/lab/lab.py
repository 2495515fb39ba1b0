"""What the programs of this folder share: the scripts' start, a path to write a report to, the machine."""

import argparse
import os
import pathlib

from gan_keras_scripts import common  # first: it sets the environment up

import tensorflow as tf


def json_file(text):
    """The `type` of an option: the path of a .json file; a chart is drawn beside it."""
    path = pathlib.Path(common.checked_text(text))
    if path.suffix != ".json":
        raise argparse.ArgumentTypeError(f"must end in .json; the chart gets the same name with .png. Received: {text}")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}. Make it first")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write to {text}. Choose another")
    return path


def machine():
    """What speed depends on: the number of cores, and the processor with its instructions for products (on Linux)."""
    path = pathlib.Path("/proc/cpuinfo")
    told = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line) if path.exists() else {}
    told = {key.strip(): value.strip() for key, value in told.items()}
    instructions = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"} & set(told.get("flags", "").split())
    return {"cores": os.cpu_count(), "processor": told.get("model name"), "instructions": sorted(instructions)}


def use_threads(number):
    """Let TensorFlow compute with so many threads; 0 leaves it the choice. Before it computes anything."""
    if number:
        tf.config.threading.set_intra_op_parallelism_threads(number)
        tf.config.threading.set_inter_op_parallelism_threads(number)
