"""Quantisation of 10^7 float32 to codebooks: Halftone and PyTorch in turns.

Of each row PyTorch runs what is fastest there of all that is tried, eagerly and with torch.compile, so that Halftone is compared
with PyTorch at its best; what was tried is printed first, with its times. "bucketize" and "index_add" are the usual ways.

  bazel build //bench:quant
  LD_PRELOAD=libtcmalloc_minimal.so.4 python bench/peers/quant_codebook.py --halftone=bazel-bin/bench/quant
"""

import torch

from turns import compare, milliseconds

ELEMENTS = 10_000_000
BUCKETS = 4096


def fastest(name, ways):
    """Of functions by name, as they are and compiled; only compiled if the name ends in '*'."""
    functions = {}
    for way, function in ways.items():
        if not way.endswith("*"):
            functions[way] = function
        functions[way.rstrip("*") + " compiled"] = torch.compile(function)
    times = {way: milliseconds(function, 5) for way, function in functions.items()}
    best = min(times, key=times.get)
    print(f"{name}: {best} of " + ", ".join(f"{way} {ms:.1f} ms" for way, ms in times.items()), flush=True)
    return functions[best]


def codebook_rows(x, dy, size):
    """By the name of Halftone's benchmark: what PyTorch does in its place, with a sorted codebook of `size` values."""
    values = torch.special.ndtri((torch.arange(size) + 0.5) / size)
    values /= values.abs().max()
    middles = (values[1:] + values[:-1]) / 2
    scale = torch.tensor(5.0)

    def bucketize():
        return values[torch.bucketize(x / scale, middles)] * scale

    def take():
        return torch.take(values, torch.bucketize(x / scale, middles)) * scale

    def comparisons():  # fused into one loop of vector code
        q = x / scale
        result = values[0]
        for j in range(size - 1):
            result = torch.where(q > middles[j], values[j + 1], result)
        return result * scale

    # How many middles are below a bucket of numbers, then one comparison: right where no bucket has two middles.
    lowest = middles[0].item()
    per_unit = BUCKETS / max(middles[-1].item() - lowest, 1e-6)
    first = torch.bucketize(lowest + torch.arange(BUCKETS) / per_unit, middles, out_int32=True)
    padded = torch.cat([middles, torch.tensor([float("inf")])])

    def direct():
        q = x / scale
        code = first[((q - lowest) * per_unit).clamp(0, BUCKETS - 1).int()]
        return values[code + (q > padded[code]).int()] * scale

    codes = torch.bucketize(x / scale, middles).to(torch.uint8)

    def index():
        return values[codes.int()] * scale

    def gradients(q, value, sums):
        inside = (q >= values[0]) & (q <= values[-1])
        dscale = (dy * (value - torch.where(inside, q, 0.0))).sum()
        return torch.where(inside, dy, 0.0), sums, dscale

    def index_add():
        q = x / scale
        code = torch.bucketize(q, middles)
        return gradients(q, values[code], torch.zeros(size).index_add_(0, code, dy * scale))

    def bincount():
        q = x / scale
        code = torch.bucketize(q, middles)
        return gradients(q, values[code], torch.bincount(code, dy * scale, size))

    def reductions():  # each value's sum by itself, all in one fused loop
        q = x / scale
        code, value = torch.zeros_like(q, dtype=torch.int32), values[0]
        for j in range(size - 1):
            above = q > middles[j]
            code, value = torch.where(above, j + 1, code), torch.where(above, values[j + 1], value)
        return gradients(q, value, [torch.where(code == j, dy, 0.0).sum() * scale for j in range(size)])

    forward = {"bucketize": bucketize, "take": take}
    if size >= 16:
        forward["direct*"] = direct
    if size <= 64:
        forward["comparisons*"] = comparisons
    backward = {"index_add": index_add, "bincount": bincount}
    if size <= 16:
        backward["reductions*"] = reductions
    rows = {"CodebookForward": forward, "CodebookDequantize": {"index": index}, "CodebookBackward": backward}
    return {f"{row}/{size}": fastest(f"{row}/{size}", ways) for row, ways in rows.items()}


def torch_rows():
    x = torch.randn(ELEMENTS, generator=torch.Generator().manual_seed(1))
    dy = x.flip(0)
    rows = {}
    for size in (4, 8, 16, 64, 256):
        rows.update(codebook_rows(x, dy, size))
    return rows


if __name__ == "__main__":
    torch.set_num_threads(2)
    compare(torch_rows(), __doc__, "//bench:quant")
