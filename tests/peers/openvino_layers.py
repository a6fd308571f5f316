#!/usr/bin/env python3
"""Layers of OpenVINO against OpenVINO itself: one model a layer, read by Hone and compared with what the peer computes.

    python3 tests/peers/openvino_layers.py [--hone PATH]

Needs openvino and numpy; the same Python is then the peer of `hone compare`. Prints a line a layer; exit 1 where one differs.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import openvino as ov
from openvino import opset3, opset8, opset13, opset15, opset16

rng = np.random.default_rng(0)


def random(*shape):
    return rng.random(shape, dtype=np.float32)


def const(a, kind=None):
    return opset8.constant(np.asarray(a), kind) if kind else opset8.constant(np.asarray(a))


def cases():
    """(name, builder of outputs from parameters, inputs)"""
    f = np.float32
    yield "GRN", lambda x: opset8.grn(x, 0.5), [random(1, 3, 4, 5)]
    yield "RegionYolo_softmax", lambda x: opset8.region_yolo(x, 4, 3, 2, True, [0], 1, 3, [1.0, 2.0]), [random(1, 16, 3, 3)]
    yield "RegionYolo", lambda x: opset8.region_yolo(x, 4, 3, 3, False, [0, 1, 2], 1, 3, [1.0, 2.0]), [random(2, 24, 3, 3)]
    ids = const(np.array([0, 2, 3, 4, 1], np.int32))
    yield "EmbeddingBagOffsetsSum", lambda x: opset3.embedding_bag_offsets_sum(x, ids, const(np.array([0, 2, 2], np.int32)), const(np.int32(0))), [random(5, 2)]
    yield "EmbeddingBagOffsetsSum_weighted", lambda x: opset3.embedding_bag_offsets_sum(
        x, ids, const(np.array([0, 2, 2], np.int32)), const(np.int32(1)), const(np.array([.5, .25, 1, 2, 3], f))), [random(5, 2, 3)]
    yield "EmbeddingBagOffsets_mean", lambda x: opset15.embedding_bag_offsets(x, ids, const(np.array([0, 2, 2], np.int32)), reduction="mean"), [random(5, 2)]
    packed = const(np.array([[0, 2], [1, 2], [3, 4]], np.int32))
    yield "EmbeddingBagPackedSum", lambda x: opset3.embedding_bag_packed_sum(x, packed, const(random(3, 2))), [random(5, 2)]
    yield "EmbeddingBagPacked_mean", lambda x: opset15.embedding_bag_packed(x, packed, reduction="mean"), [random(5, 2)]
    yield "EmbeddingSegmentsSum", lambda x: opset3.embedding_segments_sum(
        x, const(np.array([0, 2, 3, 4], np.int32)), const(np.array([0, 0, 2, 2], np.int32)), const(np.int32(4)), const(np.int32(0)),
        const(np.array([.5, .5, .25, 2], f))), [random(5, 2)]
    yield "SegmentMax", lambda x: opset16.segment_max(x, const(np.array([0, 0, 2, 2], np.int32)), const(np.int32(4)), "ZERO"), [random(4, 3) - .5]
    yield "SliceScatter", lambda x: opset15.slice_scatter(
        x, const(random(2, 2)), const(np.array([1], np.int32)), const(np.array([9], np.int32)), const(np.array([2], np.int32)), const(np.array([1], np.int32))), [random(2, 5)]
    for kind in ("f8e4m3", "f8e5m2"):
        yield "FakeConvert_" + kind, lambda x, kind=kind: opset13.fake_convert(x, const(f(4)), const(f(.5)), kind), [random(3, 4)]
    for name in ("nv12_to_rgb", "nv12_to_bgr"):
        yield name, lambda y, uv, name=name: getattr(opset8, name)(y, uv), [random(1, 4, 6, 1) * 255, random(1, 2, 3, 2) * 255]
        yield name + "_u8", lambda y, name=name: getattr(opset8, name)(y), [(random(1, 6, 6, 1) * 255).astype(np.uint8)]
    for name in ("i420_to_rgb", "i420_to_bgr"):
        yield name, lambda y, u, v, name=name: getattr(opset8, name)(y, u, v), [random(1, 4, 6, 1) * 255, random(1, 2, 3, 1) * 255, random(1, 2, 3, 1) * 255]
        yield name + "_one_plane", lambda y, name=name: getattr(opset8, name)(y), [random(1, 6, 6, 1) * 255]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--hone", default=str(pathlib.Path(__file__).resolve().parents[2] / "build/release/bin/hone"))
    o = p.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, build, inputs in cases():
            parameters = [opset8.parameter(list(a.shape), a.dtype, name="x%d" % i) for i, a in enumerate(inputs)]
            node = build(*parameters)
            ov.save_model(ov.Model([node.output(0)], parameters, name), folder + "/m.xml", compress_to_fp16=False)
            call = [o.hone, "compare", folder + "/m.xml", "openvino:", "--rtol", "1e-4", "--atol", "1e-5"]
            for i, a in enumerate(inputs):
                np.save("%s/x%d.npy" % (folder, i), a)
                call += ["--input", "%d=%s/x%d.npy" % (i, folder, i)]
            r = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "HONE_PYTHON": sys.executable})
            failed += r.returncode != 0
            print("%-32s %s" % (name, "ok" if r.returncode == 0 else (r.stderr or r.stdout).strip().replace("\n", " | ")))
    print("%d differ" % failed)
    return failed > 0


sys.exit(main())
