"""Writes files with the libraries that own their formats; io/interop_reader must read each array bit for bit.

array_files.py <io/interop_reader> <empty folder>
"""

import io
import json
import pathlib
import subprocess
import sys
import zipfile

import ml_dtypes
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

NUMPY_TYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
TORCH_TYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8,
    torch.bool,
]  # fmt: skip
SHAPES = [(), (5,), (0, 3), (2, 3, 4)]


class Cases:
    """Files, what each must hold, and which must be refused with what words."""

    def __init__(self, folder):
        self.folder = folder
        self.arrays = {}  # path -> {name: (dtype, shape, bytes in C order)}
        self.refused = {}  # path -> words
        self.random = np.random.default_rng(1)

    def path(self, name):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        return str(path)

    def expect(self, path, arrays):
        self.arrays[path] = arrays

    def numpy(self, dtype, shape):
        dtype = np.dtype(dtype)
        count = int(np.prod(shape))
        if dtype.kind == "b":
            return self.random.integers(0, 2, count).astype(dtype).reshape(shape)
        return np.frombuffer(self.random.bytes(count * dtype.itemsize), dtype).reshape(shape).copy()

    def torch(self, dtype, shape):
        if dtype == torch.bool:
            return torch.from_numpy(self.numpy("?", shape))
        bits = torch.from_numpy(self.numpy(f"i{dtype.itemsize}", shape))
        return bits.view(dtype)


def of_numpy(array):
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return array.dtype.name, array.shape, little.tobytes("C")


def of_torch(tensor):
    tensor = tensor.detach()
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.dtype.itemsize]
    contiguous = tensor.contiguous()
    flat = contiguous.reshape(-1).view(bits) if contiguous.numel() else torch.zeros(0, dtype=bits)
    return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), flat.numpy().tobytes()


def numpy_files(cases):
    arrays = {}
    for dtype in NUMPY_TYPES:
        for shape in SHAPES:
            arrays[f"{np.dtype(dtype).name}.{'x'.join(map(str, shape))}"] = cases.numpy(dtype, shape)
    for name, array in arrays.items():
        big = array.astype(array.dtype.newbyteorder(">"))
        orders = {"c": array, "f": np.asarray(array, order="F"), "big": big}
        for order, stored in orders.items():
            path = cases.path(f"{name}.{order}.npy")
            np.save(path, stored)
            cases.expect(path, {pathlib.Path(path).stem: of_numpy(array)})
    # NumPy gives every entry of an archive zip64's fields.
    arrays["folder/inner"] = cases.numpy("f4", (3,))
    arrays["large"] = cases.numpy("f4", (700, 1001))
    for save in (np.savez, np.savez_compressed):
        path = cases.path(f"{save.__name__}.npz")
        save(path, **arrays)
        cases.expect(path, {name: of_numpy(array) for name, array in arrays.items()})
    for name, array in (("complex", np.array([1j])), ("text", np.array(["a"]))):
        path = cases.path(f"{name}.npy")
        np.save(path, array)
        cases.refused[path] = "dtype"


def safetensors_files(cases):
    arrays = {f"{np.dtype(t).name}.{len(s)}": cases.numpy(t, s) for t in NUMPY_TYPES for s in SHAPES}
    path = cases.path("numpy.safetensors")
    safetensors.numpy.save_file(arrays, path)
    cases.expect(path, {name: of_numpy(array) for name, array in arrays.items()})
    bits = cases.numpy("u1", (4, 4))
    path = cases.path("ml_dtypes.safetensors")
    small = {
        "bfloat16": bits.view(ml_dtypes.bfloat16),
        "float8_e4m3fn": bits.view(ml_dtypes.float8_e4m3fn),
        "float8_e5m2": bits.view(ml_dtypes.float8_e5m2),
    }
    tensors = {name: (name, array.shape, array.tobytes()) for name, array in small.items()}
    safetensors.numpy.save_file(small, path)
    cases.expect(path, tensors)

    tensors = {f"{str(t)[6:]}.{len(s)}": cases.torch(t, s) for t in TORCH_TYPES for s in SHAPES}
    path = cases.path("torch.safetensors")
    safetensors.torch.save_file(tensors, path)
    cases.expect(path, {name: of_torch(tensor) for name, tensor in tensors.items()})

    codes = cases.numpy("u1", (3, 8)) & 15
    path = cases.path("float4.safetensors")
    pairs = torch.from_numpy(codes[:, ::2] | codes[:, 1::2] << 4).view(torch.float4_e2m1fn_x2)
    safetensors.torch.save_file({"w": pairs}, path)
    cases.expect(path, {"w": ("float4_e2m1fn", codes.shape, codes.tobytes())})

    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    weight_map = {}
    for shard, members in shards.items():
        safetensors.torch.save_file({n: tensors[n] for n in members}, cases.path("sharded/" + shard))
        weight_map.update({n: shard for n in members})
    path = cases.path("sharded/model.safetensors.index.json")
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    pathlib.Path(path).write_text(json.dumps(index, indent=2))
    cases.expect(path, {name: of_torch(tensor) for name, tensor in tensors.items()})


def state_of_adam():
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()
    return model, optimizer


class Hyperparameters:
    """Stands for whatever people save beside their tensors."""

    def __init__(self):
        self.rate = 0.1


def torch_objects(cases):
    """By name: the object to save, and the tensors that must be found in it."""
    every = {f"{str(t)[6:]}.{len(s)}": cases.torch(t, s) for t in TORCH_TYPES for s in SHAPES}
    yield "every", every, every
    yield "lone", (t := cases.torch(torch.float32, (2, 3))), {"lone": t}
    large = cases.torch(torch.float32, (1500, 1003))
    views = {
        "whole": large,
        "transposed": large.t(),
        "slice": large[3:1000:7, 5:900:2],
        "row": large[77],
        "column": large[:, 11],
        "scalar": large[5, 6],
        "expanded": large[0, :3].expand(100, 4, 3),
        "permuted": large[:1496, :1000].reshape(8, 187, 10, 100).permute(2, 0, 3, 1),
        "channels_last": cases.torch(torch.float16, (4, 5, 6, 7)).to(memory_format=torch.channels_last),
        "bytes": cases.torch(torch.uint8, (7, 9)).t(),
        "small": cases.torch(torch.uint16, (7, 9))[1:, ::2].t(),
    }
    yield "views", views, views
    shared = cases.torch(torch.float64, (4,))
    yield "shared", {"a": shared, "b": {"c": shared}, "tail": shared[2:]}, {
        "a": shared, "b.c": shared, "tail": shared[2:],
    }  # fmt: skip
    same = {"w": shared}
    yield "same_container", [same, same, (same,)], {"0.w": shared, "1.w": shared, "2.0.w": shared}
    parameter = torch.nn.Parameter(cases.torch(torch.bfloat16, (3, 2)))
    marked = torch.nn.Parameter(cases.torch(torch.float32, (2,)))
    marked.note = "kept"
    buffer = torch.nn.Buffer(cases.torch(torch.float32, (2,)))
    yield "parameters", [parameter, marked, buffer], {"0": parameter, "1": marked, "2": buffer}

    model, optimizer = state_of_adam()
    tensors = {f"model.{n}": t for n, t in model.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.state.{i}.{key}": t for key, t in state.items()})
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "huge": 1 << 100,
        "hyperparameters": Hyperparameters(),
        "array": np.arange(3),
        "dtype": torch.float16,
        "size": torch.Size([1, 2]),
        "set": {1, 2},
        (1, 2): None,
    }
    assert len(tensors) > 20, tensors
    yield "checkpoint", checkpoint, tensors
    yield "module", model, model.state_dict()


def torch_files(cases):
    for name, obj, tensors in torch_objects(cases):
        expected = {n: of_torch(t) for n, t in tensors.items()}
        for kind in ("zip", "legacy"):
            path = cases.path(f"{kind}/{name}.pt")
            torch.save(obj, path, _use_new_zipfile_serialization=kind == "zip")
            cases.expect(path, expected)
        for protocol in (3, 4, 5):
            path = cases.path(f"protocol{protocol}/{name}.pth")
            torch.save(obj, path, pickle_protocol=protocol)
            cases.expect(path, expected)
        path = cases.path(f"deflated/{name}.pt")
        with zipfile.ZipFile(cases.path(f"zip/{name}.pt")) as stored:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as deflated:
                for entry in stored.namelist():
                    deflated.writestr(entry, stored.read(entry))
        cases.expect(path, expected)

    tensor = cases.torch(torch.int32, (3, 2))
    swapped = io.BytesIO()
    torch.save({"t": tensor}, swapped)
    path = cases.path("big_endian.pt")
    with zipfile.ZipFile(swapped) as little, zipfile.ZipFile(path, "w") as big:
        for entry in little.namelist():
            data = little.read(entry)
            if entry.endswith("/byteorder"):
                data = b"big"
            if "/data/" in entry:
                data = np.frombuffer(data, "<i4").byteswap().tobytes()
            big.writestr(entry, data)
    cases.expect(path, {"t": of_torch(tensor)})

    refused = {
        "complex64": (torch.ones(2, dtype=torch.complex64), "ComplexFloatStorage"),
        "float4": (torch.ones(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), "float4_e2m1fn_x2"),
        "sparse": (torch.eye(3).to_sparse(), "sparse"),
        "csr": (torch.eye(3).to_sparse_csr(), "sparse"),
        "nested": (torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "nested"),
        "quantised": (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "quantised"),
        "meta": (torch.empty(3, device="meta"), "without elements"),
        "negated": (torch._neg_view(torch.ones(2)), "negated"),
        "expanded": (torch.zeros(1).expand(1 << 20, 1 << 10), "repeat"),
    }
    for name, (obj, words) in refused.items():
        path = cases.path(f"refused_{name}.pt")
        torch.save({"t": obj}, path)
        cases.refused[path] = words


def torchscript_file(cases):
    model, _ = state_of_adam()
    path = cases.path("torchscript.pt")
    torch.jit.trace(model.eval(), torch.ones(5, 3)).save(path)
    cases.expect(path, {n: of_torch(t) for n, t in model.state_dict().items()})


def in_c_order(data, shape, order, itemsize):
    if order == "C":
        return data
    return np.frombuffer(data, f"V{itemsize}").reshape(shape, order="F").tobytes("C")


def main(reader, folder):
    cases = Cases(folder)
    for write in (numpy_files, safetensors_files, torch_files, torchscript_file):
        write(cases)
    out = folder / "read"
    out.mkdir()
    paths = [*cases.arrays, *cases.refused]
    lines = subprocess.run([reader, str(out), *paths], capture_output=True, text=True, check=True).stdout
    got, refused = {path: {} for path in paths}, {}
    for line in lines.splitlines():
        fields = line.split("\t")
        if fields[0] == "refused":
            refused[fields[1]] = fields[2]
            continue
        index, path, dtype, dims, order, name = fields
        shape = tuple(int(d) for d in dims.split(",")) if dims else ()
        data = (out / f"{index}.bin").read_bytes()
        count = int(np.prod(shape))
        got[path][name] = dtype, shape, in_c_order(data, shape, order, len(data) // count if count else 1)

    wrong = []
    for path, expected in cases.arrays.items():
        if path in refused:
            wrong.append(refused[path])
        elif got[path].keys() != expected.keys():
            wrong.append(f"{path}: {sorted(got[path].keys() ^ expected.keys())}")
        else:
            differ = [name for name in expected if got[path][name] != expected[name]]
            wrong += [f"{path}: {name}: {got[path][name][:2]}" for name in differ]
    for path, words in cases.refused.items():
        if words not in refused.get(path, ""):
            wrong.append(f"{path}: not refused with {words!r}: {refused.get(path)}")
    print("\n".join(wrong))
    total = sum(map(len, cases.arrays.values()))
    print(f"{len(cases.arrays)} files with {total} arrays, {len(cases.refused)} refused, {len(wrong)} wrong")
    return 1 if wrong or total < 1000 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2])))
