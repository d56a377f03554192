"""Layers, and what a model file needs beside them: activations and initializers."""

from jax.nn import (
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log1mexp,
    log_sigmoid,
    log_softmax,
    logmeanexp,
    logsumexp,
    mish,
    one_hot,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_sign,
    softmax,
    softplus,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    standardize,
    swish,
    tanh,
)

from jdl.nn import initializers
from jdl.nn.activation import (
    gumbel_softmax,
    hard_shrink,
    soft_shrink,
    softmin,
    sparsemax,
    straight_through,
    straight_through_sign,
    straight_through_ternary,
    tanh_shrink,
    threshold,
)
from jdl.nn.adaptive_softmax import adaptive_log_softmax
from jdl.nn.attention import additive_attention, attention
from jdl.nn.attention_masks import causal_mask, padding_mask, window_mask
from jdl.nn.bidirectional import bidirectional
from jdl.nn.blur import blur_pool
from jdl.nn.combine import identity, parallel, residual, serial
from jdl.nn.conv import conv
from jdl.nn.conv_depthwise import depthwise_conv, separable_conv
from jdl.nn.conv_local import locally_connected
from jdl.nn.conv_lstm import conv_lstm
from jdl.nn.conv_masked import masked_conv
from jdl.nn.conv_transpose import conv_transpose
from jdl.nn.drop_block import drop_block
from jdl.nn.drop_connect import drop_connect, embedding_dropout
from jdl.nn.embed import embed, embed_bag
from jdl.nn.equation import einsum
from jdl.nn.experts import mixture_of_experts
from jdl.nn.fold import fold, unfold
from jdl.nn.gated import gated, maxout
from jdl.nn.general import dense_general
from jdl.nn.grid import affine_grid, grid_sample
from jdl.nn.gru import gru, mgu
from jdl.nn.learned import prelu, rrelu, snake
from jdl.nn.linear import bilinear, dense, ternary_dense
from jdl.nn.lora import lora
from jdl.nn.lru import lru
from jdl.nn.lstm import lstm
from jdl.nn.lsuv import lsuv
from jdl.nn.merge import (
    add,
    average,
    concatenate,
    cosine_similarity,
    dot,
    maximum,
    minimum,
    multiply,
    pairwise_distance,
    subtract,
)
from jdl.nn.min_gru import min_gru
from jdl.nn.multi_head import multi_head_attention
from jdl.nn.noise import gaussian_dropout, gaussian_noise
from jdl.nn.norm import layer_norm, rms_norm, unit_norm
from jdl.nn.norm_batch import batch_norm, fuse_batch_norm
from jdl.nn.norm_group import group_norm, instance_norm
from jdl.nn.norm_response import filter_response_norm, local_response_norm
from jdl.nn.normalize import fit_normalize, normalize
from jdl.nn.pad import center_crop, crop, pad
from jdl.nn.pool import avg_pool, lp_pool, max_pool, min_pool, sum_pool
from jdl.nn.pool_adaptive import adaptive_avg_pool, adaptive_max_pool
from jdl.nn.pool_fractional import fractional_max_pool
from jdl.nn.pool_global import concat_pool, global_avg_pool, global_max_pool
from jdl.nn.position_bias import alibi, relative_bias
from jdl.nn.positions import learned_positions, rotary, sinusoidal_positions
from jdl.nn.rational import rational
from jdl.nn.reparametrize import effective_params, reparametrize
from jdl.nn.resettable import resettable
from jdl.nn.resize import resize, upsample
from jdl.nn.rnn import rnn
from jdl.nn.scaled_dot import attention_weights, dot_product_attention
from jdl.nn.shape import flatten, masking, permute, repeat, reshape, unflatten
from jdl.nn.shuffle import channel_shuffle, pixel_shuffle, pixel_unshuffle
from jdl.nn.simple_rnn import simple_rnn
from jdl.nn.spectral_norm import spectral_norm
from jdl.nn.sru import sru
from jdl.nn.stacked import stacked_cells, stacked_rnn
from jdl.nn.stateful import stateful
from jdl.nn.stochastic import drop_path, dropout, spatial_dropout, variational_dropout
from jdl.nn.stochastic_alpha import alpha_dropout, feature_alpha_dropout
from jdl.nn.tie import tie
from jdl.nn.transform import ensemble, freeze, mixed, recurrent, remat, stack
from jdl.nn.transformer import (
    feed_forward,
    transformer_decoder_block,
    transformer_encoder_block,
)
from jdl.nn.unpool import max_pool_with_indices, max_unpool
from jdl.nn.weight_norm import weight_norm, weight_standardization

__all__ = [
    "adaptive_avg_pool",
    "adaptive_log_softmax",
    "adaptive_max_pool",
    "add",
    "additive_attention",
    "affine_grid",
    "alibi",
    "alpha_dropout",
    "attention",
    "attention_weights",
    "average",
    "avg_pool",
    "batch_norm",
    "bidirectional",
    "bilinear",
    "blur_pool",
    "causal_mask",
    "celu",
    "center_crop",
    "channel_shuffle",
    "concat_pool",
    "concatenate",
    "conv",
    "conv_lstm",
    "conv_transpose",
    "cosine_similarity",
    "crop",
    "dense",
    "dense_general",
    "depthwise_conv",
    "dot",
    "dot_product_attention",
    "drop_block",
    "drop_connect",
    "drop_path",
    "dropout",
    "effective_params",
    "einsum",
    "elu",
    "embed",
    "embed_bag",
    "embedding_dropout",
    "ensemble",
    "feature_alpha_dropout",
    "feed_forward",
    "filter_response_norm",
    "fit_normalize",
    "flatten",
    "fold",
    "fractional_max_pool",
    "freeze",
    "fuse_batch_norm",
    "gated",
    "gaussian_dropout",
    "gaussian_noise",
    "gelu",
    "global_avg_pool",
    "global_max_pool",
    "glu",
    "grid_sample",
    "group_norm",
    "gru",
    "gumbel_softmax",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "identity",
    "initializers",
    "instance_norm",
    "layer_norm",
    "leaky_relu",
    "learned_positions",
    "local_response_norm",
    "locally_connected",
    "log1mexp",
    "log_sigmoid",
    "log_softmax",
    "logmeanexp",
    "logsumexp",
    "lora",
    "lp_pool",
    "lru",
    "lstm",
    "lsuv",
    "masked_conv",
    "masking",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
    "maximum",
    "maxout",
    "mgu",
    "min_gru",
    "min_pool",
    "minimum",
    "mish",
    "mixed",
    "mixture_of_experts",
    "multi_head_attention",
    "multiply",
    "normalize",
    "one_hot",
    "pad",
    "padding_mask",
    "pairwise_distance",
    "parallel",
    "permute",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "rational",
    "recurrent",
    "relative_bias",
    "relu",
    "relu6",
    "remat",
    "reparametrize",
    "repeat",
    "resettable",
    "reshape",
    "residual",
    "resize",
    "rms_norm",
    "rnn",
    "rotary",
    "rrelu",
    "selu",
    "separable_conv",
    "serial",
    "sigmoid",
    "silu",
    "simple_rnn",
    "sinusoidal_positions",
    "snake",
    "soft_shrink",
    "soft_sign",
    "softmax",
    "softmin",
    "softplus",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "spatial_dropout",
    "spectral_norm",
    "squareplus",
    "sru",
    "stack",
    "stacked_cells",
    "stacked_rnn",
    "standardize",
    "stateful",
    "straight_through",
    "straight_through_sign",
    "straight_through_ternary",
    "subtract",
    "sum_pool",
    "swish",
    "tanh",
    "tanh_shrink",
    "ternary_dense",
    "threshold",
    "tie",
    "transformer_decoder_block",
    "transformer_encoder_block",
    "unflatten",
    "unfold",
    "unit_norm",
    "upsample",
    "variational_dropout",
    "weight_norm",
    "weight_standardization",
    "window_mask",
]
