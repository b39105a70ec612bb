"""Writes model.safetensors: tensors of known fate in float16, by safetensors' own writer."""
import pathlib

import numpy
from safetensors.numpy import save_file

save_file(
    {
        "layer.weight": numpy.linspace(-1, 1, 12, dtype=numpy.float32).reshape(3, 4),
        "layer.half": numpy.array([1, 0.5, 65504], dtype=numpy.float16),
        "layer.overflow": numpy.array([70000, 1, 2], dtype=numpy.float64),
        "layer.nan": numpy.array([numpy.nan, 1, -numpy.inf], dtype=numpy.float32),
        "layer.ids": numpy.arange(5, dtype=numpy.int64),
        "empty": numpy.zeros((0, 4), dtype=numpy.float32),
        "<script>alert('\x1b[2J')</script>": numpy.zeros(2, dtype=numpy.float32),
    },
    pathlib.Path(__file__).parent / "model.safetensors",
)
