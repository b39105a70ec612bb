"""PyTorch's time for a training step of Halftone's image models on an NVIDIA GPU, in turns with Halftone's.

A step is zero_grad, forward, cross-entropy, backward and fused SGD (momentum 0.9, weight decay 5e-4) on a batch that is on the
GPU already, in channels_last, under autocast (with a GradScaler in float16), eager and compiled. --halftone=FILE is the built
//bench:gpu_step; without it PyTorch alone is timed.
"""

import argparse
import json
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F

from image_models import MODELS

_DTYPES = {"fp32": None, "amp_bf16": torch.bfloat16, "amp_fp16": torch.float16}
_STEPS = 16  # between two waits, as in //bench:gpu_step


def make_steps(name, precision, compiled, batch):
    """Returns a function that runs _STEPS training steps and waits for them."""
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    model = MODELS[name](0).cuda().to(memory_format=torch.channels_last)
    images = torch.randn(batch, 3, 32, 32, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,), device="cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)
    forward = torch.compile(model, mode="max-autotune") if compiled else model
    dtype = _DTYPES[precision]
    scaler = torch.amp.GradScaler("cuda", enabled=precision == "amp_fp16", init_scale=1024.0)

    def steps():
        for _ in range(_STEPS):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
                loss = F.cross_entropy(forward(images), labels)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        torch.cuda.synchronize()

    return steps


def torch_ms(steps, seconds):
    """Milliseconds of a step: the mean of so many seconds."""
    start, calls = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        steps()
        calls += 1
    return (time.perf_counter() - start) * 1e3 / (calls * _STEPS)


def halftone_ms(binary, name, precision, batch, seconds):
    command = [binary, f"--batch={batch}", "--benchmark_format=json", f"--benchmark_min_time={seconds}",
               f"--benchmark_filter=^{name}_step/{precision}/"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(output)["benchmarks"][0]["real_time"] / _STEPS


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halftone", metavar="FILE", help="the built //bench:gpu_step")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="of each side in a round")
    parser.add_argument("--eager_only", action="store_true", help="leave torch.compile out")
    args = parser.parse_args()
    print(f"gpu={torch.cuda.get_device_name()} torch={torch.__version__} batch={args.batch}")
    print(f"{'model':<13}{'recipe':<10}{'Halftone ms':>12}{'PyTorch ms':>12}{'ratio':>8}  PyTorch's best")
    for name in args.models:
        for precision in _DTYPES:
            sides = {mode: make_steps(name, precision, mode == "compiled", args.batch)
                     for mode in (["eager"] if args.eager_only else ["eager", "compiled"])}
            for steps in sides.values():
                steps()
            theirs, ours = {mode: [] for mode in sides}, []
            for _ in range(args.rounds):
                for mode, steps in sides.items():
                    theirs[mode].append(torch_ms(steps, args.seconds))
                if args.halftone:
                    ours.append(halftone_ms(args.halftone, name, precision, args.batch, args.seconds))
            best = min(theirs, key=lambda mode: statistics.median(theirs[mode]))
            peer = statistics.median(theirs[best])
            mine = statistics.median(ours) if ours else float("nan")
            print(f"{name:<13}{precision:<10}{mine:>12.2f}{peer:>12.2f}{peer / mine:>8.2f}  {best}", flush=True)
            torch.compiler.reset()


if __name__ == "__main__":
    main()
