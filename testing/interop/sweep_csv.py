"""The two CSVs of a sweep, read by pandas: their columns, in order, with the types that they should have, and row by row
what a run says of itself."""

import pathlib
import subprocess
import sys

import pandas

COLUMNS = ["model", "activation", "dataset", "precision", "epoch", "train_acc", "train_loss", "test_acc", "test_loss",
           "time", "memory", "estimated_memory"]
KEY = COLUMNS[:5]

SWEEP = """
base {
  data { root: "datasets/sample/cifar10" batch_size: 20 }
  optimizer { sgd { learning_rate: 0.05 momentum: 0.9 } }
}
model { name: "cnn" width: 2 }
activation: ["relu", "gelu"]
dataset { name: "cifar10" }
precision: ["FP32", "FP4"]
seed: [1, 2]
epochs: 2
limit: 60
# Fails: it has a reason and no result.
change { activation: "gelu" precision: "FP4" config { optimizer { sgd { learning_rate: 1e30 } } } }
"""


def main(binary, folder):
    config, out = pathlib.Path(folder) / "sweep.textproto", pathlib.Path(folder) / "out"
    config.write_text(SWEEP)
    code = subprocess.run([binary, f"--config={config}", f"--out={out}"], stderr=subprocess.DEVNULL).returncode
    assert code == 3, code  # some runs failed

    results = pandas.read_csv(out / "final_results.csv")
    assert list(results.columns) == COLUMNS, list(results.columns)
    assert all(pandas.api.types.is_float_dtype(results[c]) for c in COLUMNS[5:]), results.dtypes
    assert pandas.api.types.is_integer_dtype(results["epoch"]), results.dtypes
    assert not results.isna().any().any(), results
    assert results["train_acc"].between(0, 1).all() and results["test_acc"].between(0, 1).all(), results
    assert (results["time"] > 0).all() and (results["estimated_memory"] > 0).all(), results

    details = pandas.read_csv(out / "run_details.csv")
    well, failed = details[details["status"] == "ok"], details[details["status"] != "ok"]
    assert len(failed) == 2 and failed["reason"].notna().all(), failed
    # The k-th row of the one belongs to the k-th row of the other.
    assert results[KEY].equals(well[KEY].reset_index(drop=True)), (results[KEY], well[KEY])
    results["seed"] = well["seed"].to_numpy()
    runs = results.groupby(["activation", "precision", "seed"])["epoch"].agg(list)
    whole = {key for key, epochs in runs.items() if epochs == [1, 2]}
    assert whole == {(a, p, s) for a in ("relu", "gelu") for p in ("FP32", "FP4") for s in (1, 2)
                     if (a, p) != ("gelu", "FP4")}, runs

    for (_, row), (_, detail) in zip(results.iterrows(), well.iterrows()):
        metrics = pandas.read_csv(out / detail["run"] / "metrics.csv")
        metric = metrics[metrics["epoch"] == row["epoch"]].iloc[0]
        assert row["test_acc"] == metric["test_acc"] and row["train_loss"] == metric["train_loss"], (row, metric)
    print(f"{len(results)} rows read by pandas {pandas.__version__}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
