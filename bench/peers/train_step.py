"""PyTorch's time for one training step of one of Halftone's models, in every setting that could be its fastest.

A step is zero_grad, forward, cross-entropy, backward and SGD (momentum 0.9, weight decay 5e-4) on a batch of
random 32 x 32 RGB images. Rows: {fp32, bf16 autocast} x {NCHW, channels_last} x {eager, torch.compile};
--fp16 adds fp16 autocast with a GradScaler. --halftone=FILE runs the built //bench:train_step and PyTorch in turns
instead, model by model. README.md says how to run it fairly.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

from image_models import MODELS

_DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
_FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def make_step(name, precision, memory_format, compiled, batch, width):
    """Returns a function that runs one training step."""
    torch.manual_seed(0)
    model = MODELS[name](width).to(memory_format=_FORMATS[memory_format])
    images = torch.randn(batch, 3, 32, 32).to(memory_format=_FORMATS[memory_format])
    labels = torch.randint(0, 10, (batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)
    forward = torch.compile(model) if compiled else model
    dtype = _DTYPES[precision]
    scaler = torch.amp.GradScaler("cpu", enabled=precision == "fp16")

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            loss = F.cross_entropy(forward(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def measure(step, warmup, repetitions):
    """Milliseconds of each repetition."""
    for _ in range(warmup):
        step()
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def halftone_step(binary, name, recipe, threads, seconds):
    """Milliseconds of Halftone's step: the mean of so many seconds."""
    command = [binary, f"--threads={threads}", "--benchmark_format=json", f"--benchmark_min_time={seconds}",
               f"--benchmark_filter={name}_step/{recipe}/"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return json.loads(output)["benchmarks"][0]["real_time"]


def in_turns(args, models):
    """Prints, for every model and precision, the medians of both sides and of the rounds' ratios."""
    settings = list(itertools.product(_FORMATS, ["eager"] if args.eager_only else ["eager", "compile"]))
    print(f"{'model':<13}{'precision':<10}{'Halftone ms':>12}{'PyTorch ms':>12}{'ratio':>8}{'of rounds':>16}  PyTorch's best")
    for name, (precision, recipe) in itertools.product(models, (("fp32", "fp32"), ("bf16", "amp_bf16"))):
        steps = {s: make_step(name, precision, s[0], s[1] == "compile", args.batch, 0) for s in settings}
        for step in steps.values():
            measure(step, args.warmup, 0)
        ours, theirs = [], {s: [] for s in settings}
        for _ in range(args.rounds):
            ours.append(halftone_step(args.halftone, name, recipe, args.threads, 2))
            for s, step in steps.items():
                start, times = time.perf_counter(), []
                while len(times) < 2 or time.perf_counter() < start + 2:
                    times += measure(step, 0, 1)
                theirs[s].append(statistics.mean(times))
        best = min(settings, key=lambda s: statistics.median(theirs[s]))
        ratios = [t / o for t, o in zip(theirs[best], ours)]
        print(f"{name:<13}{precision:<10}{statistics.median(ours):>12.1f}{statistics.median(theirs[best]):>12.1f}"
              f"{statistics.median(ratios):>8.2f}{min(ratios):>9.2f} to {max(ratios):.2f}  {' '.join(best)}", flush=True)
        torch.compiler.reset()


def machine():
    """What the numbers depend on: CPU, its matrix and half-precision features, libraries, allocator."""
    info = {}
    with open("/proc/cpuinfo") as file:
        for line in file:
            key, _, value = line.partition(":")
            info.setdefault(key.strip(), value.strip())
    wanted = ("avx2", "f16c", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_fp16")
    flags = set(info.get("flags", "").split())
    return {
        "cpu": info.get("model name", "unknown"),
        "features": [f for f in wanted if f in flags],
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "onednn": torch.backends.mkldnn.is_available(),
        "preload": os.environ.get("LD_PRELOAD", ""),
        "load_average": os.getloadavg()[0],
    }


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--model", choices=MODELS, default="cnn")
    parser.add_argument("--width", type=int, default=0, help="the model's own measure of it; 0: the published one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--fp16", action="store_true", help="add fp16 autocast, and fp32 at the same --fp16_batch")
    parser.add_argument("--fp16_batch", type=int, default=8,
                        help="small: without fp16 kernels for weight gradients a step takes seconds")
    parser.add_argument("--eager_only", action="store_true", help="leave torch.compile out (it needs g++)")
    parser.add_argument("--halftone", metavar="FILE", help="the built //bench:train_step, to be timed in turns with PyTorch")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS), help="with --halftone: which")
    parser.add_argument("--rounds", type=int, default=5, help="with --halftone: how many turns, of two seconds each")
    parser.add_argument("--json", metavar="FILE", help="write everything measured there too; - is standard output")
    return parser.parse_args()


def main():
    args = parse_args()
    torch.set_num_threads(args.threads)
    if args.halftone:
        print(" ".join(f"{k}={v}" for k, v in machine().items()))
        return in_turns(args, args.models)
    modes = ["eager"] if args.eager_only else ["eager", "compile"]
    settings = [(p, f, m, args.batch) for p, f, m in itertools.product(("fp32", "bf16"), _FORMATS, modes)]
    if args.fp16:
        settings += [(p, "channels_last", "eager", args.fp16_batch) for p in ("fp32", "fp16")]

    out = sys.stderr if args.json == "-" else sys.stdout
    report = {"machine": machine(), "model": args.model, "width": args.width, "rows": []}
    print(" ".join(f"{k}={v}" for k, v in report["machine"].items()), file=out)
    print(f"{'precision':<10}{'format':<15}{'mode':<9}{'batch':>6}{'median ms':>11}{'min ms':>9}{'max ms':>9}", file=out)
    for precision, memory_format, mode, batch in settings:
        step = make_step(args.model, precision, memory_format, mode == "compile", batch, args.width)
        times = measure(step, args.warmup, args.repetitions)
        row = {"precision": precision, "format": memory_format, "mode": mode, "batch": batch,
               "ms_median": statistics.median(times), "ms_min": min(times), "ms_max": max(times)}
        report["rows"].append(row)
        print(f"{precision:<10}{memory_format:<15}{mode:<9}{batch:>6}{row['ms_median']:>11.2f}{row['ms_min']:>9.2f}"
              f"{row['ms_max']:>9.2f}", file=out, flush=True)
        torch.compiler.reset()
    for precision in ("fp32", "bf16"):
        best = min((r for r in report["rows"] if r["precision"] == precision and r["batch"] == args.batch),
                   key=lambda r: r["ms_median"])
        print(f"best {precision}: {best['ms_median']:.2f} ms ({best['format']}, {best['mode']})", file=out)
    if args.json == "-":
        json.dump(report, sys.stdout, indent=1)
        print()
    elif args.json:
        with open(args.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
