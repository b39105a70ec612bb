"""Makes the seeds in corpus/ with the libraries that own the formats; the inputs named by their hash were found by fuzzing.

    pip install numpy==2.4.6 safetensors==0.8.0 torch && python make_seeds.py
"""

import io
import json
import pathlib
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save

CORPUS = pathlib.Path(__file__).parent / "corpus"


def write(reader, name, data):
    folder = CORPUS / reader
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def npy(array, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), version=version)
    return out.getvalue()


def npz(save_as, **arrays):
    out = io.BytesIO()
    save_as(out, **arrays)
    return out.getvalue()


# .npy
f4 = np.arange(6, dtype="<f4").reshape(2, 3) / 2 - 2
for dtype in ("f8", "f2", ">f4", "i8", ">i2", "u1", "?"):
    write("npy", dtype.replace(">", "big_").replace("?", "bool") + ".npy", npy(f4.astype(dtype)))
write("npy", "f4.npy", npy(f4))
write("npy", "fortran.npy", npy(np.asfortranarray(f4)))
write("npy", "scalar.npy", npy(f4[0, 0]))
write("npy", "empty.npy", npy(np.zeros((0, 3), "f4")))
write("npy", "version2.npy", npy(f4, (2, 0)))
write("npy", "version3.npy", npy(f4, (3, 0)))
write("npy", "struct.npy", npy(np.zeros(1, [("a", "<f4"), ("b", "<i4")])))
write("npy", "complex.npy", npy(np.array([1j])))
write("npy", "cut.npy", npy(f4)[:-3])
write("npy", "header_cut.npy", npy(f4)[:40])
huge = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296L, 4294967296), }"
write("npy", "huge.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(huge)) + huge)

# .npz
write("npz", "stored.npz", npz(np.savez, a=f4, b=np.int64(7)))
write("npz", "deflated.npz", npz(np.savez_compressed, a=np.zeros(4096, ">f8"), b=f4))
write("npz", "empty.npz", npz(np.savez))
write("npz", "cut.npz", npz(np.savez, a=f4)[:-9])
other = io.BytesIO()
with zipfile.ZipFile(other, "w") as archive:
    archive.comment = b"a comment"
    archive.writestr(zipfile.ZipInfo("folder/a.npy"), npy(f4))
    archive.writestr(zipfile.ZipInfo("readme.txt"), "no array")
write("npz", "other.npz", other.getvalue())
with zipfile.ZipFile(other := io.BytesIO(), "w") as archive:
    with archive.open("a.npy", "w", force_zip64=True) as entry:
        entry.write(npy(f4))
write("npz", "zip64.npz", other.getvalue())


def zip64(entries):  # Python writes these records only for huge archives
    plain = npz(np.savez, a=f4)
    end = plain.rfind(b"PK\5\6")
    size, start = struct.unpack("<II", plain[end + 12 : end + 20])
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    return plain[:end] + record + locator + struct.pack("<4sHHHHIIH", b"PK\5\6", *[0xFFFF] * 4, *[2**32 - 1] * 2, 0)


write("npz", "zip64_directory.npz", zip64(1))
write("npz", "zip64_many.npz", zip64(2**60))
wrong_sum = bytearray(npz(np.savez, a=f4))
wrong_sum[wrong_sum.find(f4.tobytes())] ^= 1
write("npz", "wrong_sum.npz", bytes(wrong_sum))

# safetensors
tensors = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b.weight": torch.arange(3).to(torch.bfloat16),
    "c": torch.tensor(5),
    "empty": torch.zeros(0, 3),
    "e4m3": torch.arange(4).to(torch.float8_e4m3fn),
}
good = save(tensors, metadata={"text": 'a "quoted" line\nand \u00e9'})
write("safetensors", "torch.safetensors", good)
write("safetensors", "none.safetensors", save({}))
write("safetensors", "cut.safetensors", good[:-1])
write("safetensors", "header_cut.safetensors", good[:100])


def safetensors(header, data=b""):
    return struct.pack("<Q", len(header)) + header.encode() + data


def entry(name, dtype, shape, begin, end):
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}'


two = entry("a", "U8", [2], 0, 2)
for name, header, data in (
    ("overlap", "{" + two + "," + entry("b", "U8", [2], 1, 3) + "}", b"abc"),
    ("gap", "{" + two + "," + entry("b", "U8", [2], 3, 5) + "}", b"abcde"),
    ("twice", "{" + two + "," + two + "}", b"ab"),
    ("huge", "{" + entry("a", "F64", [2**62, 8], 0, 0) + "}", b""),
    ("escapes", r'{"\u00e9\ud83d\ude00\"":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}', b"a"),
    ("nested", '{"a":' + "[" * 40, b""),
    ("numbers", '{"a":{"dtype":"F32","shape":[-1,1e99],"data_offsets":[0,18446744073709551616]}}', b""),
):
    write("safetensors", name + ".safetensors", safetensors(header, data))

# PyTorch's own files
base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
objects = {
    "tensor": torch.arange(3, dtype=torch.int64),
    "state": OrderedDict([("w", torch.nn.Parameter(base)), ("b", torch.zeros(2, dtype=torch.bfloat16))]),
    "views": {"t": base.t(), "column": base[:, 1], "same": base, "one": base[0, 0], "wide": base[:1].expand(3, 4)},
    "nested": {"model": {"a": [torch.ones(1), torch.tensor(True)]}, "epoch": 3, "lr": 0.1, 5: (torch.zeros(0, 3),)},
    "refused": {"sparse": torch.eye(2).to_sparse()},
    "cycle": {"a": torch.ones(1, dtype=torch.float16)},
}
objects["cycle"]["self"] = objects["cycle"]
for name, value in objects.items():
    torch.save(value, out := io.BytesIO())
    write("pytorch_zip", name + ".pth", out.getvalue())
    torch.save(value, out := io.BytesIO(), _use_new_zipfile_serialization=False)
    write("pytorch_legacy", name + ".pth", out.getvalue())
many = torch.ones(1)
for _ in range(12):
    many = [many] * 3
torch.save(many, out := io.BytesIO(), _use_new_zipfile_serialization=False)
write("pytorch_legacy", "lists_of_lists.pth", out.getvalue())
for protocol in (4, 5):
    torch.save(objects["nested"], out := io.BytesIO(), pickle_protocol=protocol)
    write("pytorch_zip", f"protocol_{protocol}.pth", out.getvalue())
with zipfile.ZipFile(other := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
    views = zipfile.ZipFile(CORPUS / "pytorch_zip" / "views.pth")
    for name in views.namelist():
        archive.writestr(zipfile.ZipInfo(name), views.read(name), zipfile.ZIP_DEFLATED)
write("pytorch_zip", "deflated.pth", other.getvalue())
for format in ("zip", "legacy"):
    write("pytorch_" + format, "cut.pth", (CORPUS / ("pytorch_" + format) / "views.pth").read_bytes()[:-30])

# The index of a sharded model: see sharded_safetensors_fuzzer.cc
weights = {"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"}
for name, index in (
    ("good", {"metadata": {"total_size": 5}, "weight_map": weights}),
    ("one", {"weight_map": {"c": "2.safetensors"}}),
    ("empty", {"metadata": {}, "weight_map": {}}),
    ("no_map", {"metadata": {"a": "b", "c": 1.5, "d": True, "e": None}}),
    ("missing", {"weight_map": weights | {"d": "3.safetensors"}}),
    ("wrong_file", {"weight_map": weights | {"c": "1.safetensors"}}),
    ("not_named", {"weight_map": {"a": "1.safetensors"}}),
    ("folder", {"weight_map": {"a": "../1.safetensors"}}),
    ("newline", {"weight_map": {"a": "1.safetensors\n"}}),
    ("nul", {"weight_map": {"a": "1.safetensors\0"}}),
    ("long", {"weight_map": {"a": "1" * 2500 + ".safetensors"}}),
    ("itself", {"weight_map": {"a": "x"}}),
    ("nested", {"weight_map": {"a": {"b": []}}}),
):
    write("sharded_safetensors", name + ".json", json.dumps(index).encode())

# IDX
for code, dtype in ((8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")):
    write("idx", f"type_{code:02x}.idx", struct.pack(">HBBII", 0, code, 2, 2, 3) + f4.astype(dtype).tobytes())
write("idx", "scalar.idx", b"\0\0\x08\0a")
write("idx", "cut.idx", struct.pack(">HBBI", 0, 8, 1, 6) + b"abc")
write("idx", "huge.idx", struct.pack(">HBBIII", 0, 14, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1))
write("idx", "rank_255.idx", b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"a")

# CIFAR: records of 3073 bytes, or of 3074
write("cifar", "cifar10.bin", b"\x07" + bytes(3072))
write("cifar", "cifar10_two.bin", (b"\x07" + b"\x01" * 1024 + bytes(2048)) * 2)
write("cifar", "cifar100.bin", b"\x07\x63" + bytes(3072))
write("cifar", "cut.bin", b"\x07" + bytes(3000))

# Tables
for name, text in (
    ("heading", "a,b\n1,2\n3,4\n"),
    ("crlf", "1.5,-2e3\r\n\r\n# comment\r\nnan,inf\r\n"),
    ("quoted", '"a,b",c\n"1.5", 2\n'),
    ("bom", "\ufeff1,2\n"),
    ("tabs", "1\t2\n3\t4"),
    ("ragged", "1,2\n3\n"),
    ("word", "1,2\n3,four\n"),
    ("beyond", "1e999,-1e999,1e-999,0x1p3\n"),
    ("only_heading", "a,b\n"),
    ("no_field", ",\n1,\n"),
):
    write("csv", name + ".csv", text.encode())

# Raw numbers: see raw_fuzzer.cc
write("raw", "f32_vector", b"\x01\x00" + f4.tobytes())
write("raw", "f16_matrix", b"\x02\x03" + struct.pack("<QQ", 4, 6) + f4.astype("<f2").tobytes())
write("raw", "u8_scalar", b"\x0d\x01a")
write("raw", "f64_odd", b"\x00\x00abc")
write("raw", "i64_huge", b"\x06\x03" + struct.pack("<QQ", 2**63, 2**63))
write("raw", "rank_65", b"\x0d\x42" + b"\2\0\0\0\0\0\0\0" * 65 + b"a")
write("raw", "e5m2_empty", b"\x05\x02" + struct.pack("<Q", 0))

# What the first bytes tell
for seed in (
    "idx/type_0b.idx",
    "npy/f4.npy",
    "npz/deflated.npz",
    "pytorch_legacy/tensor.pth",
    "pytorch_zip/tensor.pth",
    "safetensors/torch.safetensors",
):
    write("by_content", seed.replace("/", "_"), (CORPUS / seed).read_bytes())
write("by_content", "nothing.bin", b"nothing that is known")
