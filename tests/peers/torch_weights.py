#!/usr/bin/env python3
"""State dicts of torchvision give its outputs in networks of Hone's zoo.

    torch_weights.py --hone build/release/bin/hone

Each network has random weights and is saved in both forms of torch.save and, where the package is there, as safetensors. Needs torch and
torchvision; without them the script says so and ends with code 77 (skipped).
"""
import argparse
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torchvision
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)
try:
    from safetensors.torch import save_file
except ImportError:
    print("skipped: the form safetensors needs the package of that name")
    save_file = None

NETWORKS = [("resnet18", {}), ("resnet50", {}), ("mobilenet_v2", {}), ("mobilenet_v3_small", {}), ("mobilenet_v3_large", {}), ("resnet18", {"num_classes": 7})]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--hone", default="build/release/bin/hone")
    a = ap.parse_args()
    failed = 0
    for name, options in NETWORKS:
        torch.manual_seed(0)
        model = getattr(torchvision.models, name)(weights=None, **options).eval()
        for m in model.modules():
            if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear)):
                torch.nn.init.kaiming_normal_(m.weight, mode="fan_in", nonlinearity="relu")
            if isinstance(m, torch.nn.BatchNorm2d):
                m.running_mean.normal_(0, 0.1)
                m.running_var.uniform_(0.7, 1.3)
        x = torch.rand(1, 3, 224, 224)
        with torch.no_grad():
            expected = model(x).numpy()
        with tempfile.TemporaryDirectory() as folder:
            weights = model.state_dict()
            files = {"zip": os.path.join(folder, "w.pth"), "stream": os.path.join(folder, "w.th")}
            torch.save(weights, files["zip"])
            torch.save({"state_dict": {"module." + k: v for k, v in weights.items()}, "epoch": 3}, files["stream"], _use_new_zipfile_serialization=False)
            if save_file:
                files["safetensors"] = os.path.join(folder, "w.safetensors")
                save_file(weights, files["safetensors"])
            np.save(os.path.join(folder, "x.npy"), x.numpy())
            for form, file in files.items():
                done = subprocess.run([a.hone, "run", file, "--network", name, "--input", "input=" + os.path.join(folder, "x.npy"), "--output-dir", folder], capture_output=True, text=True)
                if done.returncode:
                    print(f"FAIL   {name} {form}: {done.stderr.strip()[:300]}")
                    failed += 1
                    continue
                error = np.abs(np.load(os.path.join(folder, "logits.npy")) - expected).max() / np.abs(expected).max()
                failed += error > 1e-4
                print(f"{'ok    ' if error <= 1e-4 else 'FAIL  '} {name} {options or ''} {form} error {error:.1e}", flush=True)
            refusal = subprocess.run([a.hone, "run", files["zip"], "--output-dir", folder], capture_output=True, text=True).stderr
            if name not in refusal or "--network" not in refusal:
                print(f"FAIL   {name}: the refusal does not name it: {refusal.strip()[:300]}")
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
