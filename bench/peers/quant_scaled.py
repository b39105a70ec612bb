"""Quantisation of 10^7 float32: Halftone and PyTorch with torchao in turns.

Of each row PyTorch's eager and compiled ways are tried, and the faster one is timed. Halftone writes codes one a byte
and reuses its outputs; torchao packs two of 4 bits into a byte, and PyTorch allocates its outputs: preload tcmalloc, so
that this costs nothing.

  bazel build //bench:quant
  LD_PRELOAD=libtcmalloc_minimal.so.4 python bench/peers/quant_scaled.py --halftone=bazel-bin/bench/quant
"""

import torch

from turns import compare, milliseconds

ROWS, ROW_SIZE = 1250, 8000


def faster(name, eager):
    """The faster of a function and its compiled self."""
    ways = {"eager": eager}
    try:
        compiled = torch.compile(eager)
        compiled()
        ways["compiled"] = compiled
    except Exception as error:  # what the compiler cannot do is left to eager
        print(f"{name} cannot be compiled: {type(error).__name__}")
    times = {way: milliseconds(function, 15) for way, function in ways.items()}
    way = min(times, key=times.get)
    print(f"{name}: {', '.join(f'{w} {t:.2f} ms' for w, t in times.items())}")
    return ways[way]


def scaled_rows():
    """By the name of Halftone's benchmark in bench/quant_scaled.cc: what PyTorch does in its place."""
    from torchao.prototype.mx_formats.config import ScaleCalculationMode
    from torchao.prototype.mx_formats.mx_tensor import to_mx
    from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize, per_tensor_amax_to_scale

    x = torch.randn(ROWS, ROW_SIZE)
    amax = x.abs().max().item()
    scale = torch.tensor(amax / 127)
    channel_scales = x.abs().amax(dim=1) / 127
    zero, channel_zeros = torch.tensor(3, dtype=torch.int32), torch.full((ROWS,), 3, dtype=torch.int32)
    float8 = x.to(torch.float8_e4m3fn)
    mode = ScaleCalculationMode

    def nvfp4():
        return nvfp4_quantize(x, 16, per_tensor_amax_to_scale(x.abs().max()))

    rows = {
        "FakeInt8/per_tensor": lambda: torch.fake_quantize_per_tensor_affine(x, scale, zero, -128, 127),
        "FakeInt8/per_channel": lambda: torch.fake_quantize_per_channel_affine(x, channel_scales, channel_zeros, 0, -128, 127),
        "FakeFloat/float8_e4m3fn": lambda: x.to(torch.float8_e4m3fn).to(torch.float32),
        "FakeFloat/float8_e5m2": lambda: x.to(torch.float8_e5m2).to(torch.float32),
        "QuantizeFloat8": lambda: x.to(torch.float8_e4m3fn),
        "DequantizeFloat8": lambda: float8.to(torch.float32),
        "Scales/amax_per_tensor": lambda: x.abs().max() / 127,
        "Scales/amax_per_channel": lambda: x.abs().amax(dim=1) / 127,
        "ToBlocks/mxfp8": lambda: to_mx(x, torch.float8_e4m3fn, 32, mode.FLOOR),
        "ToBlocks/mxfp8_rceil": lambda: to_mx(x, torch.float8_e4m3fn, 32, mode.RCEIL),
        "ToBlocks/mxfp6": lambda: to_mx(x, "fp6_e2m3", 32, mode.FLOOR),
        "ToBlocks/mxfp4": lambda: to_mx(x, torch.float4_e2m1fn_x2, 32, mode.FLOOR),
        "ToBlocks/nvfp4": nvfp4,
    }
    return {name: faster(name, run) for name, run in rows.items()}


if __name__ == "__main__":
    torch.set_num_threads(2)
    compare(scaled_rows(), __doc__, "//bench:quant", benchmarks="^(FakeInt8|FakeFloat|Quantize|Dequantize|Backward|Scales|.*Blocks)")
