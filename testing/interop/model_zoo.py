"""Models of torchvision and timm and ours: we start from the files that they save, their classes load ours, and both give
the same test loss."""

import csv
import pathlib
import re
import subprocess
import sys

import numpy
import safetensors.torch
import timm.models.mlp_mixer
import timm.models.vision_transformer
import torch
import torchvision

SAMPLE = pathlib.Path("datasets/sample/cifar10")
TRAINING_IMAGES = 100


def resnet18():
    """For images of 32 x 32 pixels: a stem of 3 x 3, no pooling behind it."""
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    model.maxpool = torch.nn.Identity()
    return model


def mobilenet_v2():
    """For images of 32 x 32 pixels: the stem and the stage of 24 channels keep their size."""
    model = torchvision.models.mobilenet_v2(num_classes=10)
    model.features[0][0].stride = (1, 1)
    model.features[2].conv[1][0].stride = (1, 1)
    return model


def vit():
    return timm.models.vision_transformer.VisionTransformer(img_size=32, patch_size=4, embed_dim=192, depth=6, num_heads=3,
                                                            num_classes=10)


def mixer():
    return timm.models.mlp_mixer.MlpMixer(img_size=32, patch_size=4, num_blocks=8, embed_dim=256, num_classes=10)


MODELS = {"resnet18": resnet18, "mobilenetv2": mobilenet_v2, "vit": vit, "mixer": mixer}


def images(name, limit=None):
    """[N, 3, 32, 32] bytes, and labels."""
    records = numpy.fromfile(SAMPLE / name, dtype=numpy.uint8).reshape(-1, 1 + 3 * 32 * 32)[:limit]
    return records[:, 1:].reshape(-1, 3, 32, 32), torch.from_numpy(records[:, 0].astype(numpy.int64))


def test_loss(model):
    pixels, _ = images("data_batch_1.bin", TRAINING_IMAGES)
    mean = pixels.mean((0, 2, 3), dtype=numpy.float64, keepdims=True) / 255
    deviation = pixels.std((0, 2, 3), dtype=numpy.float64, keepdims=True) / 255
    test, labels = images("test_batch.bin")
    x = torch.from_numpy(((test / 255 - mean) / deviation).astype(numpy.float32))
    with torch.no_grad():
        logits = torch.cat([model(part) for part in x.split(100)])
    return torch.nn.functional.cross_entropy(logits, labels).item()


def main(binary, folder):
    torch.manual_seed(1)
    for name, make in MODELS.items():
        theirs, out = make(), pathlib.Path(folder) / name
        start = pathlib.Path(folder) / f"{name}.pth"
        torch.save(theirs.state_dict(), start)
        log = subprocess.run(
            [binary, "--config=configs/quickstart.textproto",
             "--set=" f'model {{ name: "{name}" width: 0 weights: "{start}" }} data {{ limit: {TRAINING_IMAGES} augment: false }} '
             'precision { recipe: "fp32" } optimizer { sgd { learning_rate: 0.001 weight_decay: 0 } } '
             f'run {{ epochs: 1 out: "{out}" }}'],
            check=True, stderr=subprocess.PIPE, text=True).stderr
        report = [line for line in log.splitlines() if line.startswith("weights: ")]
        assert len(report) == 1 and re.search(r": (\d+) tensors, 100 % of the model's numbers", report[0]), log

        ours = safetensors.torch.load_file(out / "checkpoint" / "model.safetensors")
        assert any(not torch.equal(ours[k], v) for k, v in theirs.state_dict().items()), "nothing was trained"
        theirs.load_state_dict(ours)
        with open(out / "metrics.csv") as file:
            expected = float(list(csv.DictReader(file))[-1]["test_loss"])
        got = test_loss(theirs.eval())
        assert abs(got - expected) <= 1e-4 * expected, (name, got, expected)
        print(f"{name}: {report[0].split(':')[1].split(',')[0].strip()}, test loss {expected:.6f} here, {got:.6f} there")


if __name__ == "__main__":
    main(*sys.argv[1:3])
