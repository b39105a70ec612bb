"""Training steps of the MLP (784-256-10) and of BigNet (18.9 million weights): Halftone and PyTorch in turns.

Each round runs Halftone's benchmark and then the same steps in PyTorch, in float32 and under bf16 autocast, with
fused optimisers; the table has the medians of each and of the rounds' ratios, so that a machine that is slower for a
while is slower for both. Build first:

  bazel build //bench:training_step
  python bench/peers/training_step.py --halftone=bazel-bin/bench/training_step
"""

import argparse
import os
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F
from torch import nn

_RECIPES = {"fp32": None, "amp_bf16": torch.bfloat16}
_OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 1e-4, momentum=0.9, weight_decay=5e-4, fused=True),
    "adam": lambda p: torch.optim.Adam(p, 1e-4, fused=True),
}


def mlp():
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


class BigBlock(nn.Module):
    """[B, dim] -> x + linear(relu(linear(relu(linear(x)))))."""

    def __init__(self, dim):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))

    def forward(self, x):
        return x + self.model(x)


def bignet(dim=1024, blocks=6):
    layers = [BigBlock(dim)]
    for _ in range(blocks - 1):
        layers += [nn.LayerNorm(dim), BigBlock(dim)]
    return nn.Sequential(*layers)


_MODELS = {"mlp": (mlp, 784), "bignet": (bignet, 1024)}


def make_step(name, recipe, compiled):
    """A function that runs one training step of Halftone's "model/batch/optimizer"."""
    torch.manual_seed(0)
    model_name, batch, optimizer_name = name.split("/")
    make, inputs = _MODELS[model_name]
    model = make()
    x, labels = torch.randn(int(batch), inputs), torch.randint(0, 10, (int(batch),))
    optimizer = _OPTIMIZERS[optimizer_name](model.parameters())
    forward = torch.compile(model) if compiled else model
    dtype = _RECIPES[recipe]

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            loss = F.cross_entropy(forward(x), labels)
        loss.backward()
        optimizer.step()

    return step


def milliseconds(step):
    """The median of steps for some tenths of a second, once warm."""
    for _ in range(3):
        step()
    times, end = [], time.perf_counter() + 0.3
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def halftone_rows(binary, threads, only):
    """Milliseconds by (name, recipe)."""
    command = [binary, f"--threads={threads}", "--rounds=3", f"--only={only}"]
    output = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    rows = [line.split() for line in output.splitlines()[2:]]  # after the machine and the headings
    return {(name, recipe): float(median) for name, recipe, median, *_ in rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halftone", required=True, metavar="FILE", help="the built //bench:training_step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="PART", help="of a name, as in bignet/128/adam")
    parser.add_argument("--compile", action="store_true", help="torch.compile, which needs g++, in place of eager")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    steps, ours, theirs = {}, {}, {}
    for _ in range(args.rounds):
        for key, ms in halftone_rows(args.halftone, args.threads, args.only).items():
            if key[1] not in _RECIPES:
                continue
            if key not in steps:
                steps[key] = make_step(*key, args.compile)
            ours.setdefault(key, []).append(ms)
            theirs.setdefault(key, []).append(milliseconds(steps[key]))

    print(f"torch {torch.__version__}, {args.threads} threads, {args.rounds} rounds, "
          f"preloaded '{os.environ.get('LD_PRELOAD', '')}', load average {os.getloadavg()[0]:.1f}")
    print(f"{'':<30}{'Halftone ms':>12}{'PyTorch ms':>12}{'ratio':>8}{'of rounds':>16}")
    for key, times in ours.items():
        ratios = [t / o for t, o in zip(theirs[key], times)]
        print(f"{' '.join(key):<30}{statistics.median(times):>12.3f}{statistics.median(theirs[key]):>12.3f}"
              f"{statistics.median(ratios):>8.2f}{min(ratios):>9.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
