"""Checks the files of io/interop_writer with safetensors and NumPy.

file_formats.py <io/interop_writer> <empty folder>
"""

import pathlib
import subprocess
import sys

import numpy as np
import safetensors

NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "U8": "uint8",
}


def expected(name):
    """The dtype's name, and the values that io/test_files.h gives a tensor named "float32.2x3x4"."""
    dtype, dims = name.split(".")
    shape = tuple(int(d) for d in dims.split("x")) if dims else ()
    i = np.arange(int(np.prod(shape)))
    values = 3 * i if dtype == "uint8" else 3 * i - 2 if dtype.startswith("int") else i / 2 - 2
    return dtype, values.reshape(shape)


def check(what, got_dtype, got, name):
    dtype, values = expected(name)
    assert got_dtype == dtype, (what, name, got_dtype)
    assert got.shape == values.shape, (what, name, got.shape)
    assert np.array_equal(got, values.astype(got.dtype)), (what, name, got)


def decode(array):
    shape, data = array["shape"], bytes(array["data"])
    if array["dtype"] == "BF16":
        bits = np.frombuffer(data, "<u2").astype("<u4") << 16
        return bits.view("<f4").reshape(shape)
    return np.frombuffer(data, NAMES[array["dtype"]]).reshape(shape)


def main(writer, folder):
    subprocess.run([writer, str(folder)], check=True)
    arrays = safetensors.deserialize((folder / "all.safetensors").read_bytes())
    assert len(arrays) == 28, len(arrays)
    for name, array in arrays:
        check("safetensors", NAMES[array["dtype"]], decode(array), name)
    with safetensors.safe_open(folder / "all.safetensors", framework="np") as file:
        assert file.metadata() == {"writer": 'Halftone "\u00e9"\n'}, file.metadata()

    paths = sorted(folder.glob("*.npy"))
    assert len(paths) == 24, paths
    for path in paths:
        array = np.load(path)
        check("npy", array.dtype.name, array, path.stem)
    print(f"{len(arrays)} safetensors tensors and {len(paths)} .npy files agree")


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
