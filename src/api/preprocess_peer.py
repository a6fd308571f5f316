"""Applies the chains of chains.json in a folder with OpenVINO and writes what comes out beside them."""
import json
import pathlib
import sys

import numpy as np
import openvino as ov
from openvino.preprocess import ColorFormat, PaddingMode, PrePostProcessor, ResizeAlgorithm

folder = pathlib.Path(sys.argv[1])
TYPES = {"u8": ov.Type.u8, "f32": ov.Type.f32, "f16": ov.Type.f16}
FILTERS = {"linear": ResizeAlgorithm.RESIZE_LINEAR, "cubic": ResizeAlgorithm.RESIZE_CUBIC, "nearest": ResizeAlgorithm.RESIZE_NEAREST,
           "pillow": ResizeAlgorithm.RESIZE_BILINEAR_PILLOW}
core = ov.Core()
for k, c in enumerate(json.loads((folder / "chains.json").read_text())):
    p = PrePostProcessor(core.read_model(folder / f"{k}.xml"))
    i = p.input()
    i.tensor().set_element_type(TYPES[c["type"]])
    if "layout" in c:
        i.tensor().set_layout(ov.Layout(c["layout"]))
    if "model_layout" in c:
        i.model().set_layout(ov.Layout(c["model_layout"]))
    if "shape" in c:
        i.tensor().set_shape(c["shape"])
    if "spatial" in c:
        i.tensor().set_spatial_static_shape(*c["spatial"])
    if "color" in c:
        i.tensor().set_color_format(getattr(ColorFormat, c["color"]))
    steps = i.preprocess()
    for name, *rest in c["steps"]:
        if name == "convert_element_type":
            steps.convert_element_type(TYPES[rest[0]])
        elif name == "convert_color":
            steps.convert_color(getattr(ColorFormat, rest[0]))
        elif name == "resize":
            steps.resize(FILTERS[rest[0]], *rest[1:])
        elif name == "convert_layout":
            steps.convert_layout(rest[0]) if isinstance(rest[0], list) else steps.convert_layout(ov.Layout(c["model_layout"]))
        elif name == "pad":
            steps.pad(rest[0], rest[1], float(rest[2]), getattr(PaddingMode, rest[3]))
        elif name in ("mean", "scale"):
            getattr(steps, name)(rest[0] if len(rest[0]) > 1 else float(rest[0][0]))
        else:
            getattr(steps, name)(*rest)
    if "out_model_layout" in c:
        p.output().model().set_layout(ov.Layout(c["out_model_layout"]))
    if "out_layout" in c:
        p.output().tensor().set_layout(ov.Layout(c["out_layout"]))
    if "out_type" in c:
        p.output().tensor().set_element_type(TYPES[c["out_type"]])
    compiled = core.compile_model(p.build(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    out = compiled([np.load(folder / f"{k}_x.npy")])[0]
    np.save(folder / f"{k}_openvino.npy", out)
