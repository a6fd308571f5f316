#!/usr/bin/env python3
"""Operators of the domain com.microsoft against ONNX Runtime on random inputs, one model an operator.

    python3 tests/peers/microsoft_operators.py [--hone PATH]

Needs onnx, onnxruntime and numpy; the same Python is then the peer of `hone compare`. Prints a line an operator; exit 1 where one differs.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)


def random(*shape):
    return rng.random(shape, dtype=np.float32) - np.float32(.5)


def cases():
    """(name, operator, inputs, attributes, number of outputs); a string names an absent input, a tuple holds a constant."""
    b, length, heads, size = 2, 5, 3, 4
    width = heads * size
    q, k, v = random(b, length, width), random(b, 6, width), random(b, 6, width)
    yield "MultiHeadAttention", "MultiHeadAttention", [q, k, v], {"num_heads": heads}, 1
    yield "MultiHeadAttention_bias", "MultiHeadAttention", [q, k, v, (random(3 * width),)], {"num_heads": heads, "scale": .3}, 1
    yield "MultiHeadAttention_causal_past", "MultiHeadAttention", [
        q, random(b, length, width), random(b, length, width), "", "", "", random(b, heads, 3, size), random(b, heads, 3, size)], {"num_heads": heads, "unidirectional": 1}, 3
    yield "MultiHeadAttention_mask", "MultiHeadAttention", [
        q, k, v, "", np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]], np.int32)], {"num_heads": heads}, 1
    yield "MultiHeadAttention_attention_bias", "MultiHeadAttention", [q, k, v, "", "", random(b, heads, length, 6)], {"num_heads": heads}, 1
    yield "MultiHeadAttention_scores", "MultiHeadAttention", [q, k, v, "", "", random(b, 1, length, 6)], {"num_heads": heads}, 4
    x, w = random(b, length, 8), (random(8, 3 * width),)
    yield "Attention_ends_and_begins", "Attention", [x, w, (random(3 * width),), np.array([4, 5, 1, 2], np.int32)], {"num_heads": heads}, 1
    yield "Attention_sizes", "Attention", [
        x, (random(8, 2 * width + 9),), (random(2 * width + 9),)], {"num_heads": heads, "qkv_hidden_sizes": [width, width, 9]}, 1
    yield "Attention", "Attention", [x, w, (random(3 * width),)], {"num_heads": heads}, 1
    yield "Attention_lengths", "Attention", [x, w, (random(3 * width),), np.array([3, 5], np.int32)], {"num_heads": heads}, 1
    yield "Attention_mask", "Attention", [
        x, w, (random(3 * width),), np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)], {"num_heads": heads}, 1
    yield "Attention_causal_past", "Attention", [x, w, (random(3 * width),), "", random(2, b, heads, 3, size)], {"num_heads": heads, "unidirectional": 1}, 2
    caches = [(random(16, 4),), (random(16, 4),)]
    for interleaved in (0, 1):
        yield "RotaryEmbedding_%d" % interleaved, "RotaryEmbedding", [
            random(b, length, 16), np.array([[0, 1, 2, 3, 4], [3, 4, 5, 6, 7]], np.int64)] + caches, {"interleaved": interleaved}, 1
        yield "RotaryEmbedding_offset_%d" % interleaved, "RotaryEmbedding", [
            random(b, 2, length, 8), np.array([2], np.int64)] + caches, {"interleaved": interleaved}, 1
    yield "EmbedLayerNormalization", "EmbedLayerNormalization", [
        np.array([[1, 2, 3], [4, 0, 1]], np.int32), np.array([[0, 0, 1], [1, 1, 0]], np.int32), (random(6, 8),), (random(4, 8),), (random(2, 8),),
        (random(8),), (random(8),), np.array([[1, 1, 0], [1, 1, 1]], np.int32)], {"epsilon": 1e-5}, 2
    for name, p in (("Relu", []), ("Tanh", []), ("Sigmoid", []), ("LeakyRelu", [.2]), ("Clip", [-.1, .3]), ("HardSigmoid", [.3, .4])):
        yield "FusedConv_" + name, "FusedConv", [random(1, 3, 6, 6), (random(4, 3, 3, 3),), (random(4),)], {
            "activation": name, "kernel_shape": [3, 3], "pads": [1, 1, 1, 1], **({"activation_params": p} if p else {})}, 1
    yield "FusedConv_residual", "FusedConv", [random(1, 3, 6, 6), (random(4, 3, 3, 3),), (random(4),), random(1, 4, 4, 4)], {"activation": "Relu", "kernel_shape": [3, 3]}, 1
    yield "FusedGemm", "FusedGemm", [random(3, 4), (random(4, 5),), (random(5),)], {"activation": "LeakyRelu", "activation_alpha": .1, "alpha": .5}, 1
    yield "DynamicQuantizeMatMul", "DynamicQuantizeMatMul", [
        random(3, 8), (rng.integers(-100, 100, (8, 5), dtype=np.int8),), (np.float32(.01),), (np.int8(3),), (random(5),)], {}, 1
    yield "MatMulIntegerToFloat", "MatMulIntegerToFloat", [
        rng.integers(0, 200, (3, 8), dtype=np.uint8), (rng.integers(-100, 100, (8, 5), dtype=np.int8),), (np.float32(.02),), (np.float32(.01),), (np.uint8(120),), (np.int8(3),)], {}, 1
    yield "BiasGelu", "BiasGelu", [random(3, 8), (random(8),)], {}, 1
    yield "FastGelu", "FastGelu", [random(3, 8), (random(8),)], {}, 1
    yield "QuickGelu", "QuickGelu", [random(3, 8)], {"alpha": 1.5}, 1
    yield "SkipLayerNormalization", "SkipLayerNormalization", [random(b, 3, 8), random(b, 3, 8), (random(8),), (random(8),), (random(8),)], {"epsilon": 1e-5}, 1
    yield "SkipSimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization", [random(b, 3, 8), random(b, 3, 8), (random(8),)], {"epsilon": 1e-5}, 1
    yield "MatMulNBits", "MatMulNBits", [
        random(3, 64), (rng.integers(0, 255, (5, 2, 16), dtype=np.uint8),), (random(10),)], {"K": 64, "N": 5, "bits": 4, "block_size": 32}, 1
    u8 = lambda *s: rng.integers(0, 255, s, dtype=np.uint8)
    scale, zero = (np.float32(.02),), (np.uint8(120),)
    yield "QLinearAdd", "QLinearAdd", [u8(3, 4), scale, zero, u8(3, 4), scale, zero, (np.float32(.03),), zero], {}, 1
    yield "QLinearMul", "QLinearMul", [u8(3, 4), scale, zero, u8(3, 4), scale, zero, (np.float32(.03),), zero], {}, 1
    yield "QLinearSigmoid", "QLinearSigmoid", [u8(3, 4), scale, zero, (np.float32(1 / 256),), (np.uint8(0),)], {}, 1
    yield "QLinearLeakyRelu", "QLinearLeakyRelu", [u8(3, 4), scale, zero, scale, zero], {"alpha": .1}, 1
    for axis, opset in ((-1, 13), (1, 12), (1, 13)):
        yield "QLinearSoftmax_%d_%d" % (axis, opset), "QLinearSoftmax", [u8(2, 3, 4), scale, zero, (np.float32(1 / 256),), (np.uint8(0),)], {"axis": axis, "opset": opset}, 1
    yield "QLinearWhere", "QLinearWhere", [rng.random((3, 4)) > .5, u8(3, 4), scale, zero, u8(1, 4), (np.float32(.01),), zero, (np.float32(.03),), zero], {}, 1
    quantized = [u8(b, length, 8), (rng.integers(-100, 100, (8, 3 * width), dtype=np.int8),), (random(3 * width),), (np.float32(.02),)]
    yield "QAttention", "QAttention", quantized + [(np.float32(.01),), "", (np.uint8(120),), (np.int8(3),)], {"num_heads": heads}, 1
    yield "QAttention_columns_past", "QAttention", quantized + [
        ((random(3 * width) + 1) / 100,), "", (np.uint8(120),), (np.zeros(3 * width, np.int8),), random(2, b, heads, 3, size)], {"num_heads": heads, "unidirectional": 1}, 2
    yield "QAttention_mask", "QAttention", quantized + [(np.float32(.01),), np.array([3, 5], np.int32), (np.uint8(120),), (np.int8(3),)], {"num_heads": heads}, 1
    yield from group_query_cases()
    yield from table_cases()
    yield "QLinearConcat", "QLinearConcat", [scale, zero, u8(3, 4), scale, zero, u8(3, 2), scale, zero], {"axis": 1}, 1


def table_cases():
    ids = np.array([[1, 0, 3], [4, 2, 2]], np.int64)
    for bits in (4, 8):
        packed = lambda *s: (rng.integers(0, 256, s, dtype=np.uint8),)
        scales = ((random(5, 3) + 1) / 20,)
        a = {"bits": bits, "block_size": 16, "gather_axis": 0, "quantize_axis": 1}
        yield "GatherBlockQuantized_%d" % bits, "GatherBlockQuantized", [packed(5, 48 * bits // 8), ids, scales], a, 1
        yield "GatherBlockQuantized_%d_zero" % bits, "GatherBlockQuantized", [packed(5, 48 * bits // 8), ids, scales, packed(5, (3 * bits + 7) // 8)], a, 1
    table = lambda *s: (rng.integers(0, 256, s, dtype=np.uint8),)
    one = lambda v, t=np.float32: (t(v),)
    yield "QEmbedLayerNormalization", "QEmbedLayerNormalization", [
        np.array([[1, 2, 3], [4, 0, 1]], np.int32), np.array([[0, 0, 1], [1, 1, 0]], np.int32), table(6, 8), table(4, 8), table(2, 8), table(8), table(8),
        np.array([[1, 1, 0], [1, 1, 1]], np.int32), one(.02), one(.01), one(.03), one(.004), one(.005)] + [one(z, np.uint8) for z in (120, 130, 100, 10, 128)], {"epsilon": 1e-5}, 2
    yield "Trilu", "Trilu", [random(2, 4, 5), (np.array(1, np.int64),)], {"upper": 0}, 1
    yield "Inverse", "Inverse", [random(2, 4, 4) + np.eye(4, dtype=np.float32)], {}, 1
    yield "Pad", "Pad", [random(2, 3), (np.array([0, 1, 1, 2]),), (np.array([2], np.float32),)], {"mode": "constant"}, 1
    yield "GatherND", "GatherND", [random(2, 3), (np.array([[0, 1], [1, 2]]),)], {}, 1
    yield "Range", "Range", [(np.float32(1),), (np.float32(4),)], {}, 1
    yield "ExpandDims", "ExpandDims", [random(2, 3), (np.int32(1),)], {}, 1
    for metric in ("euclidean", "sqeuclidean"):
        yield "CDist_" + metric, "CDist", [random(3, 4), random(5, 4)], {"metric": metric}, 1
    yield "Unique", "Unique", [np.array([3, 1, 2, 1, 3], np.float32)], {}, 3


def group_query_cases():
    b, heads, kv, size, i32 = 2, 4, 2, 16, np.int32
    def group(name, length, past=0, lengths=None, packed=False, room=0, **attributes):
        total = past + length
        lengths = np.array(lengths if lengths else [total - 1] * b, i32)
        q = random(b, length, (heads + 2 * kv if packed else heads) * size)
        rest = ["", ""] if packed else [random(b, length, kv * size), random(b, length, kv * size)]
        cache = [random(b, kv, past + room, size), random(b, kv, past + room, size)] if past else ["", ""]
        inputs = [q] + rest + cache + [lengths, (np.array(total, i32),)]
        rotary = attributes.get("do_rotary", 0)
        if rotary:
            inputs += [(random(32, size // 2),), (random(32, size // 2),)]
        extra = attributes.pop("extra", {})
        outputs = (3, 1) if room or len(set(lengths)) > 1 else 3  # what a cache holds behind its end is left to the runtime
        for at, value in sorted(extra.items()):
            inputs += [""] * (at - len(inputs)) + [value]
        return name, "GroupQueryAttention", inputs, {"num_heads": heads, "kv_num_heads": kv, **attributes}, outputs

    yield group("GroupQueryAttention_prompt", 5)
    yield group("GroupQueryAttention_packed", 5, packed=True)
    yield group("GroupQueryAttention_step", 1, past=6)
    yield group("GroupQueryAttention_step_room", 1, past=6, room=4)
    yield group("GroupQueryAttention_step_lengths", 1, past=6, lengths=[3, 6])
    yield group("GroupQueryAttention_rotary", 5, do_rotary=1)
    yield group("GroupQueryAttention_rotary_step", 1, past=6, do_rotary=1, rotary_interleaved=1)
    yield group("GroupQueryAttention_rotary_step_lengths", 1, past=6, lengths=[3, 6], do_rotary=1)
    yield group("GroupQueryAttention_window", 6, local_window_size=3)
    yield group("GroupQueryAttention_window_step", 1, past=6, local_window_size=3)
    yield group("GroupQueryAttention_softcap", 5, softcap=.1, scale=.7)
    yield group("GroupQueryAttention_smooth", 5, smooth_softmax=1)
    yield group("GroupQueryAttention_sink", 5, extra={11: random(heads)})
    yield group("GroupQueryAttention_bias", 5, extra={10: random(1, 1, 5, 5)})
    yield group("GroupQueryAttention_all_keys", 5, causal=0)
    for mode in (1, 2):
        name, op, inputs, attributes, _ = group("GroupQueryAttention_scores_%d" % mode, 1, past=6, qk_output=mode, softcap=.4, local_window_size=4)
        yield name, op, inputs, attributes, 4
    # Caches of integers: one scale for all, or one for each channel.
    for bits in (8, 4):
        for kind, scale in (("PER_TENSOR", lambda: (np.array([.1], np.float32),)), ("PER_CHANNEL", lambda: ((random(1, kv, 1, size) + 1) / 10,))):
            for past, length in ((6, 1), (0, 5)):
                name, op, inputs, attributes, outputs = group("GroupQueryAttention_%d_bits_%s_%d" % (bits, kind.lower(), past), length, past=past, do_rotary=1)
                stored = (b, kv, past, size) if bits == 8 else (b, kv, past, size // 2)
                inputs[3:5] = [(rng.integers(0, 256, stored) - (128 if bits == 8 else 0)).astype(np.int8 if bits == 8 else np.uint8) for _ in range(2)]
                inputs += [""] * (12 - len(inputs)) + [scale(), scale()]
                yield name, op, inputs, {**attributes, "k_quant_type": kind, "v_quant_type": kind, "kv_cache_bit_width": bits}, outputs
    # Caches of the window: (room, window, tokens before, new tokens). A sequence alone, since new tokens beside a cache want that; all rows are in use then.
    for room, window, before, length in ((4, 4, 3, 1), (4, 4, 9, 1), (6, 3, 9, 1), (6, 3, 5, 5), (6, 3, 2, 8), (4, 4, 6, 9)):
        total = before + length
        inputs = [random(1, length, heads * size), random(1, length, kv * size), random(1, length, kv * size), random(1, kv, room, size), random(1, kv, room, size),
                  np.array([total - 1], i32), (np.array(total, i32),), (random(32, size // 2),), (random(32, size // 2),)]
        yield "GroupQueryAttention_cache_%d_%d_%d_%d" % (room, window, before, length), "GroupQueryAttention", inputs + ["", random(1, heads, length, total)], {
            "num_heads": heads, "kv_num_heads": kv, "local_window_size": window, "sliding_window_cache": 1, "do_rotary": 1}, 3
    inputs = [random(b, 1, heads * size), random(b, 1, kv * size), random(b, 1, kv * size), random(b, kv, 4, size), random(b, kv, 4, size), np.array([2, 8], i32), (np.array(9, i32),)]
    yield "GroupQueryAttention_cache_lengths", "GroupQueryAttention", inputs, {
        "num_heads": heads, "kv_num_heads": kv, "local_window_size": 3, "sliding_window_cache": 1}, (3, 1)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--only", default="", help="cases whose name begins like this")
    p.add_argument("--hone", default=str(pathlib.Path(__file__).resolve().parents[2] / "build/release/bin/hone"))
    o = p.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, op, inputs, attributes, outputs in cases():
            if not name.startswith(o.only):
                continue
            names, infos, constants, call = [], [], [], []
            for i, a in enumerate(inputs):
                names.append("" if isinstance(a, str) else "x%d" % i)
                if isinstance(a, str):
                    continue
                if isinstance(a, tuple):
                    constants.append(numpy_helper.from_array(np.asarray(a[0]), "x%d" % i))
                    continue
                infos.append(helper.make_tensor_value_info("x%d" % i, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape))
                np.save("%s/x%d.npy" % (folder, i), a)
                call += ["--input", "x%d=%s/x%d.npy" % (i, folder, i)]
            made, outputs = outputs if isinstance(outputs, tuple) else (outputs, outputs)  # of the node, of the model
            results = ["y%d" % i for i in range(made)]
            kind = {"QLinear": TensorProto.UINT8}.get(op[:7], TensorProto.FLOAT)
            kinds = [TensorProto.INT32 if op == "EmbedLayerNormalization" and i == 1 else kind for i in range(outputs)]
            if op == "QEmbedLayerNormalization":
                kinds = [TensorProto.FLOAT, TensorProto.INT32]
            if op == "Unique":
                kinds = [TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT64]
            if op == "GroupQueryAttention" and not isinstance(inputs[3], str):
                kinds = [helper.np_dtype_to_tensor_dtype(inputs[3].dtype) if i in (1, 2) else kind for i in range(outputs)]
            node = helper.make_node(op, names, results, domain="com.microsoft", **attributes)
            graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info(r, t, None) for r, t in zip(results[:outputs], kinds)], constants)
            model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
            onnx.save(model, folder + "/m.onnx")
            tolerance = ["--atol", "1.01"] if kind == TensorProto.UINT8 else ["--atol", "1e-5"]  # a step, where a tie is rounded the other way
            r = subprocess.run([o.hone, "compare", folder + "/m.onnx", "onnxruntime:", "--rtol", "1e-3"] + tolerance + call,
                               capture_output=True, text=True, env={**os.environ, "HONE_PYTHON": sys.executable})
            failed += r.returncode != 0
            print("%-34s %s" % (name, "ok" if r.returncode == 0 else (r.stderr or r.stdout).strip().replace("\n", " | ")))
    print("%d differ" % failed)
    return failed > 0


sys.exit(main())
