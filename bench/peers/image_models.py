"""PyTorch definitions of Halftone's models of 32 x 32 images [B, 3, 32, 32], for the timings in this folder.

MODELS names them; each takes its own width (0: the published one) and the number of classes.
"""

import torch
import torch.nn.functional as F
from torch import nn


def _conv_bn(i, o, kernel, stride=1, groups=1):
    return [nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]


class CNN(nn.Module):
    """4 x (conv3x3, batch norm, ReLU, max-pool 2x2), channels w, 2w, 4w, 8w -> mean -> linear."""

    def __init__(self, width=0, num_classes=10):
        super().__init__()
        width = width or 64
        layers, channels = [], 3
        for out in (width, 2 * width, 4 * width, 8 * width):
            layers += [*_conv_bn(channels, out, 3), nn.ReLU(), nn.MaxPool2d(2)]
            channels = out
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class BasicBlock(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.body = nn.Sequential(*_conv_bn(i, o, 3, stride), nn.ReLU(), *_conv_bn(o, o, 3))
        self.shortcut = nn.Sequential(*_conv_bn(i, o, 1, stride)) if stride != 1 or i != o else nn.Identity()

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """conv3x3, batch norm, ReLU; stages of so many blocks, each of twice the channels of the one before; mean; linear."""

    def __init__(self, blocks, width, num_classes):
        super().__init__()
        layers, channels = [*_conv_bn(3, width, 3), nn.ReLU()], width
        for stage, count in enumerate(blocks):
            for block in range(count):
                out = width << stage
                layers.append(BasicBlock(channels, out, 2 if stage > 0 and block == 0 else 1))
                channels = out
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class InvertedResidual(nn.Module):
    def __init__(self, i, o, stride, expansion):
        super().__init__()
        h = i * expansion
        expand = [*_conv_bn(i, h, 1), nn.ReLU6()] if expansion > 1 else []
        self.body = nn.Sequential(*expand, *_conv_bn(h, h, 3, stride, groups=h), nn.ReLU6(), *_conv_bn(h, o, 1))
        self.adds = stride == 1 and i == o

    def forward(self, x):
        return x + self.body(x) if self.adds else self.body(x)


class MobileNetV2(nn.Module):
    """With strides 1 in the first convolution and in the stage of 24 channels; dropout 0.2."""

    STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self, width=0, num_classes=10):
        super().__init__()
        multiplier = (width or 32) / 32

        def rounded(channels):
            nearest = max(8, int(channels + 4) // 8 * 8)
            return nearest + 8 if nearest < 0.9 * channels else nearest

        channels, last = rounded(32 * multiplier), rounded(1280 * max(1.0, multiplier))
        layers = [*_conv_bn(3, channels, 3), nn.ReLU6()]
        for expansion, published, blocks, first_stride in self.STAGES:
            for block in range(blocks):
                out = rounded(published * multiplier)
                layers.append(InvertedResidual(channels, out, first_stride if block == 0 else 1, expansion))
                channels = out
        self.features = nn.Sequential(*layers, *_conv_bn(channels, last, 1), nn.ReLU6())
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class GCN(nn.Module):
    """4 x 4 patches as the nodes of an 8 x 8 grid; 3 x ReLU(adjacency (h W^T) + b); mean over the nodes; linear."""

    def __init__(self, width=0, num_classes=10):
        super().__init__()
        width = width or 128
        row, column = torch.arange(64) // 8, torch.arange(64) % 8
        near = ((row[:, None] - row).abs() + (column[:, None] - column).abs() <= 1).float()
        degree = near.sum(1)
        self.register_buffer("adjacency", near / torch.sqrt(degree[:, None] * degree))
        sizes = (48, width, width, width)
        self.weights = nn.ModuleList(nn.Linear(i, o, bias=False) for i, o in zip(sizes, sizes[1:]))
        self.biases = nn.ParameterList(torch.zeros(o) for o in sizes[1:])
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x):
        h = x.reshape(-1, 3, 8, 4, 8, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, 64, 48)
        for weight, bias in zip(self.weights, self.biases):
            h = torch.relu(self.adjacency @ weight(h) + bias)
        return self.fc(h.mean(1))


class Mlp(nn.Sequential):
    def __init__(self, width, hidden):
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class ViTBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """4 x 4 patches and a class token; 6 blocks of attention and MLP; layer norm; linear of the class token."""

    def __init__(self, width=0, num_classes=10):
        super().__init__()
        width = width or 192
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 65, width))
        self.blocks = nn.Sequential(*(ViTBlock(width, 3) for _ in range(6)))
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, num_classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class MixerBlock(nn.Module):
    def __init__(self, tokens, width):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.tokens, self.channels = Mlp(tokens, width // 2), Mlp(width, 4 * width)

    def forward(self, x):
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    """4 x 4 patches; 8 blocks of an MLP over the tokens and one over the channels; layer norm; mean; linear."""

    def __init__(self, width=0, num_classes=10):
        super().__init__()
        width = width or 256
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.Sequential(*(MixerBlock(64, width) for _ in range(8)))
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, num_classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(1))


MODELS = {
    "cnn": CNN,
    "resnet18": lambda width=0, num_classes=10: ResNet((2, 2, 2, 2), width or 64, num_classes),
    "resnet20": lambda width=0, num_classes=10: ResNet((3, 3, 3), width or 16, num_classes),
    "mobilenetv2": MobileNetV2,
    "vit": ViT,
    "mixer": Mixer,
    "gcn": GCN,
}
