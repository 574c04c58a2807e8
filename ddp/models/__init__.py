"""Models to start from; a config names one as `factory = "ddp.models:digits_cnn"`."""

from ddp.models.gpt import GPT as GPT
from ddp.models.gpt import token_loss as token_loss
from ddp.models.resnet import ResNet as ResNet
from ddp.models.resnet import resnet18 as resnet18
from ddp.models.resnet import resnet34 as resnet34
from ddp.models.resnet import resnet50 as resnet50
from ddp.models.small import MnistNet as MnistNet
from ddp.models.small import Net as Net
from ddp.models.small import digits_cnn as digits_cnn
from ddp.models.small import mlp as mlp
