"""Optimiser steps over ResNet18's parameters (11,173,962 in 62 tensors): Halftone and PyTorch's fused ones in turns.

Build first:

  bazel build //bench:optimizer
  python bench/peers/optimizer.py --halftone=bazel-bin/bench/optimizer
"""

import torch

from turns import compare, resnet18_sizes


def torch_rows():
    """By the name of Halftone's benchmark: what PyTorch does in its place."""
    parameters = [torch.nn.Parameter(torch.full((n,), 0.5)) for n in resnet18_sizes()]
    for p in parameters:
        p.grad = torch.full_like(p, 1e-3)
    masters = [p.detach() for p in parameters]
    sgd = torch.optim.SGD(parameters, 1e-3, momentum=0.9, weight_decay=5e-4, fused=True)
    adam = torch.optim.Adam(parameters, 1e-3, fused=True)
    adamw = torch.optim.AdamW(parameters, 1e-3, fused=True)

    def with_copies(step, dtype):
        copies = [p.to(dtype) for p in masters]

        def run():
            step()
            torch._foreach_copy_(copies, masters)

        return run

    scaler = torch.amp.GradScaler("cpu", init_scale=0.5)
    scaler.scale(torch.zeros(()))

    def clipped_adam():
        scaler._per_optimizer_states.clear()
        scaler.unscale_(adam)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()

    return {
        "Sgd": sgd.step,
        "Adam": adam.step,
        "AdamW": adamw.step,
        "AdamWithCopies/float16": with_copies(adam.step, torch.float16),
        "AdamWithCopies/bfloat16": with_copies(adam.step, torch.bfloat16),
        "ClippedAdamWithCopies": with_copies(clipped_adam, torch.float16),
    }


if __name__ == "__main__":
    compare(torch_rows(), __doc__, "//bench:optimizer")
