"""Gradient scaling over ResNet18's gradients (11,173,962 in 62 tensors): Halftone and PyTorch in turns.

Build first:

  bazel build //bench:gradient_scaling
  python bench/peers/gradient_scaling.py --halftone=bazel-bin/bench/gradient_scaling
"""

import torch

from turns import compare, resnet18_sizes


def torch_rows():
    """By the name of Halftone's benchmark: what PyTorch does in its place."""
    parameters = [torch.nn.Parameter(torch.zeros(n)) for n in resnet18_sizes()]
    for p in parameters:
        p.grad = torch.full_like(p, 1e-3)
    optimizer = torch.optim.SGD(parameters, 0.0)

    def unscale_and_clip(scale, max_norm):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        scaler.scale(torch.zeros(()))

        def run():
            scaler._per_optimizer_states.clear()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(parameters, max_norm)

        return run

    masters = [p.detach() for p in parameters]
    halves = [p.half() for p in masters]
    return {
        "UnscaleAndNorm": unscale_and_clip(1 + 2.0**-23, 1e9),
        "UnscaleAndClipFactor": unscale_and_clip(0.5, 1.0),
        "UnscaleAndClip": unscale_and_clip(0.5, 1.0),
        "WorkingCopies/nearest": lambda: torch._foreach_copy_(halves, masters),
    }


if __name__ == "__main__":
    compare(torch_rows(), __doc__, "//bench:gradient_scaling")
