#!/usr/bin/env python3
"""ATen operators, one small exported program each, give PyTorch's results in Hone.

    torch_operators.py --hone build/release/bin/hone [--only conv,pool] [--core] [--store tests/data/torch_export.tar.gz]

Each case is a function exported by torch.export (`--core`: after run_decompositions() as well) and run in Hone on its inputs. Needs torch;
without it the script says so and ends with code 77 (skipped). `--store` writes the cases as an archive that `hone conformance` and the unit
tests run without PyTorch; what a graph does not need (stack traces, sample inputs) is left out.
"""
import argparse
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

aten = torch.ops.aten
G = torch.Generator().manual_seed(0)


def r(*shape, low=-2.0, high=2.0):
    return torch.rand(*shape, generator=G) * (high - low) + low


def p(*shape):
    return r(*shape, low=0.1, high=2.0)


def ints(*shape, low=0, high=10):
    return torch.randint(low, high, shape, generator=G)


def bools(*shape):
    return torch.rand(*shape, generator=G) > 0.5


X = r(2, 3, 4)
CASES = {}


def case(name, fn, *inputs):
    key = name
    n = 2
    while key in CASES:
        key = f"{name}.{n}"
        n += 1
    CASES[key] = (fn, inputs)


# Elementwise ------------------------------------------------------------------------------------------------------------
for name in ("abs neg exp sin cos tan sinh cosh asinh atan erf erfc expm1 exp2 floor ceil round trunc frac sign sgn square sigmoid tanh relu silu mish "
             "isnan isinf isfinite signbit deg2rad rad2deg sinc nan_to_num isposinf isneginf positive").split():
    case("unary." + name, getattr(torch, name, None) or getattr(F, name), X)
for name in "log log2 log10 log1p sqrt rsqrt reciprocal".split():
    case("unary." + name, getattr(torch, name), p(2, 3))
for name in "acos asin atanh logit".split():
    case("unary." + name, getattr(torch, name), r(2, 3, low=0.05, high=0.95))
case("unary.acosh", torch.acosh, r(2, 3, low=1.1, high=3.0))
for name in "sqrt exp sigmoid reciprocal sin log1p".split():
    case("unary.int." + name, getattr(torch, name), ints(2, 3, low=1))
case("unary.round_decimals", lambda x: torch.round(x, decimals=2), X)
for name in "add sub mul div maximum minimum atan2 fmod remainder hypot copysign pow fmax fmin logaddexp xlogy".split():
    case("binary." + name, getattr(torch, name), p(2, 3, 4), p(3, 1))
for name in "add sub mul div floor_divide remainder fmod pow bitwise_and bitwise_or bitwise_xor".split():
    case("binary.int." + name, getattr(torch, name), ints(2, 3, low=1), ints(2, 3, low=1, high=4))
case("binary.add_alpha", lambda a, b: torch.add(a, b, alpha=0.5), X, X + 1)
case("binary.rsub", lambda a: torch.rsub(a, 3.0, alpha=2), X)
case("binary.mixed", lambda a, b: a * b + 1, X, ints(3, 4))
case("binary.int_float_number", lambda a: a * 0.5, ints(2, 3))
case("binary.int_div", lambda a: a / 2, ints(2, 3))
case("binary.bool_add", lambda a, b: a + b, bools(2, 3), bools(2, 3))
case("binary.bool_mul", lambda a, b: (a * b, a * 2), bools(2, 3), bools(2, 3))
case("binary.div_floor", lambda a, b: torch.div(a, b, rounding_mode="floor"), X, p(2, 3, 4))
case("binary.div_trunc", lambda a, b: torch.div(a, b, rounding_mode="trunc"), X, p(2, 3, 4))
case("binary.int_div_trunc", lambda a, b: torch.div(a, b, rounding_mode="trunc"), ints(3, 4, low=-9), ints(3, 4, low=1, high=4))
case("binary.int_div_floor", lambda a, b: torch.div(a, b, rounding_mode="floor"), ints(3, 4, low=-9), ints(3, 4, low=1, high=4))
case("binary.pow_scalar", lambda a: (a ** 3, a ** 0.5, 2 ** a, a ** 2), p(2, 3))
case("binary.shift", lambda a: (a << 2, a >> 1), ints(2, 3))
case("binary.heaviside", torch.heaviside, r(2, 3).round(), r(3))
case("compare", lambda a, b: (a == b, a != b, a < b, a <= b, a > b, a >= b), ints(3, 4, high=3), ints(3, 4, high=3))
case("compare.mixed", lambda a: (a > 0.5, a <= 2, a == 1), ints(3, 4, high=3))
case("compare.bool", lambda a, b: (a == b, a > b), bools(3, 4), bools(3, 4))
case("logical", lambda a, b: (a & b, a | b, a ^ b, ~a, torch.logical_and(a, b), torch.logical_or(a, b), torch.logical_xor(a, b), torch.logical_not(a)), bools(3, 4), bools(3, 4))
case("bitwise_not", torch.bitwise_not, ints(2, 3))
case("where", lambda c, a, b: (torch.where(c, a, b), torch.where(c, a, 0.5), torch.where(c, 1.0, b)), bools(2, 3), r(2, 3), r(3))
case("clamp", lambda a: (a.clamp(-1, 1), a.clamp(min=0), a.clamp(max=0.5), torch.clip(a, 0, 1)), X)
case("clamp.tensor", lambda a, b: (torch.clamp(a, min=b), torch.clamp_min(a, 0.2), torch.clamp_max(a, 0.2)), X, r(4))
case("clamp.int", lambda a: a.clamp(2, 5), ints(3, 4))
case("addcmul", lambda a, b, c: (torch.addcmul(a, b, c, value=0.5), torch.addcdiv(a, b, c, value=2)), X, X + 1, p(2, 3, 4))
case("lerp", lambda a, b: torch.lerp(a, b, 0.3), X, X * 2)
case("isclose", lambda a: torch.isclose(a, a + 1e-9), X)
# Activations ------------------------------------------------------------------------------------------------------------
for name in "relu6 hardswish hardsigmoid hardtanh elu selu celu gelu softplus softsign logsigmoid tanhshrink softshrink hardshrink leaky_relu".split():
    case("activation." + name, getattr(F, name), X * 3)
case("activation.gelu_tanh", lambda a: F.gelu(a, approximate="tanh"), X)
case("activation.softplus_beta", lambda a: F.softplus(a, beta=2, threshold=3), X)
case("activation.threshold", lambda a: F.threshold(a, 0.1, 20), X)
case("activation.elu_alpha", lambda a: F.elu(a, 0.3), X)
case("activation.prelu", lambda a, w: F.prelu(a, w), r(2, 3, 4), p(3))
case("activation.glu", lambda a: F.glu(a, 2), X)
case("activation.rrelu", lambda a: F.rrelu(a), X)
case("activation.softmax", lambda a: (F.softmax(a, 1), F.log_softmax(a, -1), F.softmin(a, 0)), X)
case("activation.softmax_scalar", lambda a: F.softmax(a, 0), torch.tensor(1.5))
# Reductions -------------------------------------------------------------------------------------------------------------
case("reduce.sum", lambda a: (a.sum(), a.sum(1), a.sum((0, 2), keepdim=True), a.mean(), a.mean(-1)), X)
case("reduce.int", lambda a: (a.sum(), a.sum(1), a.prod(0)), ints(3, 4, low=1, high=4))
case("reduce.bool", lambda a: (a.sum(), a.any(), a.all(), a.any(1), a.all(0, keepdim=True), a.any((0, 1))), bools(3, 4))
case("reduce.extreme", lambda a: (a.amax(1), a.amin((0, 2)), a.max(), a.min(), *torch.max(a, 1), *torch.min(a, 2, keepdim=True), *torch.aminmax(a, dim=1)), X)
case("reduce.arg", lambda a: (a.argmax(), a.argmin(), a.argmax(1), a.argmin(-1, keepdim=True)), X)
case("reduce.var", lambda a: (a.var(), a.std(1), a.var(1, unbiased=False), torch.var(a, (0, 2), correction=0, keepdim=True), *torch.var_mean(a, 1), *torch.std_mean(a, 2)), X)
case("reduce.logsumexp", lambda a: (torch.logsumexp(a, 1), torch.logsumexp(a, (0, 2), keepdim=True)), X)
case("reduce.norm", lambda a: (a.norm(), a.norm(1, 1), torch.linalg.vector_norm(a, 3, 1), torch.linalg.vector_norm(a, float("inf")), torch.linalg.vector_norm(a, 0, 2)), X)
case("reduce.prod", lambda a: (a.prod(), a.prod(1, keepdim=True)), X)
case("reduce.cumsum", lambda a: (a.cumsum(1), a.cumsum(-1)), X)
case("reduce.count_nonzero", lambda a: torch.count_nonzero(a, 1), ints(3, 4, high=2))
case("reduce.cdist", lambda a, b: (torch.cdist(a, b), torch.cdist(a, b, p=1.0)), r(2, 3, 4), r(2, 5, 4))
case("reduce.cosine_similarity", lambda a, b: F.cosine_similarity(a, b, dim=1), r(3, 4), r(3, 4))
case("reduce.normalize", lambda a: F.normalize(a, dim=1), X)
case("reduce.nan", lambda a: (torch.nansum(a, 1), torch.nanmean(a, 1)), torch.tensor([[1.0, float("nan"), 2.0], [3.0, 4.0, 5.0]]))
case("reduce.trace", lambda a: torch.trace(a), r(3, 4))
case("reduce.cross", lambda a, b: (torch.cross(a, b, dim=1), torch.linalg.cross(a, b, dim=1)), r(2, 3), r(2, 3))
case("reduce.logcumsumexp", lambda a: torch.logcumsumexp(a, 1), X)
case("reduce.losses", lambda a, b: (F.mse_loss(a, b), F.l1_loss(a, b, reduction="sum"), F.mse_loss(a, b, reduction="none")), X, X * 2)
case("norm.weight", lambda v, g: torch._weight_norm(v, g, 0), r(3, 4), p(3, 1))
case("matmul.inner", lambda a, b, c: (torch.inner(a, b), torch.inner(a, c), torch.vdot(c, c), torch.linalg.matmul(a, b.t())), r(2, 4), r(3, 4), r(4))
# Order ------------------------------------------------------------------------------------------------------------------
case("order.topk", lambda a: (*torch.topk(a, 2, 1), *torch.topk(a, 3, -1, largest=False)), X)
case("order.sort", lambda a: (*torch.sort(a, 1), *torch.sort(a, -1, descending=True), torch.argsort(a, 0)), X)
case("order.sort_ties", lambda a: torch.sort(a, dim=0, stable=True), ints(12, high=3))
case("order.kthvalue", lambda a: (*torch.kthvalue(a, 2, 1), *torch.median(a, 2), torch.median(a)), X)
case("order.bucketize", lambda a, b: (torch.bucketize(a, b), torch.bucketize(a, b, right=True), torch.searchsorted(b, a)), ints(3, 4).float(), torch.tensor([1.0, 3.0, 5.0]))
case("order.nonzero", lambda a: (torch.nonzero(a), a[a > 0]), r(3, 4))
case("order.masked_select", lambda a, m: torch.masked_select(a, m), r(3, 4), bools(4))
case("order.unique", lambda a: torch.unique(a, return_inverse=True, return_counts=True), ints(3, 4, high=4))
# Shape ------------------------------------------------------------------------------------------------------------------
case("shape.view", lambda a: (a.view(6, 4), a.reshape(-1, 2), a.flatten(), a.flatten(1), a.unflatten(2, (2, 2)), a.view_as(a.reshape(4, 6))), X)
case("shape.permute", lambda a: (a.permute(2, 0, 1), a.transpose(0, 2), a.mT, a.movedim(0, 2), a.swapaxes(1, 2), a[0].t()), X)
case("shape.squeeze", lambda a: (a.squeeze(), a.squeeze(1), a.unsqueeze(-1), a.unsqueeze(0), a.squeeze((1, 3))), r(2, 1, 3, 1))
case("shape.cat", lambda a, b: (torch.cat((a, b), 1), torch.stack((a, a), 1), torch.hstack((a, a)), torch.vstack((a, a)), torch.stack((a, a), -1)), r(2, 3), r(2, 4))
case("shape.cat_mixed", lambda a, b: torch.cat((a, b), 0), r(2, 3), ints(2, 3))
case("shape.split", lambda a: (*a.split(2, 2), *a.chunk(3, 1), *a.split((1, 3), 2), *a.unbind(1), *torch.tensor_split(a, 3, 2)), X)
case("shape.expand", lambda a: (a.expand(2, 3, 4), a.expand(-1, 4), a.broadcast_to(5, 3, 4), a.repeat(2, 1, 3), a.tile((2,))), r(3, 1))
case("shape.repeat_interleave", lambda a: (a.repeat_interleave(2, 1), a.repeat_interleave(3)), r(2, 3))
case("shape.flip", lambda a: (a.flip(1), a.flip((0, 2)), a.roll(2, 1), a.roll((1, -1), (0, 2)), a.roll(3), torch.rot90(a, 1, (0, 1)), torch.rot90(a, 3, (1, 2)), torch.rot90(a, 2, (1, 2))), X)
case("shape.slice", lambda a: (a[:, 1:], a[0], a[:, -1], a[..., ::2], a[1:, :2, 1:3], a.narrow(1, 1, 2), a.select(2, -2)), X)
case("shape.unfold", lambda a: a.unfold(2, 2, 1), X)
case("shape.pixel_shuffle", lambda a: (F.pixel_shuffle(a, 2), F.pixel_unshuffle(a, 2), F.channel_shuffle(a, 2)), r(1, 8, 4, 4))
case("shape.diagonal", lambda a: (a.diagonal(0, 1, 2), a.diagonal(1, 0, 2), torch.tril(a), torch.triu(a, 1), torch.tril(a, -1)), X)
case("shape.as_strided", lambda a: torch.as_strided(a, (2, 2), (1, 2), 1), r(3, 3))
case("shape.more", lambda a, b: (a.fliplr(), a.flipud(), torch.column_stack((a, b)), torch.dstack((a, b)), *torch.hsplit(a, 2), *torch.vsplit(a, [1]), torch.cartesian_prod(a[0], b[0, :2]), torch.combinations(a[0], 2), a.sum_to_size(1, 4)), r(3, 4), r(3, 4))
case("shape.meshgrid", lambda a, b: (*torch.meshgrid(a, b, indexing="ij"), *torch.meshgrid(a, b, indexing="xy")), r(3), r(2))
case("shape.broadcast_tensors", lambda a, b: torch.broadcast_tensors(a, b), r(3, 1), r(4))
# Indexing ---------------------------------------------------------------------------------------------------------------
I = torch.tensor([0, 2, 1, -1])
case("index.index", lambda a, i: (a[:, i], a[i % 2], a[i % 2, i], a[:, i, i], a[i % 2, :, i], a[..., i]), X, I)
case("index.negative", lambda a, i: (a[i % 2 - 1, i - 1]), X, torch.tensor([0, 1, 2, 1]))
case("index.two_axes", lambda a, i: a[i[:, None], i[None]], r(3, 3, 2), I[:3])
case("index.select", lambda a, i: (a.index_select(1, i), torch.take(a, i), F.embedding(i, a[0])), X, torch.tensor([0, 2, 1]))
case("index.gather", lambda a, i: (a.gather(1, i), torch.take_along_dim(a, i, 1)), r(3, 4), ints(3, 2, high=4))
case("index.gather_smaller", lambda a, i: a.gather(1, i), r(3, 4), ints(2, 2, high=4))
case("index.scatter", lambda a, i, s: (a.scatter(1, i, s), a.scatter(1, i, 2.0), a.scatter_add(1, i, s), a.scatter_reduce(1, i, s, "amax"), a.scatter_reduce(1, i, s, "mean", include_self=False)),
     r(3, 4), torch.stack([torch.randperm(4, generator=G)[:2] for _ in range(3)]), r(3, 2))
case("index.put", lambda a, i, v: (a.index_put((i,), v), a.index_put((i, i), v[:, 0]), a.index_put((i,), v, accumulate=True)), r(4, 4), torch.tensor([0, 2, 3]), r(3, 4))
case("index.put_mask", lambda a, m: a.masked_fill(m, 0.5).index_put((m,), torch.tensor(2.0)), r(3, 4), bools(3, 4))
case("index.put_last", lambda a, i, v: torch.ops.aten.index_put(a, [None, i], v), r(4, 4), torch.tensor([0, 2, 3]), r(4, 3))
case("index.add", lambda a, i, s: (a.index_add(0, i, s, alpha=2), a.index_copy(0, i, s), a.index_fill(0, i, 3.0)), r(4, 3), torch.tensor([0, 3]), r(2, 3))
case("index.masked", lambda a, m: (a.masked_fill(m, -1), a.masked_scatter(m, torch.arange(12.0).reshape(3, 4))), r(3, 4), bools(3, 4))
case("index.slice_scatter", lambda a, s: (torch.slice_scatter(a, s, 1, 1, 3), torch.select_scatter(a, s[:, 0], 1, -1)), r(3, 4), r(3, 2))
case("index.one_hot", lambda a: F.one_hot(a, 5), ints(2, 3, high=5))
case("index.embedding_bag", lambda i, o, w: F.embedding_bag(i, w, o, mode="sum"), ints(6, high=5), torch.tensor([0, 2, 3]), r(5, 3))
case("index.reduce", lambda a, i, s: (a.index_reduce(0, i, s, "amax"), a.index_reduce(0, i, s, "mean", include_self=False), torch.ops.aten.put(a, i, s[:, 0], accumulate=True)),
     r(4, 3), torch.tensor([0, 3, 3]), r(3, 3))
case("index.diagonal_scatter", lambda a, s, t: (torch.diagonal_scatter(a, s), torch.diagonal_scatter(a, t, 1), torch.diagonal_scatter(a, t, -1)), r(3, 3), r(3), r(2))
case("index.embedding_bag_offsets", lambda i, o, w: (F.embedding_bag(i, w, o, mode="max", include_last_offset=True), F.embedding_bag(i, w, o, mode="mean", padding_idx=1)),
     ints(6, high=5), torch.tensor([0, 2, 6]), r(5, 3))
# Running results, counts, histograms ------------------------------------------------------------------------------------
case("cumulative", lambda a: (a.cumprod(1), *a.cummax(1), *a.cummin(2), torch.logcumsumexp(a * 100, 1), a.diff(dim=1), a.diff(n=2), torch.trapezoid(a), torch.cumulative_trapezoid(a, dim=1)), r(2, 5, 4))
case("cumulative.nan", lambda a: (*a.cummax(0), *a.cummin(0)), torch.tensor([1.0, 3.0, 3.0, float("nan"), 2.0]))
case("count", lambda i, a, w: (torch.isin(i, torch.tensor([1, 3])), torch.histc(a, 4), torch.histc(a, 5, -1.0, 1.0), torch.bincount(i, minlength=12)), ints(9), r(9), p(9))
case("count.unique_runs", lambda i: torch.unique_consecutive(i, return_inverse=True, return_counts=True), torch.tensor([1, 1, 2, 2, 2, 1]))
case("order.quantile", lambda a: (torch.quantile(a, 0.3, dim=1), torch.quantile(a, torch.tensor([0.1, 0.5]), dim=2, keepdim=True), torch.quantile(a, 0.5), torch.quantile(a, 0.4, dim=1, interpolation="nearest")), X)
case("order.nan", lambda a: (*torch.nanmedian(a, 1), torch.nanquantile(a, 0.5, dim=1)), torch.tensor([[1.0, float("nan"), 2.0, 5.0], [4.0, 3.0, 6.0, 0.0]]))
case("order.mode", lambda a: torch.mode(a, 1), ints(3, 6, high=3))
# Losses -----------------------------------------------------------------------------------------------------------------
case("loss.classes", lambda a, t, w: (F.cross_entropy(a, t), F.cross_entropy(a, t, w, label_smoothing=0.2), F.cross_entropy(a, t, ignore_index=1, reduction="none"), F.nll_loss(F.log_softmax(a, 1), t, w, reduction="sum")),
     r(4, 5), ints(4, high=5), p(5))
case("loss.probabilities", lambda a, t: F.cross_entropy(a, t.softmax(1), label_smoothing=0.1), r(4, 5), r(4, 5))
case("loss.pixels", lambda a, t: (F.cross_entropy(a, t), F.nll_loss(a, t)), r(2, 5, 3, 3), ints(2, 3, 3, high=5))
case("loss.distance", lambda a, b: (F.huber_loss(a, b), F.huber_loss(a, b, delta=0.3), F.smooth_l1_loss(a, b, beta=0.5), F.kl_div(a.log_softmax(1), b.softmax(1), reduction="batchmean"), F.poisson_nll_loss(a, b.abs(), full=True),
                                   F.soft_margin_loss(a, b.sign()), F.margin_ranking_loss(a, b, b.sign(), margin=0.1), F.pairwise_distance(a, b), F.triplet_margin_loss(a, b, a - b, swap=True), F.hinge_embedding_loss(a, b.sign()),
                                   F.cosine_embedding_loss(a, b, b[:, 0].sign()), torch.dist(a, b, 3), torch.pdist(a)), r(3, 5), r(3, 5))
case("loss.binary", lambda a, t, w: (F.binary_cross_entropy(a.sigmoid(), t), F.binary_cross_entropy_with_logits(a, t, pos_weight=w), F.multi_margin_loss(a, t[:, 0].long())), r(3, 5), bools(3, 5).float(), p(5))
case("loss.ctc", lambda a, t: (torch.ops.aten.ctc_loss.IntList(a.log_softmax(2), t, [6, 5], [3, 2]), torch.ops.aten.ctc_loss.IntList(a.log_softmax(2), t[0, :], [6, 5], [2, 1], 0, 0)), r(6, 2, 5), ints(2, 3, low=1, high=5))
# Matrices ---------------------------------------------------------------------------------------------------------------
S = r(2, 4, 4)
case("matrix.inverse", lambda a, b: (torch.linalg.inv(a), torch.linalg.solve(a, b), torch.linalg.solve_triangular(a, b, upper=True), torch.matrix_power(a, 3), torch.matrix_power(a, -1)), S + 4 * torch.eye(4), r(2, 4, 3))
case("matrix.determinant", lambda a: (torch.linalg.det(a), *torch.linalg.slogdet(a), torch.logdet(a @ a.mT)), S)
case("matrix.cholesky", lambda a, b: (torch.linalg.cholesky(a), torch.cholesky_solve(b, torch.linalg.cholesky(a)), torch.cholesky_inverse(torch.linalg.cholesky(a))), S @ S.mT + torch.eye(4), r(2, 4, 3))
case("matrix.norm", lambda a: (torch.linalg.matrix_norm(a), torch.linalg.matrix_norm(a, 1), torch.linalg.matrix_norm(a, -float("inf")), torch.linalg.norm(a[0], "fro")), S)
case("matrix.diagonal", lambda a, b: (torch.diag(a), torch.diag(a, -1), torch.diag(b, 1), torch.diag_embed(b, -1), torch.block_diag(a, b), torch.kron(b, a), torch.vander(a), torch.addr(b, a, a)), r(3), r(3, 3))
# Special functions ------------------------------------------------------------------------------------------------------
case("special", lambda a, b: (torch.lgamma(a), torch.digamma(a), torch.erfinv(b), torch.i0(a * 5), torch.special.i1e(a * 8), torch.special.ndtri(b.abs()), torch.special.log_ndtr(a * 9), torch.special.erfcx(a), torch.special.entr(b), torch.logaddexp2(a, b)),
     torch.tensor([-2.5, -0.3, 0.2, 1.0, 2.0, 3.7]), torch.tensor([-0.9, -0.2, 0.1, 0.5, 0.9, 0.999]))
# Fourier transforms and complex numbers ---------------------------------------------------------------------------------
case("fft.real", lambda a: (torch.fft.irfft(torch.fft.rfft(a) * 2, n=8), torch.fft.rfft2(a, norm="ortho"), torch.fft.rfft(a, n=5, dim=0), torch.fft.irfft2(torch.fft.rfft2(a), s=(4, 8), norm="forward"), torch.fft.hfft(torch.fft.rfft(a))), r(4, 8))
case("fft.complex", lambda a: (torch.fft.fft(a), torch.fft.ifft2(torch.fft.fft2(a)).real, torch.fft.fftn(a, norm="ortho"), torch.fft.fftshift(torch.fft.fft(a)), torch.fft.ifftshift(a), torch.fft.fftfreq(5), torch.fft.rfftfreq(6, 0.5)), r(3, 4))
case("fft.short_time", lambda a: (torch.stft(a, 8, 4, window=torch.hann_window(8), return_complex=True).abs(), torch.stft(a, 8, 2, 6, torch.hamming_window(6), normalized=True, onesided=False, return_complex=True),
                                  torch.istft(torch.stft(a, 8, 4, window=torch.hann_window(8), return_complex=True), 8, 4, window=torch.hann_window(8), length=30)), r(2, 32))


def complex_numbers(a, b):
    z, w = torch.complex(a, b), torch.polar(a.abs(), b)
    y = torch.cat((z * w, z / w - 2, (z + 1j * w).conj()), 0)[1:].transpose(0, 1)
    return y, y.abs(), y.angle(), y.real, y.imag.sum(), torch.view_as_real(y), z @ w.mT, torch.einsum("ij,kj->ik", z, w), torch.exp(z), z.mean(0), torch.where(a > 0, z, w), z ** 2, torch.sqrt(z)


case("complex", complex_numbers, r(3, 4), r(3, 4))
# Creation ---------------------------------------------------------------------------------------------------------------
case("create", lambda a: (torch.zeros(2, 3) + a, torch.ones_like(a), torch.full((2,), 3.5), torch.full_like(a, 2), torch.arange(5), torch.arange(1, 9, 2), torch.arange(0.0, 1.0, 0.25),
                          torch.linspace(0, 1, 5), torch.eye(3), torch.eye(2, 4), a.new_zeros(2), a.new_ones(2), a.new_full((2,), 7), torch.zeros_like(a), torch.logspace(0, 2, 3)), r(2, 3))
case("create.copy", lambda a: (a.clone(), a.detach(), a.contiguous(), a.double(), a.to(torch.int64), a.bool(), a.half().float(), a.type_as(a.double())), X)
case("create.tri_indices", lambda a: a[torch.tril_indices(3, 3)[0], torch.tril_indices(3, 3)[1]], r(3, 3))
# In place ---------------------------------------------------------------------------------------------------------------


def in_place(a):
    b = a.clone()
    b[:, 1:] += 1
    b[0].mul_(2)
    b.t()[1].zero_()
    c = b.view(-1)
    c[3] = 7
    b.relu_()
    parts = b.split(1, 0)
    parts[1].fill_(3)
    return b, c


def masks(a):
    m = torch.zeros(4, 4)
    for k, (i, j) in enumerate(((slice(0, -2), slice(0, 1)), (slice(-2, None), slice(1, None)))):
        m[i, j] = k + 1
    return a + m


case("inplace.views", in_place, r(3, 4))
case("inplace.masks", masks, r(4, 4))
case("inplace.index_put", lambda a: a.clone().index_put_((torch.tensor([1, 2]),), torch.tensor(5.0)), r(4, 3))
# Networks ---------------------------------------------------------------------------------------------------------------
case("conv.1d", lambda a, w, b: F.conv1d(a, w, b, stride=2, padding=1), r(2, 3, 9), r(4, 3, 3), r(4))
case("conv.2d", lambda a, w, b: F.conv2d(a, w, b, stride=(2, 1), padding=(1, 0), dilation=(1, 2)), r(2, 3, 9, 9), r(4, 3, 3, 3), r(4))
case("conv.groups", lambda a, w: F.conv2d(a, w, groups=4, padding=1), r(1, 4, 7, 7), r(8, 1, 3, 3))
case("conv.same", lambda a, w: F.conv2d(a, w, padding="same"), r(1, 3, 7, 7), r(4, 3, 4, 4))
case("conv.3d", lambda a, w: F.conv3d(a, w, padding=1), r(1, 2, 4, 5, 6), r(3, 2, 3, 3, 3))
case("conv.unbatched", lambda a, w: F.conv2d(a, w), r(3, 7, 7), r(4, 3, 3, 3))
case("conv.transpose", lambda a, w, b: F.conv_transpose2d(a, w, b, stride=2, padding=1, output_padding=1), r(1, 3, 5, 5), r(3, 4, 3, 3), r(4))
case("conv.transpose_groups", lambda a, w: F.conv_transpose2d(a, w, stride=2, groups=2), r(1, 4, 5, 5), r(4, 3, 3, 3))
case("conv.transpose1d", lambda a, w: F.conv_transpose1d(a, w, stride=3), r(1, 3, 5), r(3, 2, 4))
case("matmul", lambda a, b, c: (a @ b, torch.bmm(a, b), torch.mm(a[0], b[0]), torch.mv(a[0], c), torch.dot(c, c), torch.outer(c, c), a @ c, c @ b), r(2, 3, 4), r(2, 4, 5), r(4))
case("addmm", lambda a, b, c: (torch.addmm(a, b, c), torch.addmm(a, b, c, beta=0.5, alpha=2), torch.addmv(a[0], c.t(), b[0]), torch.baddbmm(a[None], b[None], c[None]), torch.addbmm(a, b[None], c[None])), r(2, 5), r(2, 3), r(3, 5))
case("linear", lambda a, w, b: (F.linear(a, w, b), F.linear(a, w)), X, r(5, 4), r(5))
case("bilinear", lambda a, b, w: F.bilinear(a, b, w), r(2, 3), r(2, 4), r(5, 3, 4))
case("einsum", lambda a, b: (torch.einsum("bij,bjk->bik", a, b), torch.einsum("bij->bji", a), torch.tensordot(a, b, ([0, 2], [0, 1]))), r(2, 3, 4), r(2, 4, 5))
case("pad", lambda a: (F.pad(a, (1, 2)), F.pad(a, (1, 1, 2, 0), value=3), F.pad(a, (1, 1), mode="reflect"), F.pad(a, (2, 1), mode="replicate"), F.pad(a, (1, 2), mode="circular"), F.pad(a, (-1, 1))), X)
case("pad.2d", lambda a: (F.pad(a, (1, 2, 1, 1), mode="reflect"), F.pad(a, (1, 2, 1, 1), mode="replicate")), r(1, 2, 4, 5))
case("resize.bilinear", lambda a: (F.interpolate(a, (7, 9), mode="bilinear"), F.interpolate(a, (7, 9), mode="bilinear", align_corners=True), F.interpolate(a, scale_factor=2, mode="bilinear")), r(1, 2, 4, 5))
case("resize.scales", lambda a: (F.interpolate(a, scale_factor=1.7, mode="bilinear"), F.interpolate(a, scale_factor=0.6, mode="nearest"), F.interpolate(a, scale_factor=1.5, mode="bicubic")), r(1, 2, 6, 5))
case("resize.nearest", lambda a: (F.interpolate(a, (7, 9)), F.interpolate(a, scale_factor=2), F.interpolate(a, (3, 3), mode="nearest-exact")), r(1, 2, 4, 5))
case("resize.bicubic", lambda a: (F.interpolate(a, (7, 9), mode="bicubic"), F.interpolate(a, (7, 9), mode="bicubic", align_corners=True)), r(1, 2, 4, 5))
case("resize.antialias", lambda a: (F.interpolate(a, (3, 4), mode="bilinear", antialias=True), F.interpolate(a, (3, 4), mode="bicubic", antialias=True)), r(1, 2, 9, 11))
case("resize.1d3d", lambda a, b: (F.interpolate(a, 9, mode="linear"), F.interpolate(b, (3, 4, 5), mode="trilinear")), r(1, 2, 4), r(1, 2, 2, 3, 4))
case("grid_sample", lambda a, g: (F.grid_sample(a, g, align_corners=False), F.grid_sample(a, g, mode="nearest", padding_mode="border", align_corners=True), F.grid_sample(a, g, mode="bicubic", padding_mode="reflection", align_corners=False)),
     r(1, 2, 5, 6), r(1, 4, 4, 2, low=-1.1, high=1.1))
case("affine_grid", lambda t: (F.affine_grid(t, (1, 1, 3, 4), align_corners=False), F.affine_grid(t, (1, 1, 3, 4), align_corners=True)), r(1, 2, 3))
case("dropout", lambda a: (F.dropout(a, 0.5, training=False), torch.nn.functional.alpha_dropout(a, training=False)), X)
case("pool.max", lambda a: (F.max_pool2d(a, 2), F.max_pool2d(a, 3, 2, 1), F.max_pool2d(a, 3, 2, ceil_mode=True), F.max_pool2d(a, 2, dilation=2)), r(2, 3, 8, 7))
case("pool.max_indices", lambda a: F.max_pool2d(a, 3, 2, 1, return_indices=True), r(2, 3, 8, 7))
case("pool.avg", lambda a: (F.avg_pool2d(a, 2), F.avg_pool2d(a, 3, 2, 1), F.avg_pool2d(a, 3, 2, 1, count_include_pad=False), F.avg_pool2d(a, 3, 2, ceil_mode=True), F.avg_pool2d(a, 2, divisor_override=3)), r(2, 3, 8, 7))
case("pool.1d3d", lambda a, b: (F.max_pool1d(a, 2), F.avg_pool1d(a, 3, 1, 1), F.max_pool3d(b, 2), F.avg_pool3d(b, 2)), r(2, 3, 8), r(1, 2, 4, 4, 4))
case("pool.unpool", lambda a: F.max_unpool2d(*F.max_pool2d(a, 2, return_indices=True), 2, output_size=(6, 7)), r(2, 3, 6, 7))
case("pool.divisor", lambda a: (F.avg_pool2d(a, 3, 2, 1, ceil_mode=True, divisor_override=2), F.avg_pool2d(a, 3, 2, 1, count_include_pad=False, divisor_override=5)), r(1, 2, 7, 8))
case("pool.adaptive", lambda a: (F.adaptive_avg_pool2d(a, 1), F.adaptive_avg_pool2d(a, (3, 2)), F.adaptive_max_pool2d(a, 2), F.adaptive_avg_pool1d(a[0], 3)), r(2, 3, 8, 7))
case("pool.fold", lambda a: (F.unfold(a, 3, padding=1, stride=2), F.fold(F.unfold(a, 2, stride=2), (6, 6), 2, stride=2)), r(1, 2, 6, 6))
case("norm.batch", lambda a, m, v, w, b: (F.batch_norm(a, m, v, w, b), F.batch_norm(a, m, v)), r(2, 3, 4, 4), r(3), p(3), r(3), r(3))
case("norm.layer", lambda a, w, b: (F.layer_norm(a, (4,), w, b), F.layer_norm(a, (3, 4)), F.layer_norm(a, (4,), w)), X, r(4), r(4))
case("norm.group", lambda a, w, b: (F.group_norm(a, 2, w, b), F.group_norm(a, 4)), r(2, 4, 3, 3), r(4), r(4))
case("norm.instance", lambda a, w, b: (F.instance_norm(a), F.instance_norm(a, weight=w, bias=b)), r(2, 3, 4, 4), r(3), r(3))
case("norm.rms", lambda a, w: (F.rms_norm(a, (4,), w), F.rms_norm(a, (3, 4)), F.rms_norm(a, (4,), w, eps=1e-3)), X, r(4))
case("norm.lrn", lambda a: F.local_response_norm(a, 3), r(2, 5, 4, 4))
case("attention", lambda q, k, v, m: (F.scaled_dot_product_attention(q, k, v), F.scaled_dot_product_attention(q, k, v, m > 0), F.scaled_dot_product_attention(q, k, v, m), F.scaled_dot_product_attention(q, k, v, scale=0.3)),
     r(2, 2, 5, 4), r(2, 2, 6, 4), r(2, 2, 6, 4), torch.cat((torch.ones(5, 1), r(5, 5)), 1))
case("attention.rows_without_keys", lambda q, k, v, m: (F.scaled_dot_product_attention(q, k, v, m > 0), F.scaled_dot_product_attention(q, k, v, torch.where(m > 0, 0.0, -torch.inf))),
     r(2, 2, 5, 4), r(2, 2, 6, 4), r(2, 2, 6, 4), torch.cat((torch.ones(4, 6), -torch.ones(1, 6)), 0))
case("histc", lambda a: (torch.histc(a, bins=4, min=0, max=3), torch.histc(a, bins=7, min=-0.5, max=0.5)), torch.tensor([0.0, 1, 1, 2, 3, 3, 3, -0.3, 0.4, 4, -1]))
case("attention.causal", lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True), r(2, 2, 5, 4))
case("attention.gqa", lambda q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True), r(2, 4, 5, 4), r(2, 2, 6, 4))


class Wrapped(torch.nn.Module):
    def __init__(self, fn, **modules):
        super().__init__()
        self.fn = fn
        for k, v in modules.items():
            setattr(self, k, v)

    def forward(self, *a):
        return self.fn(*a) if not list(self.children()) else self.fn(self, *a)


case("attention.module", Wrapped(lambda s, a: s.m(a, a, a), m=torch.nn.MultiheadAttention(8, 2, batch_first=True)), r(2, 5, 8))
case("transformer.encoder", Wrapped(lambda s, a: s.m(a), m=torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)), r(2, 5, 8))
for kind in ("RNN", "GRU", "LSTM"):
    case(f"recurrent.{kind}", Wrapped(lambda s, a: s.m(a), m=getattr(torch.nn, kind)(3, 5, 2)), r(4, 2, 3))
    case(f"recurrent.{kind}.bidirectional", Wrapped(lambda s, a: s.m(a), m=getattr(torch.nn, kind)(3, 5, bidirectional=True, batch_first=True)), r(2, 4, 3))
case("recurrent.relu", Wrapped(lambda s, a: s.m(a), m=torch.nn.RNN(3, 5, nonlinearity="relu", bias=False)), r(4, 2, 3))
for batch_first, bias in ((True, True), (False, False)):
    case("recurrent.LSTM.projection", Wrapped(lambda s, a: s.m(a), m=torch.nn.LSTM(3, 5, 2, bidirectional=True, proj_size=2, batch_first=batch_first, bias=bias)), r(2, 4, 3))
for kind in ("RNNCell", "GRUCell", "LSTMCell"):
    case(f"recurrent.{kind}", Wrapped(lambda s, a: s.m(a), m=getattr(torch.nn, kind)(3, 5)), r(2, 3))
case("embedding", Wrapped(lambda s, a: s.m(a), m=torch.nn.Embedding(7, 3, padding_idx=0)), ints(2, 4, high=7))
# Control flow and symbols -----------------------------------------------------------------------------------------------
case("control.cond", lambda a: torch.cond(a.sum() > 0, lambda x: x + 1, lambda x: x - 1, (a,)), X)


def loop(a):
    from torch._higher_order_ops.while_loop import while_loop

    return while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (torch.tensor(0), a))


case("control.while_loop", loop, r(2, 3))
case("control.no_grad", lambda a: a + torch.no_grad()(lambda x: x * 2)(a), X)
case("vision.nms", lambda b, s: torch.ops.torchvision.nms(b, s, 0.4), torch.cat((r(6, 2, low=0, high=3), r(6, 2, low=3, high=6)), 1), p(6))
case("vision.roi_align", lambda a, b: (torch.ops.torchvision.roi_align(a, b, 0.5, 3, 3, 2, True), torch.ops.torchvision.roi_align(a, b, 1.0, 2, 2, -1, False)), r(1, 2, 8, 8),
     torch.tensor([[0.0, 1, 1, 6, 7], [0, 0, 2, 4, 4]]))


# One case a family, for the archive of stored cases.
STORED = set("unary.erf binary.add_alpha binary.int_div_floor compare.mixed clamp activation.softmax reduce.var order.topk shape.split shape.slice index.two_axes index.put "
             "create inplace.views conv.groups addmm resize.bilinear pool.max norm.group attention recurrent.GRU control.cond control.while_loop "
             "cumulative loss.classes matrix.determinant matrix.cholesky special fft.real fft.short_time complex pool.unpool recurrent.LSTM.projection count order.quantile".split())


def run_hone(hone, file, inputs, folder):
    args = [hone, "run", file, "--output-dir", folder]
    for i, t in enumerate(inputs):
        np.save(os.path.join(folder, f"in{i}.npy"), t.numpy())
        args += ["--input", f"{i}={os.path.join(folder, f'in{i}.npy')}"]
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else f"code {done.returncode}")
    with open(os.path.join(folder, "outputs.json")) as f:
        return [np.load(os.path.join(folder, o["file"])) for o in json.load(f)["outputs"]]


def flat(y):
    if isinstance(y, torch.Tensor):
        # Complex tensors are [..., 2] in Hone.
        return [torch.view_as_real(y.resolve_conj())] if y.is_complex() else [y.resolve_neg()]
    return [t for e in y for t in flat(e)]


def check(expected, given):
    if len(expected) != len(given):
        return f"{len(given)} outputs instead of {len(expected)}"
    for i, (e, g) in enumerate(zip(expected, given)):
        e = e.numpy()
        if e.shape != g.shape:
            return f"output {i}: shape {g.shape} instead of {e.shape}"
        if e.dtype != g.dtype:
            return f"output {i}: type {g.dtype} instead of {e.dtype}"
        if not np.allclose(e.astype(np.float64), g.astype(np.float64), rtol=1e-4, atol=1e-5, equal_nan=True):
            return f"output {i}: differs by {np.nanmax(np.abs(e.astype(np.float64) - g)):.2e}"
    return ""


def stripped(file):
    """The archive without what no reader needs: metadata of nodes, call graphs, sample inputs."""

    def graph(g):
        for node in g["nodes"]:
            node["metadata"] = {}
            for i in node["inputs"]:
                if "as_graph" in i["arg"]:
                    graph(i["arg"]["as_graph"]["graph"])

    out = io.BytesIO()
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("models/model.json"):
                program = json.loads(data)
                graph(program["graph_module"]["graph"])
                program["graph_module"]["module_call_graph"] = []
                program["guards_code"] = []
                data = json.dumps(program, separators=(",", ":")).encode()
            elif "/data/weights/" not in name and "/data/constants/" not in name and not name.endswith("byteorder"):
                continue
            target.writestr(zipfile.ZipInfo("model/" + name.split("/", 1)[1]), data)
    return out.getvalue()


def stored_case(archive, name, file, inputs, expected):
    def add(path, data):
        info = tarfile.TarInfo(f"{name}/{path}")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))

    def npy(array):
        out = io.BytesIO()
        np.save(out, array)
        return out.getvalue()

    entries = {"inputs": [], "outputs": []}
    for kind, tensors in (("inputs", inputs), ("outputs", expected)):
        for i, t in enumerate(tensors):
            path = f"{kind[:-1]}{i}.npy"
            add(path, npy(t.numpy()))
            # Names of neither the graph's inputs nor its outputs: values go by position.
            entries[kind].append({"name": f"#{i}", "dtype": str(t.numpy().dtype), "shape": list(t.shape), "file": path})
    add("model.pt2", stripped(file))
    add("io.json", json.dumps({"model": "model.pt2", "tolerance": "rtol 1e-4, atol 1e-5", "cases": [entries]}).encode())


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--hone", default="build/release/bin/hone")
    ap.add_argument("--only", default="")
    ap.add_argument("--core", action="store_true")
    ap.add_argument("--store", default="")
    a = ap.parse_args()
    store = io.BytesIO()
    archive = tarfile.open(fileobj=store, mode="w") if a.store else None
    try:
        import torchvision  # noqa: F401
    except ImportError:
        print("skipped: the cases of torchvision")
        for k in [k for k in CASES if k.startswith("vision.")]:
            del CASES[k]
    good = bad = 0
    for name, (fn, inputs) in CASES.items():
        if a.only and not any(name.startswith(o) for o in a.only.split(",")):
            continue
        if a.store and name not in STORED:
            continue
        model = (fn if isinstance(fn, torch.nn.Module) else Wrapped(fn)).eval()
        for form in ("pt2", "core") if a.core else ("pt2",):
            with tempfile.TemporaryDirectory() as folder, torch.no_grad():
                file = os.path.join(folder, "case.pt2")
                try:
                    expected = flat(model(*inputs))
                    program = torch.export.export(model, inputs)
                    if form == "core":
                        program = program.run_decompositions()
                    torch.export.save(program, file)
                except Exception as e:  # the exporter's own failure is not Hone's
                    print(f"export {name} {form}: {type(e).__name__} {str(e).splitlines()[0][:120]}")
                    continue
                try:
                    problem = check(expected, run_hone(a.hone, file, inputs, folder))
                    if archive and not problem:
                        stored_case(archive, name, file, inputs, expected)
                except RuntimeError as e:
                    problem = str(e)
            if problem:
                print(f"FAIL   {name} {form}: {problem}", flush=True)
            good, bad = good + (not problem), bad + bool(problem)
    if archive:
        archive.close()
        with open(a.store, "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
            z.write(store.getvalue())
    print(f"{good} ok, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    import logging

    logging.disable(logging.WARNING)
    sys.exit(main())
