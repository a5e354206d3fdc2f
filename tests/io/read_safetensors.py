#!/usr/bin/env python3
"""Exchanges files with the format's own implementation, the package safetensors: read_safetensors.py PROGRAM

PROGRAM is exchange_safetensors. Exit status 77 means skipped: a package is not there.
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import safetensors
    import safetensors.numpy
except ImportError as error:
    print(f"skipped: {error} (pip install safetensors numpy)")
    sys.exit(77)

# Twin of the tables in exchange_safetensors.cpp.
WEIGHT = np.array([[0.5, -0.0, 2.0**-149], [3.5, -np.inf, 65504]], dtype=np.float32)
SHARED = {"layer.0.weight": WEIGHT, "step": np.array(0.1), "empty": np.zeros((0, 4), dtype=np.float32)}
THEIRS = {"half": np.array([1.5, 2.0**-24], dtype=np.float16), "bytes": np.frombuffer(b"abc", dtype=np.uint8)}
METADATA = {"format": "pt", "name": 'K\u0304 "quoted"\n'}


def facts(tensors):
    return {name: (value.dtype, value.shape, value.tobytes()) for name, value in tensors.items()}


program = sys.argv[1]
with tempfile.TemporaryDirectory() as folder:
    ours = os.path.join(folder, "ours.safetensors")
    subprocess.run([program, "write", ours], check=True)
    found = facts(safetensors.numpy.load_file(ours))
    assert found == facts(SHARED), found
    with safetensors.safe_open(ours, framework="np") as file:
        assert file.metadata() == METADATA, file.metadata()

    theirs = os.path.join(folder, "theirs.safetensors")
    safetensors.numpy.save_file({**SHARED, **THEIRS}, theirs, METADATA)
    subprocess.run([program, "read", theirs], check=True)
print("read and written both ways, safetensors", safetensors.__version__)
