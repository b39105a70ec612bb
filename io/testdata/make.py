"""Makes the files in this folder with the libraries that own the formats.

    pip install numpy==2.4.6 safetensors==0.8.0 torch && python make.py

Element i of every array, counted in C order, is 3 * i (uint8), 3 * i - 2 (other integers) or i / 2 - 2 (floats).
"""

import argparse
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent


def pattern(dtype, shape):
    i = np.arange(int(np.prod(shape)))
    kind = np.dtype(dtype).kind
    values = 3 * i if kind == "u" else 3 * i - 2 if kind == "i" else i / 2 - 2
    return values.reshape(shape).astype(dtype)


def torch_pattern(dtype, shape):
    n = int(np.prod(shape))
    i = torch.arange(n, dtype=torch.float64)
    values = 3 * i if dtype == torch.uint8 else i / 2 - 2 if dtype.is_floating_point else 3 * i - 2
    return values.reshape(shape).to(dtype)


save_file(
    {
        "float64": torch_pattern(torch.float64, (2, 3)),
        "float32": torch_pattern(torch.float32, (2, 3)),
        "float16": torch_pattern(torch.float16, (2, 3)),
        "bfloat16": torch_pattern(torch.bfloat16, (2, 3)),
        "int64": torch_pattern(torch.int64, (2, 3)),
        "int32": torch_pattern(torch.int32, (2, 3)),
        "uint8": torch_pattern(torch.uint8, (5,)),
        "scalar": torch_pattern(torch.float32, ()),
        "empty": torch_pattern(torch.float32, (0, 3)),
    },
    HERE / "torch.safetensors",
    metadata={"format": "pt", "text": 'a "quoted" line\nand \u00e9'},
)

for dtype in ("f8", "f4", "f2", "i8", "i4", "u1"):
    np.save(HERE / f"{dtype}.npy", pattern(dtype, (2, 3)))
    if dtype != "u1":
        np.save(HERE / f"big_endian_{dtype}.npy", pattern(">" + dtype, (2, 3)))
    np.save(HERE / f"fortran_{dtype}.npy", np.asfortranarray(pattern(dtype, (2, 3, 4))))
np.save(HERE / "fortran_big_endian.npy", np.asfortranarray(pattern(">f4", (3, 2, 1, 4))))
np.save(HERE / "scalar.npy", pattern("f4", ()))
np.save(HERE / "empty.npy", pattern("f4", (0, 3)))
np.save(HERE / "vector.npy", pattern("f4", (3,)))
for version in ((2, 0), (3, 0)):
    with open(HERE / f"version{version[0]}.npy", "wb") as file:
        np.lib.format.write_array(file, pattern("f4", (2, 3)), version=version)
np.save(HERE / "refused_bool.npy", np.array([True]))
np.save(HERE / "refused_complex.npy", np.array([1j]))
np.save(HERE / "refused_string.npy", np.array(["ab"]))
np.save(HERE / "refused_struct.npy", np.zeros(1, [("a", "<f4"), ("b", "<i4")]))

weight = torch_pattern(torch.float32, (2, 3))
checkpoint = {
    "model": {
        "weight": weight,
        "transposed": weight.t(),
        "column": weight[:, 1],
        "expanded": weight[1, 1].expand(2, 2),
        "scale": torch.nn.Parameter(torch_pattern(torch.bfloat16, (2,))),
    },
    "states": [
        {"step": torch_pattern(torch.int64, ()), "fp8": torch_pattern(torch.float8_e4m3fn, (4,))},
        {"none": torch_pattern(torch.float16, (0, 3)), "mask": torch.tensor([True, False])},
    ],
    "epoch": 3,
    "arguments": argparse.Namespace(rate=0.1),
}
torch.save(checkpoint, HERE / "zip.pt")
torch.save(checkpoint, HERE / "legacy.pt", _use_new_zipfile_serialization=False)
torch.save(weight, HERE / "lone.pt", pickle_protocol=5)
