#!/usr/bin/env python3
"""Exchanges files with the format's own implementation, the package safetensors: read_safetensors.py PROGRAM

PROGRAM is exchange_safetensors. Exit status 77 means skipped: the package is not there.
"""
import os
import struct
import subprocess
import sys
import tempfile

try:
    import safetensors
except ImportError:
    print("skipped: Python has no package safetensors (pip install safetensors)")
    sys.exit(77)

# Twin of the tables in exchange_safetensors.cpp.
WEIGHT = struct.pack("<6f", 0.5, -0.0, 2.0**-149, 3.5, float("-inf"), 65504.0)
STEP = struct.pack("<d", 0.1)
METADATA = {"format": "pt", "name": 'K\u0304 "quoted"\n'}

program = sys.argv[1]
with tempfile.TemporaryDirectory() as folder:
    ours = os.path.join(folder, "ours.safetensors")
    subprocess.run([program, "write", ours], check=True)
    with open(ours, "rb") as file:
        tensors = dict(safetensors.deserialize(file.read()))
    found = {name: (t["dtype"], list(t["shape"]), bytes(t["data"])) for name, t in tensors.items()}
    expected = {"layer.0.weight": ("F32", [2, 3], WEIGHT), "step": ("F64", [], STEP), "empty": ("F32", [0, 4], b"")}
    assert found == expected, found
    try:
        import numpy  # noqa: F401  only this interface of the package tells metadata, and it needs numpy
    except ImportError:
        print("no numpy: the metadata that we write goes unchecked")
    else:
        with safetensors.safe_open(ours, framework="np") as file:
            assert file.metadata() == METADATA, file.metadata()

    theirs = os.path.join(folder, "theirs.safetensors")
    data = safetensors.serialize(
        {
            "layer.0.weight": {"dtype": "float32", "shape": [2, 3], "data": WEIGHT},
            "step": {"dtype": "float64", "shape": [], "data": STEP},
            "half": {"dtype": "float16", "shape": [2], "data": struct.pack("<2e", 1.5, 2.0**-24)},
            "bytes": {"dtype": "uint8", "shape": [3], "data": b"abc"},
            "empty": {"dtype": "float32", "shape": [0, 4], "data": b""},
        },
        METADATA,
    )
    with open(theirs, "wb") as file:
        file.write(data)
    subprocess.run([program, "read", theirs], check=True)
print("read and written both ways, safetensors", safetensors.__version__)
