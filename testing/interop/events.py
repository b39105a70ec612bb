"""The event files of a run, read by TensorBoard: every number and histogram arrives, and they are those of metrics.csv."""

import csv
import pathlib
import subprocess
import sys
import tempfile

from tensorboard.backend.event_processing import event_accumulator

STEPS_AN_EPOCH = 4


def train(binary, out, epochs, resume):
    subprocess.run(
        [binary, "--config=configs/quickstart.textproto",
         "--set=" 'model { width: 4 } data { limit: 200 } '
         f'run {{ out: "{out}" epochs: 4 events_every_steps: 2 histograms_every_steps: 4 '
         f'stop_after_steps: {epochs * STEPS_AN_EPOCH} resume: {"true" if resume else "false"} }}'],
        check=True, stderr=subprocess.DEVNULL)


def main(binary):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "run"
        train(binary, out, 2, resume=False)
        train(binary, out, 4, resume=True)
        events = event_accumulator.EventAccumulator(
            str(out / "tensorboard"), size_guidance={event_accumulator.SCALARS: 0, event_accumulator.HISTOGRAMS: 0})
        events.Reload()
        tags = events.Tags()
        with open(out / "metrics.csv") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 4, rows
        for tag, column in (("epoch/train_loss", "train_loss"), ("epoch/test_accuracy", "test_acc")):
            got = [(e.step, e.value) for e in events.Scalars(tag)]
            want = [(int(r["step"]), float(r[column])) for r in rows]
            assert [s for s, _ in got] == [s for s, _ in want], (got, want)
            assert all(abs(g - w) <= 1e-6 * max(1, abs(w)) for (_, g), (_, w) in zip(got, want)), (got, want)
        steps = [e.step for e in events.Scalars("step/loss")]
        assert steps == list(range(2, 4 * STEPS_AN_EPOCH + 1, 2)), steps
        weights = [t for t in tags["histograms"] if t.startswith("weights/")]
        assert "weights/conv1.weight" in weights, tags
        assert len(tags["histograms"]) == 2 * len(weights), tags
        for tag in tags["histograms"]:
            for e in events.Histograms(tag):
                h = e.histogram_value
                assert h.num == sum(h.bucket) > 0, (tag, h)
                assert h.min <= h.max, (tag, h)
        size = next(e.histogram_value.num for e in events.Histograms("weights/conv1.weight"))
        assert size == 4 * 3 * 3 * 3, size
    print(f"{len(tags['scalars'])} scalars and {len(tags['histograms'])} histograms read by TensorBoard")


if __name__ == "__main__":
    main(sys.argv[1])
