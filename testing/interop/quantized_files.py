"""Dequantises the files that tools/convert writes: with NumPy and ml_dtypes from what the metadata says, and with torchao
where it is installed. Both must give the bits of `convert --to=float32`.

quantized_files.py <tools/convert/convert> <empty folder>
"""

import json
import pathlib
import subprocess
import sys

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

try:
    import torch
    from torchao.prototype.mx_formats.mx_tensor import DTYPE_FP6_E2M3, DTYPE_FP6_E3M2, to_dtype
    from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor
except ImportError as e:
    torch = None
    print(f"without torchao: {e}")

PREFIX = "halftone.quantized."
BLOCK_FORMATS = ["mxfp8", "mxfp8_e5m2", "mxfp6", "mxfp6_e3m2", "mxfp4", "mxint8", "nvfp4"]
OTHER_FORMATS = ["int8", "int4", "int2", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn", "fp2", "fp3", "fp4", "fp6", "fp8"]
ELEMENTS = {  # of the formats: bits, and what ml_dtypes or NumPy call them
    "mxfp8": (8, ml_dtypes.float8_e4m3fn),
    "mxfp8_e5m2": (8, ml_dtypes.float8_e5m2),
    "mxfp6": (6, ml_dtypes.float6_e2m3fn),
    "mxfp6_e3m2": (6, ml_dtypes.float6_e3m2fn),
    "mxfp4": (4, ml_dtypes.float4_e2m1fn),
    "mxint8": (8, np.int8),
    "nvfp4": (4, ml_dtypes.float4_e2m1fn),
    "int8": (8, np.int8),
    "int4": (4, ml_dtypes.int4),
    "int2": (2, ml_dtypes.int2),
    "float6_e2m3fn": (6, ml_dtypes.float6_e2m3fn),
    "float6_e3m2fn": (6, ml_dtypes.float6_e3m2fn),
    "float4_e2m1fn": (4, ml_dtypes.float4_e2m1fn),
    "fp2": (2, None),  # codebooks
    "fp3": (3, None),
    "fp4": (4, None),
    "fp6": (6, None),
    "fp8": (8, None),
}


def weights():
    random = np.random.default_rng(1)
    wide = random.standard_normal((48, 320)) * np.exp2(random.integers(-30, 30, (48, 320)))
    wide[3, 32:64] = 0
    # A block of the smallest scales, whose values are subnormal in float32.
    wide[5, :32] = random.standard_normal(32) * 2.0**-126
    return {
        "linear": random.standard_normal((64, 96)).astype("f4"),
        "wide": wide.astype("f4"),
        "half": random.standard_normal((8, 64)).astype("f2"),
        "conv": random.standard_normal((16, 32, 3, 3)).astype("f4"),
        "experts": random.standard_normal((3, 8, 32)).astype("f4"),
        "bias": random.standard_normal(10).astype("f4"),
    }


def codes_of(data, bits, count):
    """One a byte; the first code is in the lowest bits."""
    flat = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: count * bits]
    return np.packbits(flat.reshape(count, bits), axis=1, bitorder="little").reshape(count)


def with_numpy(arrays, name, entry):
    bits, dtype = ELEMENTS[entry["format"]]
    count = int(np.prod(entry["shape"]))
    elements = codes_of(arrays[name]["data"], bits, count)
    if dtype is None:
        elements = np.frombuffer(arrays[name + ".codebook"]["data"], "<f4")[elements]
    else:
        elements = elements.view(dtype).astype(np.float32)
    scale = np.frombuffer(arrays[name + ".scale"]["data"], np.uint8)
    if entry["format"] == "nvfp4":
        tensor_scale = np.frombuffer(arrays[name + ".tensor_scale"]["data"], "<f4")
        scale = scale.view(ml_dtypes.float8_e4m3fn).astype(np.float32) * tensor_scale
    elif "block" in entry:
        scale = scale.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
        if entry["format"] == "mxint8":
            elements = elements / np.float32(64)
    else:
        scale = scale.view("<f4")
    group = entry.get("block", entry["row"])
    assert scale.size == count // group, (name, entry, scale.size)
    return (elements.reshape(-1, group) * scale.reshape(-1, 1)).reshape(entry["shape"])


def with_torchao(arrays, name, entry):
    """None where torchao has not the format."""
    kinds = {
        "mxfp8": torch.float8_e4m3fn,
        "mxfp8_e5m2": torch.float8_e5m2,
        "mxfp6": DTYPE_FP6_E2M3,
        "mxfp6_e3m2": DTYPE_FP6_E3M2,
        "mxfp4": torch.float4_e2m1fn_x2,
    }
    shape, rows = entry["shape"], (-1, entry["row"])
    data = torch.frombuffer(bytearray(arrays[name]["data"]), dtype=torch.uint8)
    scale = torch.frombuffer(bytearray(arrays[name + ".scale"]["data"]), dtype=torch.uint8)
    if entry["format"] == "nvfp4":
        tensor_scale = torch.frombuffer(bytearray(arrays[name + ".tensor_scale"]["data"]), dtype=torch.float32)
        blocks = scale.view(torch.float8_e4m3fn).reshape(-1, entry["row"] // 16)
        tensor = NVFP4Tensor(data.reshape(-1, entry["row"] // 2), blocks, 16, torch.float32, tensor_scale.reshape(()))
        return tensor.dequantize(torch.float32).reshape(shape).numpy()
    if entry["format"] not in kinds:
        return None
    kind = kinds[entry["format"]]
    if entry["format"] == "mxfp4":
        data = data.reshape(-1, entry["row"] // 2)
    elif isinstance(kind, str):
        data = torch.from_numpy(codes_of(arrays[name]["data"], 6, int(np.prod(shape)))).reshape(rows)
    else:
        data = data.view(kind).reshape(rows)
    scale = scale.view(torch.float8_e8m0fnu).reshape(-1, entry["row"] // 32)
    return to_dtype(data, scale, kind, 32, torch.float32).reshape(shape).numpy()


def convert(program, source, target, *flags):
    subprocess.run([program, str(source), f"--out={target}", *flags], check=True, stdout=subprocess.DEVNULL)


def same_bits(a, b):
    return a.shape == b.shape and np.array_equal(a.astype("f4").view("u4"), b.view("u4"))


def main(program, folder):
    source = folder / "weights.safetensors"
    safetensors.numpy.save_file(weights(), source, metadata={"format": "np"})
    runs = [(f, ()) for f in BLOCK_FORMATS + OTHER_FORMATS] + [(f, ("--per_channel",)) for f in OTHER_FORMATS]
    wrong, compared, by_torchao = [], 0, 0
    for fmt, flags in runs:
        packed, back = folder / "packed.safetensors", folder / "back.safetensors"
        convert(program, source, packed, f"--to={fmt}", *flags)
        convert(program, packed, back, "--to=float32")
        arrays = dict(safetensors.deserialize(packed.read_bytes()))
        numbers = safetensors.numpy.load_file(back)
        with safetensors.safe_open(packed, framework="np") as file:
            metadata = file.metadata()
        entries = {k[len(PREFIX):]: json.loads(v) for k, v in metadata.items() if k.startswith(PREFIX)}
        assert sorted(entries) == ["conv", "experts", "half", "linear", "wide"], entries
        assert entries["half"]["dtype"] == "float16", entries
        for name, entry in entries.items():
            assert entry["format"] == fmt, entry
            compared += 1
            if not same_bits(with_numpy(arrays, name, entry), numbers[name]):
                wrong.append(f"{fmt} {flags} {name}: not NumPy's")
            torchao = with_torchao(arrays, name, entry) if torch else None
            by_torchao += torchao is not None
            if torchao is not None and not same_bits(torchao, numbers[name]):
                wrong.append(f"{fmt} {name}: not torchao's")
        assert same_bits(weights()["bias"], numbers["bias"])
    print("\n".join(wrong))
    print(f"{compared} arrays compared, {by_torchao} of them with torchao, {len(wrong)} wrong")
    return 1 if wrong or compared != 5 * len(runs) or (torch and by_torchao != 5 * 6) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2])))
