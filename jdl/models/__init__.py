"""Architectures by name, each with its paper."""

from jdl.models.alexnet import alexnet, alexnet_small
from jdl.models.densenet import densenet, densenet_cifar
from jdl.models.gpt import generate, gpt
from jdl.models.inception import googlenet, inception_small
from jdl.models.lenet import lenet5, lenet1989
from jdl.models.lstm_classifier import lstm_classifier
from jdl.models.mlp import mlp
from jdl.models.mobilenet import mobilenet, mobilenet_v2
from jdl.models.resnet import resnet, resnet_cifar
from jdl.models.seq2seq import seq2seq, seq2seq_decoder, seq2seq_encoder
from jdl.models.transformer import transformer, transformer_decoder, transformer_encoder
from jdl.models.unet import unet
from jdl.models.vgg import vgg, vgg_small
from jdl.models.vit import vit
from jdl.models.wide_resnet import resnet_v2, wide_resnet
from jdl.models.xception import xception, xception_small

__all__ = [
    "alexnet",
    "alexnet_small",
    "densenet",
    "densenet_cifar",
    "generate",
    "googlenet",
    "gpt",
    "inception_small",
    "lenet1989",
    "lenet5",
    "lstm_classifier",
    "mlp",
    "mobilenet",
    "mobilenet_v2",
    "resnet",
    "resnet_cifar",
    "resnet_v2",
    "seq2seq",
    "seq2seq_decoder",
    "seq2seq_encoder",
    "transformer",
    "transformer_decoder",
    "transformer_encoder",
    "unet",
    "vgg",
    "vgg_small",
    "vit",
    "wide_resnet",
    "xception",
    "xception_small",
]
