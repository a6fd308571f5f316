#!/usr/bin/env python3
"""Networks exported by PyTorch give PyTorch's outputs in Hone.

    torch_networks.py --hone build/release/bin/hone [--only resnet18,vit] [--forms pt2,core,onnx] [--keep DIR]

Each network is built with random weights (seed 0), exported by torch.export (`pt2`), after run_decompositions() to core ATen (`core`)
and by torch.onnx.export (`onnx`), and run in Hone on one random input; outputs must agree within 1e-4 of the largest magnitude. Needs
torch and torchvision, and onnxscript for `onnx`; without them the script says so and ends with code 77 (skipped).
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

try:
    import numpy as np
    import torch
    import torchvision
    from torch import nn
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(100, 32)
        self.rnn = nn.LSTM(32, 48, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(96, 10)

    def forward(self, ids):
        y, (h, c) = self.rnn(self.embed(ids))
        return self.head(y[:, -1]), h, c


class DecoderLayer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(dim), nn.RMSNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.up, self.gate, self.down = nn.Linear(dim, 2 * dim), nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x, cos, sin):
        b, t, d = x.shape
        q, k, v = (y.view(b, t, self.heads, -1).transpose(1, 2) for y in self.qkv(self.norm1(x)).chunk(3, dim=-1))

        def rotate(y):
            a, c = y.chunk(2, dim=-1)
            return torch.cat((a * cos - c * sin, a * sin + c * cos), dim=-1)

        y = nn.functional.scaled_dot_product_attention(rotate(q), rotate(k), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, d))
        z = self.norm2(x)
        return x + self.down(nn.functional.silu(self.gate(z)) * self.up(z))


class Decoder(nn.Module):
    def __init__(self, vocabulary=101, dim=64, heads=4, layers=3):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, dim)
        self.layers = nn.ModuleList(DecoderLayer(dim, heads) for _ in range(layers))
        self.norm = nn.RMSNorm(dim)
        self.half = dim // heads // 2

    def forward(self, ids):
        t = ids.shape[1]
        at = torch.arange(t, dtype=torch.float32, device=ids.device)
        angle = at[:, None] * (10000.0 ** (-torch.arange(self.half, dtype=torch.float32, device=ids.device) / self.half))[None]
        cos, sin = angle.cos(), angle.sin()
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x) @ self.embed.weight.t()


class SsdRaw(nn.Module):
    """SSD up to the scores and box offsets of its anchors; what follows depends on data."""

    def __init__(self, ssd):
        super().__init__()
        self.backbone, self.head = ssd.backbone, ssd.head

    def forward(self, x):
        out = self.head(list(self.backbone(x).values()))
        return out["bbox_regression"], out["cls_logits"]


class DeepLab(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21)

    def forward(self, x):
        return self.net(x)["out"]


def picture(size, batch=1):
    return (torch.rand(batch, 3, size, size),)


def dynamic_batch():
    return ({0: torch.export.Dim("batch", min=1, max=64)},)


def networks():
    m = torchvision.models
    yield "resnet18", lambda: m.resnet18(weights=None), lambda: picture(224, 2), dynamic_batch
    yield "resnet50", lambda: m.resnet50(weights=None), lambda: picture(160), None
    yield "mobilenet_v3", lambda: m.mobilenet_v3_small(weights=None), lambda: picture(224, 2), dynamic_batch
    yield "efficientnet", lambda: m.efficientnet_b0(weights=None), lambda: picture(160), None
    yield "convnext", lambda: m.convnext_tiny(weights=None), lambda: picture(128), None
    yield "vit", lambda: m.VisionTransformer(64, 8, 4, 4, 96, 192, num_classes=50), lambda: picture(64, 2), None
    yield "swin", lambda: m.SwinTransformer([4, 4], 32, [2, 2, 2], [2, 4, 4], [7, 7], num_classes=40), lambda: picture(224), None
    yield "deeplab", DeepLab, lambda: picture(160), None
    yield "ssd", lambda: SsdRaw(m.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)), lambda: picture(320), None
    yield "ssd_vgg", lambda: SsdRaw(m.detection.ssd300_vgg16(weights=None, weights_backbone=None)), lambda: picture(300), None
    yield "lstm", Lstm, lambda: (torch.randint(0, 100, (3, 20)),), dynamic_batch
    yield "decoder", Decoder, lambda: (torch.randint(0, 101, (2, 17)),), lambda: ({1: torch.export.Dim("time", min=2, max=512)},)


def randomize(model):
    """Weights whose outputs neither vanish nor explode, so that an error shows."""
    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(m.weight, mode="fan_in", nonlinearity="linear")
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.1)
            m.running_var.uniform_(0.7, 1.3)
            nn.init.uniform_(m.weight, 0.8, 1.2)
    for p in model.parameters():
        if p.abs().max() < 1e-5:
            nn.init.normal_(p, 0, 0.2)


def run_hone(hone, model, inputs, folder):
    args = [hone, "run", model, "--output-dir", folder]
    for i, t in enumerate(inputs):
        file = os.path.join(folder, f"in{i}.npy")
        np.save(file, t.numpy())
        args += ["--input", f"{i}={file}"]
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"code {done.returncode}")
    with open(os.path.join(folder, "outputs.json")) as f:
        return [np.load(os.path.join(folder, o["file"])) for o in json.load(f)["outputs"]]


def worst(expected, given):
    if len(expected) != len(given):
        raise RuntimeError(f"{len(given)} outputs instead of {len(expected)}")
    error = 0.0
    for e, g in zip(expected, given):
        e = e.numpy()
        if e.shape != g.shape:
            raise RuntimeError(f"shape {g.shape} instead of {e.shape}")
        error = max(error, float(np.abs(e.astype(np.float64) - g).max()) / max(1e-3, float(np.abs(e).max())))
    return error


def flat(y):
    if isinstance(y, torch.Tensor):
        return [y]
    return [t for e in (y.values() if isinstance(y, dict) else y) for t in flat(e)]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--hone", default="build/release/bin/hone")
    p.add_argument("--only", default="")
    p.add_argument("--forms", default="pt2,core,onnx")
    p.add_argument("--keep", default="")
    a = p.parse_args()
    forms = a.forms.split(",")
    if "onnx" in forms:
        try:
            import onnxscript  # noqa: F401
        except ImportError:
            print("skipped: form onnx needs onnxscript")
            forms.remove("onnx")
    failed = 0
    for name, make, example, dynamic in networks():
        if a.only and name not in a.only.split(","):
            continue
        torch.manual_seed(0)
        model = make().eval()
        with torch.no_grad():
            randomize(model)
        inputs = example()
        with torch.no_grad():
            expected = flat(model(*inputs))
        for form in forms:
            start = time.time()
            with tempfile.TemporaryDirectory() as scratch:
                folder = a.keep or scratch
                os.makedirs(folder, exist_ok=True)
                file = os.path.join(folder, f"{name}_{form}." + ("onnx" if form == "onnx" else "pt2"))
                try:
                    with torch.no_grad():
                        shapes = dynamic() if dynamic else None
                        program = torch.export.export(model, inputs, dynamic_shapes=shapes)
                        if form == "core":
                            program = program.run_decompositions()
                        if form == "onnx":
                            torch.onnx.export(program, (), file, dynamo=True, verbose=False)
                        else:
                            torch.export.save(program, file)
                except Exception as e:  # the exporter's own failure is not Hone's
                    print(f"export {name:14} {form:5} {type(e).__name__}: {str(e).splitlines()[0][:150]}")
                    continue
                try:
                    error = worst(expected, run_hone(a.hone, file, inputs, scratch))
                    ok = error <= 1e-4
                    print(f"{'ok    ' if ok else 'FAIL  '} {name:14} {form:5} error {error:.2e}  ({time.time() - start:.1f} s)", flush=True)
                except RuntimeError as e:
                    ok = False
                    print(f"FAIL   {name:14} {form:5} {e}", flush=True)
                failed += not ok
    return 1 if failed else 0


if __name__ == "__main__":
    import warnings

    warnings.filterwarnings("ignore")
    sys.exit(main())
