"""Models to start from; a config names one as `factory = "ddp.models:digits_cnn"`."""

from ddp.models.small import Net as Net
from ddp.models.small import digits_cnn as digits_cnn
from ddp.models.small import mlp as mlp
