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
from openvino.utils.node_factory import NodeFactory
from openvino import opset1, opset3, opset4, opset6, opset8, opset9, opset13, opset14, opset15, opset16

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
    # The plugin wants two levels in front and whole words of channels. It reads the lowest bit of a byte first, Constant's list writes the highest first.
    for pad in (-1., 0., 1.):
        bits = ov.op.Constant(ov.Type.u1, ov.Shape([16, 64, 3, 3]), rng.integers(0, 2, 16 * 64 * 9).tolist())
        yield "BinaryConvolution_pad_%d" % pad, lambda x, bits=bits, pad=pad: opset1.binary_convolution(
            opset1.fake_quantize(x, const(np.full((1, 1, 1, 1), .5, f)), const(np.full((1, 1, 1, 1), .5, f)), const(np.zeros((1, 1, 1, 1), f)), const(np.ones((1, 1, 1, 1), f)), 2),
            bits, [1, 2], [1, 1], [1, 1], [1, 1], "xnor-popcount", pad), [random(1, 64, 7, 9)]

    yield from box_cases()
    yield from sequence_cases()


def boxes_of(*shape):
    """Corners with the first one before the second."""
    a = random(*shape[:-1], 2) * 8
    return np.concatenate([a, a + random(*shape[:-1], 2) * 4 + .2], -1)


def detectron(name, inputs, **attributes):
    return NodeFactory("opset6").create("ExperimentalDetectron" + name, [getattr(a, "output", lambda i: a)(0) for a in inputs], attributes)


def box_cases():
    f, i = np.float32, np.int32
    for order in ("score", "classid", "none"):
        for across in (False, True):
            yield "MulticlassNms_%s_%d" % (order, across), lambda b, s, order=order, across=across: opset9.multiclass_nms(
                b, s, sort_result_type=order, sort_result_across_batch=across, iou_threshold=.3, score_threshold=.1, nms_top_k=9, keep_top_k=12), [
                    boxes_of(2, 12, 4), random(2, 3, 12)]
            yield "MatrixNms_%s_%d" % (order, across), lambda b, s, order=order, across=across: opset8.matrix_nms(
                b, s, sort_result_type=order, sort_result_across_batch=across, score_threshold=.1, nms_top_k=9, keep_top_k=12, post_threshold=.05), [
                    boxes_of(2, 12, 4), random(2, 3, 12)]
    yield "MulticlassNms_all", lambda b, s: opset9.multiclass_nms(
        b, s, sort_result_type="score", iou_threshold=.6, background_class=1, nms_eta=.7, normalized=False, output_type="i32"), [boxes_of(2, 12, 4), random(2, 3, 12)]
    yield "MulticlassNms_none_all", lambda b, s: opset9.multiclass_nms(b, s, sort_result_type="none", iou_threshold=.3), [boxes_of(2, 12, 4), random(2, 3, 12)]
    yield "MatrixNms_none_all", lambda b, s: opset8.matrix_nms(b, s, sort_result_type="none"), [boxes_of(2, 12, 4), random(2, 3, 12)]
    yield "MulticlassNms_rois", lambda b, s: opset9.multiclass_nms(b, s, const(np.array([4, 3], i)), sort_result_type="score", iou_threshold=.3), [boxes_of(3, 7, 4), random(3, 7)]
    yield "MatrixNms_gaussian", lambda b, s: opset8.matrix_nms(
        b, s, sort_result_type="score", decay_function="gaussian", gaussian_sigma=.5, background_class=0, normalized=False), [boxes_of(2, 12, 4), random(2, 3, 12)]
    for framework in ("", "tensorflow"):
        for n in (0, 1):
            a = {"base_size": np.uint32(8), "pre_nms_topn": np.uint32(30), "post_nms_topn": np.uint32(40 if n else 10), "nms_thresh": f(.5), "feat_stride": np.uint32(8),
                 "min_size": np.uint32(4), "ratio": np.array([.5, 1, 2], f),
                 "scale": np.array([1, 2], f), "framework": framework, "clip_before_nms": not n, "clip_after_nms": bool(n), "normalize": bool(n)}
            if framework:
                a.update(box_size_scale=f(5), box_coordinate_scale=f(10))
            for output in (0, 1)[:2 - n]:  # the peer leaves scores behind the last box as they were in memory
                yield "Proposal_%s%d_output%d" % (framework, n, output), lambda p, d, a=a, output=output: opset4.proposal(
                    p, d, const(np.array([40, 48, 1.5, 2][:3 + n], f)), a).output(output), [random(2, 12, 5, 6), random(2, 24, 5, 6) - .5]
    for normalized in (True, False):
        for output in (0, 1, 2):
            yield "GenerateProposals_%d_output%d" % (normalized, output), lambda a, d, s, normalized=normalized, output=output: opset9.generate_proposals(
                const(np.array([[40, 48, 1.5], [36, 44, 2]], f)), a, d, s, min_size=3, nms_threshold=.5, pre_nms_count=30, post_nms_count=12, normalized=normalized).output(output), [
                    boxes_of(5, 6, 3, 4) * 4, random(2, 12, 5, 6) - .5, random(2, 3, 5, 6)]
    for output in (0, 1):
        yield "ExperimentalDetectronGenerateProposalsSingleImage_output%d" % output, lambda a, d, s, output=output: (
            detectron("GenerateProposalsSingleImage", [const(np.array([40, 48, 1.5], f)), a, d, s], min_size=3., nms_threshold=.5, post_nms_count=12, pre_nms_count=30)).output(output), [boxes_of(90, 4) * 4, random(12, 5, 6) - .5, random(3, 5, 6)]
    yield "ExperimentalDetectronPriorGridGenerator", lambda p, m, d: detectron("PriorGridGenerator", [p, m, d], flatten=True, h=0, w=0, stride_x=0., stride_y=0.), [
        random(3, 4) * 16 - 8, random(1, 2, 4, 5), random(1, 3, 32, 60)]
    yield "ExperimentalDetectronPriorGridGenerator_strides", lambda p, m, d: detectron("PriorGridGenerator", [p, m, d], flatten=False, h=3, w=4, stride_x=8., stride_y=6.), [
        random(3, 4) * 16 - 8, random(1, 2, 3, 4), random(1, 3, 32, 60)]
    for most in (5, 9):  # the peer leaves memory as it was where there are fewer boxes
        yield "ExperimentalDetectronTopKROIs_%d" % most, lambda b, s, most=most: detectron("TopKROIs", [b, s], max_rois=most), [boxes_of(9, 4), random(9)]
    regions = boxes_of(14, 4) * 3
    regions[5, 2] = regions[5, 0]  # no extent, but a good score
    scores = random(14, 4)
    scores[5, 2] = 1
    for name, change in (("all", {}), ("best", {"max_detections_per_image": 6}), ("per_class", {"post_nms_count": 2}), ("none", {"score_threshold": 2.}),
                         ("any", {"score_threshold": -1.})):
        a = {"score_threshold": .3, "nms_threshold": .4, "num_classes": 4, "post_nms_count": 12, "max_detections_per_image": 30, "class_agnostic_box_regression": False,
             "max_delta_log_wh": .3, "deltas_weights": np.array([10, 10, 5, 5], f), **change}
        for output in (0, 1, 2):
            yield "ExperimentalDetectronDetectionOutput_%s_output%d" % (name, output), lambda r, d, s, a=a, output=output: detectron(
                "DetectionOutput", [r, d, s, const(np.array([[40, 36, 1.]], f))], **a).output(output), [regions, random(14, 16) * 4 - 2, scores]
    for aligned in (False, True):
        yield "ExperimentalDetectronROIFeatureExtractor_%d" % aligned, lambda b, x, y, z, aligned=aligned: detectron(
            "ROIFeatureExtractor", [b, x, y, z], output_size=3, sampling_ratio=2, pyramid_scales=np.array([4, 8, 16], np.int64), aligned=aligned), [
                boxes_of(7, 4) * np.array([[4], [8], [16], [24], [30], [12], [2]], f), random(1, 2, 64, 64), random(1, 2, 32, 32), random(1, 2, 16, 16)]
    rois = const(np.array([[0, .3, .4, 4.2, 5.1], [1, 1, 1, 3, 2], [1, -1, -2, 8, 9]], f))
    normal = const(np.array([[0, .1, .2, .8, .9], [1, 0, 0, 1, 1]], f))
    yield "PSROIPooling", lambda x: opset1.psroi_pooling(x, rois, 2, 2, .8, 1, 1, "average"), [random(2, 8, 6, 7)]
    yield "PSROIPooling_bilinear", lambda x: opset1.psroi_pooling(x, normal, 2, 3, 1., 2, 2, "bilinear"), [random(2, 8, 6, 7)]
    yield "PSROIPooling_bilinear_one", lambda x: opset1.psroi_pooling(x, normal, 8, 1, 1., 1, 1, "bilinear"), [random(2, 8, 6, 7)]
    yield "DeformablePSROIPooling", lambda x: opset1.deformable_psroi_pooling(
        x, rois, output_dim=2, spatial_scale=.8, group_size=2, mode="bilinear_deformable", spatial_bins_x=2, spatial_bins_y=3), [random(2, 8, 6, 7)]
    yield "DeformablePSROIPooling_offsets", lambda x, o: opset1.deformable_psroi_pooling(
        x, rois, 2, .8, 2, "bilinear_deformable", 2, 3, .3, 2, o), [random(2, 8, 6, 7), random(3, 4, 2, 2) - .5]
    turned = np.concatenate([random(2, 12, 2) * 8, random(2, 12, 2) * 4 + .2, random(2, 12, 1) * 6 - 3], -1)
    for clockwise in (True, False):
        yield "NMSRotated_%d" % clockwise, lambda b, s, clockwise=clockwise: opset13.nms_rotated(
            b, s, const(np.int64(5)), const(f(.2)), const(f(.1)), sort_result_descending=clockwise, output_type="i64", clockwise=clockwise), [turned, random(2, 3, 12)]
        yield "ROIAlignRotated_%d" % clockwise, lambda x, r, clockwise=clockwise: opset15.roi_align_rotated(
            x, r, const(np.array([0, 1, 1], i)), 2, 3, 0 if clockwise else 2, .8, clockwise), [random(2, 2, 6, 7), turned[0, :3]]


def sequence_cases():
    f, i = np.float32, np.int32
    mask = const(np.array([[1, 1], [1, 1], [1, 1], [1, 0], [1, 0]], f))
    for merge in (True, False):
        yield "CTCGreedyDecoder_%d" % merge, lambda x, merge=merge: opset1.ctc_greedy_decoder(x, mask, merge), [random(5, 2, 3)]
        for output in (0, 1):
            yield "CTCGreedyDecoderSeqLen_%d_output%d" % (merge, output), lambda x, merge=merge, output=output: opset6.ctc_greedy_decoder_seq_len(
                x, const(np.array([6, 4], i)), const(i(1)), merge).output(output), [random(2, 6, 3)]
        for collapse in (True, False):
            for unique in (True, False):
                yield "CTCLoss_%d%d%d" % (collapse, merge, unique), lambda x, merge=merge, collapse=collapse, unique=unique: opset4.ctc_loss(
                    x, const(np.array([8, 6], i)), const(np.array([[0, 1, 1, 0, 2, 2, 2, 2], [2, 0, 2, 2, 1, 0, 0, 0]], i)), const(np.array([4, 3], i)), const(i(3)),
                    preprocess_collapse_repeated=collapse, ctc_merge_repeated=merge, unique=unique), [random(2, 8, 4) * 4]
    yield "GatherTree", lambda x: opset1.gather_tree(x, const(rng.integers(0, 3, (6, 2, 3)).astype(f)), const(np.array([6, 4], f)), const(f(7))), [
        rng.integers(0, 9, (6, 2, 3)).astype(f)]
    for adjoint in (False, True):
        yield "Inverse_%d" % adjoint, lambda x, adjoint=adjoint: opset14.inverse(x, adjoint=adjoint), [random(2, 4, 4) + np.eye(4, dtype=f)]
    for output in (0, 1, 2):
        yield "SparseFillEmptyRows_output%d" % output, lambda v, output=output: opset16.sparse_fill_empty_rows(
            v, const(np.array([6, 4])), const(np.array([[0, 2], [0, 1], [3, 1], [4, 0]])), const(f(-1))).output(output), [random(4)]
        yield "StringTensorUnpack_output%d" % output, lambda b, e, t, output=output: opset15.string_tensor_unpack(
            opset15.string_tensor_pack(b, e, t).output(0)).output(output), [np.array([0, 2, 2], i), np.array([2, 2, 6], i), np.frombuffer(b"abcdef", np.uint8)]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--only", default="", help="layers whose name begins like this")
    p.add_argument("--hone", default=str(pathlib.Path(__file__).resolve().parents[2] / "build/release/bin/hone"))
    o = p.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, build, inputs in cases():
            if not name.startswith(o.only):
                continue
            parameters = [opset8.parameter(list(a.shape), a.dtype, name="x%d" % i) for i, a in enumerate(inputs)]
            node = build(*parameters)
            ov.save_model(ov.Model([node if isinstance(node, ov.Output) else node.output(0)], parameters, name), folder + "/m.xml", compress_to_fp16=False)
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
