"""Small reference networks that examples, the demo and benchmarks share."""

from .cnn import CNN, cnn
from .gru import CharGRU, char_gru
from .mlp import MLP, lenet300, mlp
from .resnet import ResNet, resnet20, resnet32, resnet44, resnet56
from .s4d import S4DLayer, s4d
from .s5 import S5Layer, s5
from .sequence import SequenceNet
from .wide_resnet import WideResNet, wide_resnet22_2

__all__ = [
    "CNN",
    "MLP",
    "CharGRU",
    "ResNet",
    "S4DLayer",
    "S5Layer",
    "SequenceNet",
    "WideResNet",
    "char_gru",
    "cnn",
    "lenet300",
    "mlp",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "s4d",
    "s5",
    "wide_resnet22_2",
]
