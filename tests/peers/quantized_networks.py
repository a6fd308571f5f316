#!/usr/bin/env python3
"""ONNX networks with QuantizeLinear and DequantizeLinear: every layer of Hone on the quantized inputs that ONNX Runtime has there.

    python3 tests/peers/quantized_networks.py [--hone PATH] FILE.onnx...

Compared end to end, a value that one runtime rounds up and the other down (their sums in f32 differ in the last bits) moves all later layers by a step
here and there. So each quantized value is cut: the layers behind it read what ONNX Runtime (without its optimizations) computed, and its own is compared.
Prints how many differ, by how many steps, and how far from a tie; exit 1 where one lies further than a thousandth of a step. Needs onnx, onnxruntime, numpy.
"""
import argparse
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper


def compare(path, hone, folder):
    model = onnx.load(path)
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    rounds = [n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] not in constants]
    names = list(dict.fromkeys(k for n in rounds for k in (n.input[0], n.output[0])))
    rng = np.random.default_rng(0)
    inputs = {i.name: rng.standard_normal([d.dim_value or 1 for d in i.type.tensor_type.shape.dim]).astype(np.float32) for i in model.graph.input}
    shown = copy.deepcopy(model)
    shown.graph.output.extend(helper.make_empty_tensor_value_info(k) for k in names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    want = dict(zip(names, ort.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(names, inputs)))
    quantized = {n.output[0] for n in rounds}
    for n in model.graph.node:
        for i, k in enumerate(n.input):
            if k in quantized:
                n.input[i] = k + "_given"
    del model.graph.output[:]
    for k in sorted(quantized):
        kind = helper.np_dtype_to_tensor_dtype(want[k].dtype)
        model.graph.input.append(helper.make_tensor_value_info(k + "_given", kind, want[k].shape))
        model.graph.output.append(helper.make_tensor_value_info(k, kind, want[k].shape))
        inputs[k + "_given"] = want[k]
    onnx.save(model, folder + "/cut.onnx")
    call = [hone, "run", folder + "/cut.onnx", "--precision", "f32", "--output-dir", folder + "/out"]
    for i, (k, a) in enumerate(inputs.items()):
        np.save("%s/%d.npy" % (folder, i), a)
        call += ["--input", "%s=%s/%d.npy" % (k, folder, i)]
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    got = {o["name"]: np.load(folder + "/out/" + o["file"]) for o in json.load(open(folder + "/out/outputs.json"))["outputs"]}
    total = differ = steps = 0
    tie = 0.0
    for n in rounds:
        step = np.abs(got[n.output[0]].astype(int) - want[n.output[0]].astype(int))
        total, differ, steps = total + step.size, differ + np.count_nonzero(step), max(steps, step.max())
        if step.any() and constants[n.input[1]].ndim == 0:
            exact = want[n.input[0]].astype(np.float64) / float(constants[n.input[1]])
            tie = max(tie, np.abs(np.abs(exact) % 1 - .5)[step != 0].max())
    print("%-28s %10d values, %d differ, by %d step at most, at most %.1e of a step from a tie" % (pathlib.Path(path).name, total, differ, steps, tie))
    return steps <= 1 and tie < 1e-3


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--hone", default=str(pathlib.Path(__file__).resolve().parents[2] / "build/release/bin/hone"))
    p.add_argument("files", nargs="+")
    o = p.parse_args()
    good = True
    for f in o.files:
        with tempfile.TemporaryDirectory() as folder:
            good &= compare(f, o.hone, folder)
    return not good


sys.exit(main())
