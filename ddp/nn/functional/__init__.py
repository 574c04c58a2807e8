"""The layers as functions, with PyTorch's names, arguments and errors.

In this package arguments are checked and brought into the form that the operations in
`ddp.autograd.ops` take; formulas and gradients stand there.
"""

from __future__ import annotations

from ddp.nn.functional.activation import celu as celu
from ddp.nn.functional.activation import celu_ as celu_
from ddp.nn.functional.activation import elu as elu
from ddp.nn.functional.activation import elu_ as elu_
from ddp.nn.functional.activation import gelu as gelu
from ddp.nn.functional.activation import glu as glu
from ddp.nn.functional.activation import gumbel_softmax as gumbel_softmax
from ddp.nn.functional.activation import hardshrink as hardshrink
from ddp.nn.functional.activation import hardsigmoid as hardsigmoid
from ddp.nn.functional.activation import hardswish as hardswish
from ddp.nn.functional.activation import hardtanh as hardtanh
from ddp.nn.functional.activation import hardtanh_ as hardtanh_
from ddp.nn.functional.activation import leaky_relu as leaky_relu
from ddp.nn.functional.activation import leaky_relu_ as leaky_relu_
from ddp.nn.functional.activation import log_softmax as log_softmax
from ddp.nn.functional.activation import logsigmoid as logsigmoid
from ddp.nn.functional.activation import mish as mish
from ddp.nn.functional.activation import prelu as prelu
from ddp.nn.functional.activation import relu as relu
from ddp.nn.functional.activation import relu6 as relu6
from ddp.nn.functional.activation import relu_ as relu_
from ddp.nn.functional.activation import selu as selu
from ddp.nn.functional.activation import selu_ as selu_
from ddp.nn.functional.activation import sigmoid as sigmoid
from ddp.nn.functional.activation import silu as silu
from ddp.nn.functional.activation import softmax as softmax
from ddp.nn.functional.activation import softmin as softmin
from ddp.nn.functional.activation import softplus as softplus
from ddp.nn.functional.activation import softshrink as softshrink
from ddp.nn.functional.activation import softsign as softsign
from ddp.nn.functional.activation import tanh as tanh
from ddp.nn.functional.activation import tanhshrink as tanhshrink
from ddp.nn.functional.activation import threshold as threshold
from ddp.nn.functional.activation import threshold_ as threshold_
from ddp.nn.functional.adaptive_pooling import adaptive_avg_pool1d as adaptive_avg_pool1d
from ddp.nn.functional.adaptive_pooling import adaptive_avg_pool2d as adaptive_avg_pool2d
from ddp.nn.functional.adaptive_pooling import adaptive_max_pool1d as adaptive_max_pool1d
from ddp.nn.functional.adaptive_pooling import (
    adaptive_max_pool1d_with_indices as adaptive_max_pool1d_with_indices,
)
from ddp.nn.functional.adaptive_pooling import adaptive_max_pool2d as adaptive_max_pool2d
from ddp.nn.functional.adaptive_pooling import (
    adaptive_max_pool2d_with_indices as adaptive_max_pool2d_with_indices,
)
from ddp.nn.functional.attention import scaled_dot_product_attention as scaled_dot_product_attention
from ddp.nn.functional.convolution import check_padding as check_padding
from ddp.nn.functional.convolution import conv1d as conv1d
from ddp.nn.functional.convolution import conv2d as conv2d
from ddp.nn.functional.convolution import conv_transpose1d as conv_transpose1d
from ddp.nn.functional.convolution import conv_transpose2d as conv_transpose2d
from ddp.nn.functional.distances import binary_cross_entropy as binary_cross_entropy
from ddp.nn.functional.distances import cosine_similarity as cosine_similarity
from ddp.nn.functional.distances import huber_loss as huber_loss
from ddp.nn.functional.distances import kl_div as kl_div
from ddp.nn.functional.distances import l1_loss as l1_loss
from ddp.nn.functional.distances import normalize as normalize
from ddp.nn.functional.distances import pairwise_distance as pairwise_distance
from ddp.nn.functional.distances import smooth_l1_loss as smooth_l1_loss
from ddp.nn.functional.dropout import check_dropout_probability as check_dropout_probability
from ddp.nn.functional.dropout import dropout as dropout
from ddp.nn.functional.dropout import dropout1d as dropout1d
from ddp.nn.functional.dropout import dropout2d as dropout2d
from ddp.nn.functional.embedding import checked_padding_idx as checked_padding_idx
from ddp.nn.functional.embedding import embedding as embedding
from ddp.nn.functional.embedding import one_hot as one_hot
from ddp.nn.functional.embedding import refuse_options as refuse_options
from ddp.nn.functional.likelihoods import gaussian_nll_loss as gaussian_nll_loss
from ddp.nn.functional.likelihoods import poisson_nll_loss as poisson_nll_loss
from ddp.nn.functional.linear import bilinear as bilinear
from ddp.nn.functional.linear import linear as linear
from ddp.nn.functional.losses import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from ddp.nn.functional.losses import cross_entropy as cross_entropy
from ddp.nn.functional.losses import mse_loss as mse_loss
from ddp.nn.functional.losses import nll_loss as nll_loss
from ddp.nn.functional.margins import cosine_embedding_loss as cosine_embedding_loss
from ddp.nn.functional.margins import hinge_embedding_loss as hinge_embedding_loss
from ddp.nn.functional.margins import margin_ranking_loss as margin_ranking_loss
from ddp.nn.functional.margins import multi_margin_loss as multi_margin_loss
from ddp.nn.functional.margins import multilabel_margin_loss as multilabel_margin_loss
from ddp.nn.functional.margins import multilabel_soft_margin_loss as multilabel_soft_margin_loss
from ddp.nn.functional.margins import soft_margin_loss as soft_margin_loss
from ddp.nn.functional.margins import triplet_margin_loss as triplet_margin_loss
from ddp.nn.functional.margins import (
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)
from ddp.nn.functional.normalization import batch_norm as batch_norm
from ddp.nn.functional.normalization import group_norm as group_norm
from ddp.nn.functional.normalization import instance_norm as instance_norm
from ddp.nn.functional.normalization import layer_norm as layer_norm
from ddp.nn.functional.normalization import local_response_norm as local_response_norm
from ddp.nn.functional.normalization import rms_norm as rms_norm
from ddp.nn.functional.padding import pad as pad
from ddp.nn.functional.pooling import avg_pool1d as avg_pool1d
from ddp.nn.functional.pooling import avg_pool2d as avg_pool2d
from ddp.nn.functional.pooling import lp_pool1d as lp_pool1d
from ddp.nn.functional.pooling import lp_pool2d as lp_pool2d
from ddp.nn.functional.pooling import max_pool1d as max_pool1d
from ddp.nn.functional.pooling import max_pool1d_with_indices as max_pool1d_with_indices
from ddp.nn.functional.pooling import max_pool2d as max_pool2d
from ddp.nn.functional.pooling import max_pool2d_with_indices as max_pool2d_with_indices
from ddp.nn.functional.resampling import channel_shuffle as channel_shuffle
from ddp.nn.functional.resampling import interpolate as interpolate
from ddp.nn.functional.resampling import pixel_shuffle as pixel_shuffle
from ddp.nn.functional.resampling import pixel_unshuffle as pixel_unshuffle
from ddp.nn.functional.resampling import upsample as upsample
from ddp.nn.functional.unfolding import fold as fold
from ddp.nn.functional.unfolding import unfold as unfold
