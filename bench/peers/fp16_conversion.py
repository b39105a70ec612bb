"""float32 to float16 and back by NumPy and PyTorch, at the sizes of //bench:fp16_conversion; one thread.

Bytes are those read plus those written. Nothing is allocated in the timed part. Medians of 9 rounds.
"""

import statistics
import time

import numpy as np
import torch

torch.set_num_threads(1)


def nanoseconds(function, repeat):
    rounds = []
    for _ in range(9):
        start = time.perf_counter_ns()
        for _ in range(repeat):
            function()
        rounds.append((time.perf_counter_ns() - start) / repeat)
    return statistics.median(rounds)


print(f"numpy {np.__version__}, torch {torch.__version__}")
print(f"{'elements':>10} {'conversion':>20} {'numpy ns':>12} {'torch ns':>12} {'numpy GB/s':>11} {'torch GB/s':>11}")
for n in (100, 1_000, 10_000, 10_000_000):
    repeat = max(3, 20_000_000 // (n + 1_000))
    single, half = np.linspace(-3, 3, n, dtype=np.float32), np.empty(n, np.float16)
    single_t, half_t = torch.from_numpy(single), torch.empty(n, dtype=torch.float16)
    bfloat_t, back, back_t = torch.empty(n, dtype=torch.bfloat16), np.empty(n, np.float32), torch.empty(n)
    rows = {
        "float32 to float16": (lambda: np.copyto(half, single, casting="same_kind"), lambda: half_t.copy_(single_t)),
        "float16 to float32": (lambda: np.copyto(back, half), lambda: back_t.copy_(half_t)),
        "float32 to bfloat16": (None, lambda: bfloat_t.copy_(single_t)),
    }
    for name, functions in rows.items():
        times = [nanoseconds(f, repeat) if f else None for f in functions]
        speeds = [6 * n / t if t else None for t in times]
        text = [f"{t:.0f}" if t else "-" for t in times] + [f"{s:.1f}" if s else "-" for s in speeds]
        print(f"{n:>10} {name:>20} {text[0]:>12} {text[1]:>12} {text[2]:>11} {text[3]:>11}")
