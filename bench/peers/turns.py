"""Times a benchmark of Halftone and its peer in PyTorch in turns.

Each round runs Halftone's benchmark and then the same in PyTorch; the table has the medians of each and of the
rounds' ratios, so that a machine that is slower for a while is slower for both.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

import torch


def resnet18_sizes():
    """Elements of each parameter: 3 x 3 convolutions with batch norm, as torchvision's for 32 x 32 images."""
    result = []

    def conv_bn(inputs, outputs, kernel):
        result.extend([inputs * outputs * kernel * kernel, outputs, outputs])

    conv_bn(3, 64, 3)
    inputs = 64
    for outputs in (64, 128, 256, 512):
        conv_bn(inputs, outputs, 3)
        conv_bn(outputs, outputs, 3)
        if inputs != outputs:
            conv_bn(inputs, outputs, 1)
        conv_bn(outputs, outputs, 3)
        conv_bn(outputs, outputs, 3)
        inputs = outputs
    return result + [5120, 10]


def milliseconds(function, repetitions):
    """The median of single runs, once warm."""
    for _ in range(3):
        function()
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def halftone_rows(binary, threads, repetitions, benchmarks):
    """Milliseconds by benchmark: medians of means over a tenth of a second each."""
    command = [binary, f"--threads={threads}", f"--benchmark_filter={benchmarks}", "--benchmark_format=json",
               "--benchmark_min_time=0.1",
               f"--benchmark_repetitions={repetitions}", "--benchmark_report_aggregates_only=true"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return {row["run_name"].removesuffix("/real_time"): row["real_time"]
            for row in json.loads(output)["benchmarks"] if row["aggregate_name"] == "median"}


def compare(peers, description, binary, benchmarks="."):
    """peers: by the name of Halftone's benchmark, a function that does the same. binary: its Bazel label. benchmarks: a
    regular expression of those to run."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halftone", required=True, metavar="FILE", help=f"the built {binary}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--repetitions", type=int, default=9, help="in each round; ten times as many of PyTorch's single runs")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    ours, theirs = {}, {}
    for _ in range(args.rounds):
        for name, ms in halftone_rows(args.halftone, args.threads, args.repetitions, benchmarks).items():
            ours.setdefault(name, []).append(ms)
        for name, run in peers.items():
            theirs.setdefault(name, []).append(milliseconds(run, 10 * args.repetitions))

    print(f"torch {torch.__version__}, {args.threads} threads, {args.rounds} rounds, "
          f"preloaded '{os.environ.get('LD_PRELOAD', '')}', load average {os.getloadavg()[0]:.1f}")
    print(f"{'':<28}{'Halftone ms':>12}{'PyTorch ms':>12}{'ratio':>8}{'of rounds':>16}")
    for name, times in ours.items():
        line = f"{name:<28}{statistics.median(times):>12.2f}"
        if name in theirs:
            ratios = [t / o for t, o in zip(theirs[name], times)]
            line += (f"{statistics.median(theirs[name]):>12.2f}{statistics.median(ratios):>8.2f}"
                     f"{min(ratios):>9.2f} to {max(ratios):.2f}")
        print(line)
