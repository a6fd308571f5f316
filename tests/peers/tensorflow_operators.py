#!/usr/bin/env python3
"""Raw operators of TensorFlow against TensorFlow itself: one SavedModel a case, run by Hone and compared with what the peer computes.

    python3 tests/peers/tensorflow_operators.py [--hone PATH] [--only NAME]

Needs tensorflow and numpy. Prints a line a case; exit 1 where one differs.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # kernels with another rounding
import numpy as np
import tensorflow as tf

raw, f32 = tf.raw_ops, np.float32
rng = np.random.default_rng(0)


def random(*shape):
    return rng.random(shape, dtype=f32) - f32(.5)


def cases():
    """(name, function of tensors, inputs, allowed difference)"""
    yield from table_cases()
    yield from sparse_cases()
    yield from text_cases()
    yield from changed_text_cases()
    yield from ragged_cases()
    yield from matrix_cases()
    yield from keras_cases()
    yield from quantized_cases()


def table_cases():
    words = np.array(["b", "x", "c", "a"])
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "words.txt").write_bytes(b"a\t5\t1.5\r\nb\t6\t2.5\nc\t7\t-3\n")
    for name, kinds, columns, x in (
            ("number_of_line", (tf.string, tf.int64), (0, -1), words), ("column", (tf.string, tf.int64), (0, 1), words), ("float", (tf.string, tf.float32), (0, 2), words),
            ("of_integers", (tf.int64, tf.string), (1, 0), np.array([6, 5, 9])), ("of_lines", (tf.int64, tf.string), (-1, -2), np.array([0, 2, 4]))):
        otherwise = "" if kinds[1] == tf.string else -1
        table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(str(folder / "words.txt"), kinds[0], columns[0], kinds[1], columns[1], delimiter="\t"), otherwise)
        yield "table_of_file_" + name, reading(table), [x], 0
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a", "b"], np.array([3, 4])), 9)
    yield "table_of_constants", reading(table), [words], 0


def reading(table):
    def find(x):
        return table.lookup(x), table.size()
    find.table = table
    return find


def text_cases():
    text = np.array(["a, b", "", "c,,d;", " e f  g ", "Strasse", "x" * 70, "The quick brown fox jumps over it"])
    for delimiter, skip in (("", False), (",", False), (",; ", True)):
        yield f"StringSplit_{len(delimiter)}_{skip}", lambda x, d=delimiter, s=skip: raw.StringSplit(input=x, delimiter=d, skip_empty=s), [text], 0
    for separator, most in (("", -1), ("", 1), (",", -1), (", ", 1), ("e", 0)):
        yield f"StringSplitV2_{len(separator)}_{most}", lambda x, d=separator, m=most: raw.StringSplitV2(input=x, sep=d, maxsplit=m), [text], 0
    for buckets in (7, 5000, 2**62):
        yield f"StringToHashBucketFast_{buckets}", lambda x, b=buckets: raw.StringToHashBucketFast(input=x, num_buckets=b), [text], 0
    splits = np.array([0, 3, 3, 4, 7])
    for widths, pads, short in (([2], 0, False), ([1, 3], -1, False), ([4], 1, False), ([5, 4], 0, True), ([3], 2, False)):
        yield f"StringNGrams_{widths}_{pads}_{short}", lambda x, w=widths, p=pads, s=short: raw.StringNGrams(
            data=x, data_splits=splits, separator="|", ngram_widths=w, left_pad="<", right_pad=">", pad_width=p, preserve_short_sequences=s), [text], 0


def changed_text_cases():
    text = np.array(["Don't STOP, (now)!  ", "", "a1b22c333", "\t x_y-z \n", "Äé€😀 z", "foo@bar.org, me@home", "aaa"])
    for op in ("StringLower", "StringUpper", "StringStrip"):
        yield op, lambda x, op=op: getattr(raw, op)(input=x), [text], 0
    punctuation = r"""[!"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']"""
    for i, (pattern, rewrite) in enumerate(((punctuation, ""), (r"[0-9]+", r"<\0>"), (r"x*", "-"), (r"", "."), (r"(\w+)@(\w+)(\.org)?", r"\2 at \1\3"), (r"a|aa", "b"), (r"a+?", "b"),
                                            (r"\b[a-z]", r"_\0"), (r"(?i)[a-f]", "#"), (r"[^a-z]", "~"), (r"\s+", " "), (r"^\s+|\s+$", ""), (r"[[:punct:]]", r"\\"), (r"(a)|(b)", r"[\1|\2]"),
                                            (r".", "o"), (r"(?s).$", "!"), (r"[À-ÿ]", "E"), (r"\W", "w"), (r"(a{1,2}?)(a*)", r"\2:\1"), (r"(?:(a)|(1)|(b))+", r"\1\2\3"))):
        for everywhere in (True, False):
            yield f"StaticRegexReplace_{i}_{everywhere}", lambda x, p=pattern, r=rewrite, g=everywhere: raw.StaticRegexReplace(input=x, pattern=p, rewrite=r, replace_global=g), [text], 0
        yield f"RegexFullMatch_{i}", lambda x, p=pattern: raw.RegexFullMatch(input=x, pattern=p), [text], 0
    yield "RegexReplace", lambda x: raw.RegexReplace(input=x, pattern="[aeiou]", rewrite="*"), [text], 0
    yield "StringJoin", lambda x, y: tf.strings.join([x, "-", y], separator="+"), [text[:3], text[3:6]], 0
    numbers = np.array([0, -1.5, 3.14159265, 1e-7, 12345678, 1e20], f32)
    for i, k in enumerate((dict(), dict(precision=2), dict(scientific=True), dict(shortest=True), dict(shortest=True, precision=3), dict(width=12, precision=1), dict(width=12, fill="0"), dict(width=12, fill="-"), dict(fill="+"))):
        yield f"AsString_{i}", lambda x, k=k: raw.AsString(input=x, **k), [numbers], 0
    yield "AsString_f64", lambda x: raw.AsString(input=x), [numbers.astype(np.float64)], 0
    for t in (np.int32, np.int64, np.uint8):
        yield "AsString_" + t.__name__, lambda x: raw.AsString(input=x, width=5, fill="0"), [np.array([0, 7, 123], t)], 0
    yield "AsString_bool", lambda x: raw.AsString(input=x), [np.array([True, False])], 0
    for t in (tf.float32, tf.float64, tf.int32, tf.int64):
        yield "StringToNumber_" + t.name, lambda x, t=t: raw.StringToNumber(string_tensor=x, out_type=t), [
            np.array(["1", " -22 ", "0", "2147483647"] if t.is_integer else ["1.5", " -22 ", "1e-3", "3.4028e38", "+2", ".5", "1e5"])], 0
    for unit in ("BYTE", "UTF8_CHAR"):
        yield "StringLength_" + unit, lambda x, unit=unit: raw.StringLength(input=x, unit=unit), [text], 0
        for at, n in ((0, 3), (0, 99), (2, 0), (-2, 1), (-3, 99), (3, 2), (1, -1)):
            words = np.array(["hello", "wörld", "abc€"])
            yield f"Substr_{unit}_{at}_{n}", lambda x, unit=unit, at=at, n=n: raw.Substr(input=x, pos=at, len=n, unit=unit), [words if unit == "UTF8_CHAR" else words[:1]], 0
        yield "Substr_lists_" + unit, lambda x, unit=unit: raw.Substr(input=x, pos=[0, 1, 2], len=[1, 2, 3], unit=unit), [np.array([["hello", "world", "abcde"], ["fghij", "klmno", "pqrst"]])], 0


def ragged_cases():
    text = np.array(["aé", "", "€😀 z", "plain\ttext"])
    for errors in ("replace", "ignore"):
        for controls in (False, True):
            yield f"UnicodeDecodeWithOffsets_{errors}_{controls}", lambda x, e=errors, c=controls: raw.UnicodeDecodeWithOffsets(
                input=x, input_encoding="UTF-8", errors=e, replace_control_characters=c, replacement_char=42), [text], 0
    broken = [bytes(rng.integers(0, 256, 12, dtype=np.uint8)) for _ in range(40)] + [b"\xe2\x82", b"\xf0\x9f\x98x", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe0\x9f\x80", b"\xff\xfe"]
    for errors in ("replace", "ignore"):
        yield "UnicodeDecode_broken_" + errors, lambda x, e=errors: raw.UnicodeDecode(input=tf.gather(tf.constant(broken), x), input_encoding="UTF-8", errors=e), [np.arange(len(broken))], 0
    yield "UnicodeTranscode", lambda x: raw.UnicodeTranscode(input=x, input_encoding="UTF-8", output_encoding="UTF-8"), [text.reshape(2, 2)], 0
    yield "UnicodeEncode", lambda x: raw.UnicodeEncode(input_values=x, input_splits=[0, 2, 2, 5], output_encoding="UTF-8"), [np.array([97, 233, 0x20AC, 0x1F600, 0xD800], np.int32)], 0
    yield "unicode_split", lambda x: tf.strings.unicode_split(x, "UTF-8").to_tensor("-"), [text], 0
    yield "split", lambda x: tf.strings.split(x).to_tensor("", shape=[None, 3]), [np.array(["a b", "", "c d e f", "g"])], 0
    splits = np.array([0, 3, 3, 4, 7])
    for shape in (-1, [-1, -1], [3, 2], [6, 5]):
        yield f"RaggedTensorToTensor_{shape}", lambda x, s=shape: raw.RaggedTensorToTensor(
            shape=tf.constant(s, tf.int64), values=x, default_value=9.0, row_partition_tensors=[splits], row_partition_types=["ROW_SPLITS"]), [random(7)], 0
        yield f"RaggedTensorToTensor_rows_{shape}", lambda x, s=shape: raw.RaggedTensorToTensor(
            shape=tf.constant(s, tf.int64), values=x, default_value=9.0, row_partition_tensors=[5, [0, 0, 1, 3, 3, 3, 3]], row_partition_types=["FIRST_DIM_SIZE", "VALUE_ROWIDS"]), [random(7)], 0
    yield "RaggedTensorToTensor_of_rows", lambda x: raw.RaggedTensorToTensor(
        shape=[-1, 2, 2], values=x, default_value=[8., 9.], row_partition_tensors=[splits], row_partition_types=["ROW_SPLITS"]), [random(7, 2)], 0
    yield "RaggedTensorToTensor_deep", lambda x: tf.RaggedTensor.from_nested_row_splits(x, [[0, 2, 2, 4], splits]).to_tensor(7.0), [random(7)], 0
    yield "RaggedTensorToTensor_deep_rows", lambda x: tf.RaggedTensor.from_nested_value_rowids(x, [[0, 0, 2, 2], [0, 0, 0, 2, 2, 3, 3]], [4, 4]).to_tensor(7.0, shape=[None, 3, 2]), [random(7)], 0
    for binary in (False, True):
        yield f"RaggedBincount_{binary}", lambda x, b=binary: raw.RaggedBincount(splits=splits, values=x, size=4, weights=tf.constant([], tf.float32), binary_output=b), [np.array([1, 3, 1, 0, 5, 2, 2])], 0
    yield "RaggedBincount_weights", lambda x, w: raw.RaggedBincount(splits=splits, values=x, size=4, weights=w), [np.array([1, 3, 1, 0, 5, 2, 2]), random(7)], 1e-6


def matrix_cases():
    a = random(2, 3, 4, 4) + 2 * np.eye(4, dtype=f32)
    definite = a @ a.swapaxes(-1, -2)
    for name, x in (("Cholesky", definite), ("MatrixDeterminant", a), ("MatrixDeterminant", random(5, 5) * 3), ("MatrixDeterminant", random(1, 1)), ("MatrixInverse", a)):
        yield "%s_%d" % (name, x.shape[-1]), lambda x, name=name: getattr(raw, name)(input=x), [x], 1e-5
    yield "Cholesky_f64", lambda x: raw.Cholesky(input=x), [definite.astype(np.float64)], 1e-12
    yield "MatrixInverse_adjoint", lambda x: raw.MatrixInverse(input=x, adjoint=True), [a], 1e-5
    for adjoint in (False, True):
        yield f"MatrixSolve_{adjoint}", lambda x, y, t=adjoint: raw.MatrixSolve(matrix=x, rhs=y, adjoint=t), [a, random(2, 3, 4, 5)], 1e-5
        for lower in (False, True):
            for shape in ((2, 3, 4, 2), (1, 4, 1)):
                yield f"MatrixTriangularSolve_{adjoint}_{lower}_{len(shape)}", lambda x, y, t=adjoint, l=lower: raw.MatrixTriangularSolve(
                    matrix=x, rhs=y, lower=l, adjoint=t), [a if len(shape) == 4 else a[0], random(*shape)], 1e-5
    for padding in ("SAME", "VALID"):
        for stride, rate in ((1, 1), (2, 1), (1, 2), (3, 2)):
            yield f"Dilation2D_{padding}_{stride}_{rate}", lambda x, k, p=padding, s=stride, r=rate: raw.Dilation2D(
                input=x, filter=k, strides=[1, s, s, 1], rates=[1, r, r, 1], padding=p), [random(2, 9, 8, 3), random(3, 2, 3)], 0
    yield "erosion2d", lambda x, k: tf.nn.erosion2d(x, k, [1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1]), [random(1, 6, 7, 2), random(3, 3, 2)], 0
    scores = random(9, 4, 5)
    scores[2:5, 1, 2] = 3
    for merge in (False, True):
        for blank in (-1, 0):
            yield f"CTCGreedyDecoder_{merge}_{blank}", lambda x, m=merge, b=blank: raw.CTCGreedyDecoder(
                inputs=x, sequence_length=[9, 7, 0, 4], merge_repeated=m, blank_index=b), [scores], 1e-6


def keras_cases():
    """Whole networks that take text."""
    text = np.array(["The quick brown fox, jumps!  over the lazy dog.", "Hello world", "the DOG said: hello, hello?", "a\tb\nc  ", "", "Über naïve café; ÉTÉ"])
    for name, k in (("int", dict(max_tokens=40, output_sequence_length=10)), ("open", dict()), ("bigrams", dict(ngrams=2, output_sequence_length=12)), ("multi_hot", dict(output_mode="multi_hot")),
                    ("count", dict(output_mode="count")), ("tf_idf", dict(output_mode="tf_idf")), ("characters", dict(split="character", standardize="lower", output_sequence_length=20)),
                    ("strip", dict(standardize="strip_punctuation", output_sequence_length=9))):
        layer = tf.keras.layers.TextVectorization(**k)
        layer.adapt(text)
        x = y = tf.keras.Input((1,), dtype="string")
        y = layer(y)
        if "output_mode" not in k:
            y = tf.keras.layers.GlobalAveragePooling1D()(tf.keras.layers.Embedding(layer.vocabulary_size(), 8)(y))
        model = tf.keras.Model(x, tf.keras.layers.Dense(3, activation="softmax")(y))

        def run(x, model=model):
            return model(x)
        run.table = model
        yield "TextVectorization_" + name, run, [text[:, None]], 1e-6


def sparse_cases():
    places = np.array([[0, 1], [0, 3], [2, 0], [3, 2], [3, 3]])
    values, shape = random(5), np.array([5, 4])
    yield "SparseToDense", lambda i, v: raw.SparseToDense(sparse_indices=i, output_shape=shape, sparse_values=v, default_value=f32(7)), [places, values], 0
    yield "SparseToDense_vector", lambda i: raw.SparseToDense(sparse_indices=i, output_shape=[9], sparse_values=3, default_value=0), [np.array([1, 4, 8])], 0
    for a in (False, True):
        for b in (False, True):
            yield "SparseTensorDenseMatMul_%d%d" % (a, b), lambda i, v, x, a=a, b=b: raw.SparseTensorDenseMatMul(
                a_indices=i, a_values=v, a_shape=shape, b=x, adjoint_a=a, adjoint_b=b), [places, values, random(*((3, 5 if a else 4) if b else (5 if a else 4, 3)))], 1e-6
    for wanted in ([2, 10], [-1, 2], [4, 1, -1], [20]):
        yield "SparseReshape_" + "_".join(map(str, wanted)), lambda i, wanted=wanted: raw.SparseReshape(input_indices=i, input_shape=shape, new_shape=wanted), [places], 0
    yield "SparseReorder", lambda i, v: raw.SparseReorder(input_indices=i, input_values=v, input_shape=shape), [places[[3, 0, 4, 2, 1]], values], 0
    yield "SparseFillEmptyRows", lambda i, v: raw.SparseFillEmptyRows(indices=i, values=v, dense_shape=shape, default_value=f32(-1)), [places, values], 0
    yield "SparseTensorDenseAdd", lambda i, v, x: raw.SparseTensorDenseAdd(a_indices=i, a_values=v, a_shape=shape, b=x), [places, values, random(5, 4)], 1e-6
    yield "SparseReduceSum", lambda i, v: raw.SparseReduceSum(input_indices=i, input_values=v, input_shape=shape, reduction_axes=[1], keep_dims=True), [places, values], 1e-6
    for op in ("Mul", "Div", "Add"):
        yield "SparseDenseCwise" + op, lambda i, v, x, op=op: getattr(raw, "SparseDenseCwise" + op)(sp_indices=i, sp_values=v, sp_shape=shape, dense=x), [places, values, random(1, 4) + 1], 1e-6
    segments = np.array([0, 0, 2, 3, 3], np.int32)
    for op in ("Sum", "Mean", "SqrtN"):
        yield "SparseSegment" + op, lambda x, i, op=op: getattr(raw, "SparseSegment" + op)(data=x, indices=i, segment_ids=segments), [random(6, 3), np.array([0, 5, 1, 1, 2])], 1e-6
        yield "SparseSegment%sWithNumSegments" % op, lambda x, i, op=op: getattr(raw, "SparseSegment%sWithNumSegments" % op)(
            data=x, indices=i, segment_ids=segments, num_segments=6), [random(6, 3), np.array([0, 5, 1, 1, 2])], 1e-6
    yield "embedding_lookup_sparse", lambda i, v, t: tf.nn.safe_embedding_lookup_sparse(t, tf.SparseTensor(i, v, [5, 4]), combiner="mean"), [
        places, np.array([3, 1, 0, 2, 4]), random(6, 3)], 1e-6


def quantized_cases():
    x = random(3, 7) * 5
    kinds = {"u8": tf.quint8, "i8": tf.qint8, "u16": tf.quint16, "i16": tf.qint16}
    plain = {tf.quint8: tf.uint8, tf.qint8: tf.int8, tf.quint16: tf.uint16, tf.qint16: tf.int16, tf.qint32: tf.int32}

    def shown(outputs):
        return [tf.bitcast(y, plain[y.dtype]) if y.dtype in plain else y for y in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]

    for mode in ("MIN_COMBINED", "MIN_FIRST", "SCALED"):
        for name, t in kinds.items():
            for rounding in ("HALF_AWAY_FROM_ZERO", "HALF_TO_EVEN") if mode == "SCALED" else ("HALF_AWAY_FROM_ZERO",):
                yield "QuantizeV2_%s_%s_%s" % (mode, name, rounding), lambda x, t=t, mode=mode, rounding=rounding: shown(raw.QuantizeV2(
                    input=x, min_range=-1.7, max_range=2.2, T=t, mode=mode, round_mode=rounding)), [x], 1e-6
            stored = rng.integers(0, 1 << t.size * 8, (3, 7)).astype(plain[t].as_numpy_dtype)
            yield "Dequantize_%s_%s" % (mode, name), lambda x, t=t, mode=mode: raw.Dequantize(input=tf.bitcast(x, t), min_range=-1.7, max_range=2.2, mode=mode), [stored], 1e-5
    yield "QuantizeV2_narrow", lambda x: shown(raw.QuantizeV2(input=x, min_range=-1.7, max_range=2.2, T=tf.qint8, mode="SCALED", narrow_range=True)), [x], 1e-6
    yield "QuantizeV2_of_the_data", lambda x: shown(raw.QuantizeV2(input=x, min_range=tf.reduce_min(x), max_range=tf.reduce_max(x), T=tf.quint8, mode="MIN_FIRST")), [x], 1e-6
    u8 = lambda *s: rng.integers(0, 256, s, dtype=np.uint8)
    q8 = lambda v: tf.bitcast(v, tf.quint8)
    ranges = dict(min_input=-1., max_input=3., min_filter=-.4, max_filter=.7)
    for padding in ("SAME", "VALID"):
        for stride in (1, 2):
            yield "QuantizedConv2D_%s_%d" % (padding, stride), lambda a, b, padding=padding, stride=stride: shown(raw.QuantizedConv2D(
                input=q8(a), filter=q8(b), strides=[1, stride, stride, 1], padding=padding, **ranges)), [u8(1, 7, 6, 3), u8(3, 3, 3, 4)], 0
    for a in (False, True):
        for b in (False, True):
            yield "QuantizedMatMul_%d%d" % (a, b), lambda x, y, a=a, b=b: shown(raw.QuantizedMatMul(
                a=q8(x), b=q8(y), min_a=-1., max_a=3., min_b=-.4, max_b=.7, transpose_a=a, transpose_b=b)), [u8(*((5, 3) if a else (3, 5))), u8(*((4, 5) if b else (5, 4)))], 0
    yield "QuantizedBiasAdd", lambda a, b: shown(raw.QuantizedBiasAdd(
        input=q8(a), bias=q8(b), min_input=-1., max_input=3., min_bias=-.4, max_bias=.7, out_type=tf.qint32)), [u8(2, 5), u8(5)], 8
    yield "QuantizedAdd", lambda a, b: shown(raw.QuantizedAdd(x=q8(a), y=q8(b), min_x=-1., max_x=3., min_y=-.4, max_y=.7)), [u8(2, 5), u8(2, 5)], 0
    yield "QuantizedMul", lambda a, b: shown(raw.QuantizedMul(x=q8(a), y=q8(b), min_x=-1., max_x=3., min_y=-.4, max_y=.7)), [u8(2, 5), u8(2, 5)], 0
    yield "QuantizedRelu", lambda a: shown(raw.QuantizedRelu(features=q8(a), min_features=-1., max_features=3.)), [u8(4, 5)], 0
    yield "QuantizedRelu6", lambda a: shown(raw.QuantizedRelu6(features=q8(a), min_features=-2., max_features=9.)), [u8(4, 5)], 0
    wide = rng.integers(-40000, 90000, (4, 6), dtype=np.int32)
    i32 = lambda v: tf.bitcast(v, tf.qint32)
    yield "RequantizationRange", lambda a: shown(raw.RequantizationRange(input=i32(a), input_min=-3e4, input_max=3e4)), [wide], 1e-5
    for low, high in ((-.3, 1.1), (0., .9)):
        yield "Requantize_%g" % low, lambda a, low=low, high=high: shown(raw.Requantize(
            input=i32(a), input_min=-3e4, input_max=3e4, requested_output_min=low, requested_output_max=high, out_type=tf.quint8)), [wide], 0
    yield "QuantizeDownAndShrinkRange", lambda a: shown(raw.QuantizeDownAndShrinkRange(input=i32(a), input_min=-3e4, input_max=3e4, out_type=tf.quint8)), [wide], 1e-5
    for padding in ("SAME", "VALID"):
        yield "QuantizedMaxPool_" + padding, lambda a, padding=padding: shown(raw.QuantizedMaxPool(
            input=q8(a), min_input=-1., max_input=3., ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], padding=padding)), [u8(1, 7, 6, 3)], 0
        yield "QuantizedAvgPool_" + padding, lambda a, padding=padding: shown(raw.QuantizedAvgPool(
            input=q8(a), min_input=-1., max_input=3., ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], padding=padding)), [u8(1, 7, 6, 3)], 0
    yield "QuantizedReshape", lambda a: shown(raw.QuantizedReshape(tensor=q8(a), shape=[5, -1], input_min=-1., input_max=3.)), [u8(2, 5)], 0
    yield "QuantizedConcat", lambda a, b: shown(raw.QuantizedConcat(concat_dim=1, values=[q8(a), q8(b)], input_mins=[-1., -.5], input_maxes=[3., 2.])), [u8(2, 5), u8(2, 3)], 1e-6

    def network(x):
        """What quantization made of Conv2D, BiasAdd and Relu."""
        q = raw.QuantizeV2(input=x, min_range=tf.reduce_min(x), max_range=tf.reduce_max(x), T=tf.quint8, mode="MIN_FIRST")
        c = raw.QuantizedConv2D(input=q[0], filter=q8(weights), min_input=q[1], max_input=q[2], min_filter=-.4, max_filter=.7, strides=[1, 1, 1, 1], padding="SAME")
        r = raw.RequantizationRange(input=c[0], input_min=c[1], input_max=c[2])
        d = raw.Requantize(input=c[0], input_min=c[1], input_max=c[2], requested_output_min=r[0], requested_output_max=r[1], out_type=tf.quint8)
        a = raw.QuantizedRelu(features=d[0], min_features=d[1], max_features=d[2])
        return raw.Dequantize(input=a[0], min_range=a[1], max_range=a[2], mode="MIN_FIRST")
    weights = u8(3, 3, 3, 4)
    yield "network", network, [random(1, 7, 6, 3)], 1e-5


def differences(wanted, folder, allowed):
    listed = {o["name"]: o for o in json.loads((folder / "outputs.json").read_text())["outputs"]}
    for name, want in wanted.items():
        if name not in listed:
            yield "%s is missing" % name
            continue
        got = np.load(folder / listed[name]["file"])
        if want.dtype.kind in "SO":
            same = got.shape == want.shape and [str(v) for v in got.ravel()] == [v.decode() for v in want.ravel()]
            if not same:
                yield "%s: %s is not %s" % (name, got, want)
        elif got.shape != want.shape or got.dtype != want.dtype:
            yield "%s: %s%s is not %s%s" % (name, got.dtype, got.shape, want.dtype, want.shape)
        else:
            bound = allowed * max(1.0, np.abs(want.astype(np.float64)).max(initial=0)) if want.dtype.kind == "f" else allowed
            worst = np.abs(got.astype(np.float64) - want.astype(np.float64)).max(initial=0)
            if worst > bound:
                yield "%s differs by %g of %g" % (name, worst, np.abs(want.astype(np.float64)).max())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--only", default="", help="cases whose name begins like this")
    p.add_argument("--hone", default=str(pathlib.Path(__file__).resolve().parents[2] / "build/release/bin/hone"))
    o = p.parse_args()
    failed = 0
    for name, function, inputs, allowed in cases():
        if not name.startswith(o.only):
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            module = tf.Module()
            signature = [tf.TensorSpec(a.shape, tf.string if a.dtype.kind == "U" else a.dtype, name="x%d" % i) for i, a in enumerate(inputs)]

            def outputs(*x):
                y = function(*x)
                return {"y%d" % i: v for i, v in enumerate(y if isinstance(y, (list, tuple)) else [y])}
            module.run = tf.function(outputs, input_signature=signature)
            module.table = getattr(function, "table", None)
            wanted = {k: v.numpy() for k, v in module.run(*[tf.constant(a) for a in inputs]).items()}
            tf.saved_model.save(module, str(folder / "model"), signatures=module.run)
            call = [o.hone, "run", str(folder / "model"), "--output-dir", str(folder / "out")]
            for i, a in enumerate(inputs):
                np.save(folder / ("x%d.npy" % i), a)
                call += ["--input", "x%d=%s" % (i, folder / ("x%d.npy" % i))]
            r = subprocess.run(call, capture_output=True, text=True)
            wrong = [r.stderr.strip().replace("\n", " | ")] if r.returncode else list(differences(wanted, folder / "out", allowed))
        failed += bool(wrong)
        print("%-42s %s" % (name, "; ".join(wrong) if wrong else "ok"), flush=True)
    print("%d differ" % failed)
    return failed > 0


sys.exit(main())
