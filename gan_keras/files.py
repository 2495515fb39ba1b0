"""Files: those that are damaged, or declare too much, are refused in one way; those that are written appear when complete."""

import contextlib
import glob
import json
import lzma
import math
import os
import pathlib
import secrets
import shutil
import struct
import time
import tokenize
import zipfile
import zlib

import numpy as np
import tensorflow as tf

# What reading a damaged file raises: the disk, JSON, NumPy's headers, zip and its compressions, Keras, TensorFlow.
DAMAGED = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError),
    *(AttributeError, SyntaxError, tokenize.TokenError, struct.error),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tf.errors.OpError),
)

_DAY = 24 * 60 * 60


@contextlib.contextmanager
def replacing(path):
    """A path beside `path`, with the same suffix, to write a file or a folder to.

    It is renamed to `path` when the block ends, and removed when the block fails: `path` is never half written.
    """
    with temporary(path) as beside:
        yield beside
        os.replace(beside, path)


@contextlib.contextmanager
def temporary(path):
    """A hidden path beside `path`, with the same suffix and of nobody else, which is removed when the block ends."""
    path = pathlib.Path(path)
    for leftover in path.parent.glob(f".new.????????.{glob.escape(path.name)}"):
        with contextlib.suppress(OSError):  # another process may remove it too
            if time.time() - leftover.stat().st_mtime > _DAY:  # of a process that was killed
                _remove(leftover)
    beside = path.with_name(f".new.{secrets.token_hex(4)}.{path.name}")
    try:
        yield beside
    finally:
        _remove(beside)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():  # not if its folder is a file, where unlink fails
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def reading(problem, remedy):
    """Raise ValueError with `problem`, the reason and `remedy` where the block finds a file damaged."""
    try:
        yield
    except DAMAGED as error:
        reason = str(error).rstrip(" .") or type(error).__name__
        raise ValueError(f"{problem}: {reason}. {remedy}") from error


def open_regular(path):
    """Open a file for reading bytes. A pipe or a device is refused: it could wait, or go on, without end."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path} is no regular file")
    return open(path, "rb")


def read_json(path):
    """What a JSON file holds."""
    with open_regular(path) as file:
        return json.load(file)


def read_npz(path, names, optional=()):
    """{name: array} of the arrays `names` of an .npz file, and of those of `optional` that it has."""
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        missing = [name for name in names if name not in members]
        if missing:
            raise ValueError(f"it has no array {missing[0]!r}, only {', '.join(members) or 'none'}")
        size = os.fstat(file.fileno()).st_size
        return {name: _read_member(archive, members[name], size) for name in [*names, *optional] if name in members}


def _read_member(archive, member, size):
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename} has a compression that NumPy does not use")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} contains pickled objects")
        promised, held = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
        if promised != held:
            raise ValueError(f"{member.filename} declares {promised:,} bytes and has {held:,}")
        check_size(promised, min(member.compress_size, size))
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


def check_size(promised, compressed):
    """Raise ValueError if `compressed` bytes declare more than they can contain, before memory is allocated.

    Deflate makes at most 1,032 bytes of one, and no gigabyte of images comes of a hundredth of it.
    """
    if promised > compressed * (1032 if promised < 2**30 else 100):
        raise ValueError(f"it declares {promised:,} bytes, more than its {compressed:,} bytes can contain")
