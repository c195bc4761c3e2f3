"""The CIFAR residual networks of He et al. (2016), for trying the command line.

gennape score examples/resnet_cifar.py:resnet20 --input 3x32x32
"""

from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut that halves and pads where it must (option A)."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.stride = stride
        self.padding = (c_out - c_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.stride > 1:
            shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet(nn.Module):
    """``6 n + 2`` layers: images ``(batch, 3, 32, 32)`` to 10 logits."""

    def __init__(self, n: int, width: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(3):
            for block in range(n):
                stride = 2 if stage and not block else 1
                blocks.append(BasicBlock(channels, width << stage, stride))
                channels = width << stage
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return self.classifier(self.blocks(x).mean((2, 3)))


def resnet20() -> nn.Module:
    """0.27 M parameters; 91.25 % on CIFAR-10 in the paper."""
    return ResNet(3)


def resnet32() -> nn.Module:
    """0.46 M parameters; 92.49 % in the paper."""
    return ResNet(5)


def resnet56() -> nn.Module:
    """0.85 M parameters; 93.03 % in the paper."""
    return ResNet(9)


def resnet20_wide() -> nn.Module:
    """Four times as wide as :func:`resnet20`."""
    return ResNet(3, width=64)
