#!/usr/bin/env python3
"""Accuracy of ResNet-20 (width 16, batch 128) trained by Hone and by PyTorch with one recipe on the same pictures.

    python bench/accuracy_vs_pytorch.py DATA [--hone build/release/bin/hone] [--epochs 8] [--seeds 3] [--precision bf16] [--threads 2]

DATA is a folder with the four IDX files of an MNIST-like set (Debian: dataset-fashion-mnist). The recipe of both: SGD with
Nesterov momentum 0.9, peak rate 0.2, one epoch of warm-up and half a cosine, weight decay 5e-4 on weights alone, label smoothing 0.1,
horizontal flips, 55,000 training pictures; the test file is used once a seed. Prints each seed, the means and their difference.
Needs torch and numpy; nothing here is a dependency of Hone.
"""
import argparse
import gzip
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np


def read_idx(folder, part):
    def load(name):
        for path in (folder / name, folder / (name + ".gz")):
            if path.exists():
                raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
                return raw
        sys.exit(f"accuracy_vs_pytorch: no {name} in {folder}")
    images = np.frombuffer(load(f"{part}-images-idx3-ubyte"), np.uint8, offset=16).reshape(-1, 28, 28)
    return images, np.frombuffer(load(f"{part}-labels-idx1-ubyte"), np.uint8, offset=8)


def hone(a, seed):
    with tempfile.TemporaryDirectory() as out:
        run = [a.hone, "train", str(a.data), "--model", "resnet20", "--epochs", str(a.epochs), "--batch", "128", "--lr", "0.2", "--augment", "flip",
               "--precision", a.precision, "--threads", str(a.threads), "--seed", str(seed), "--out", out, "--force", "--json"]
        done = subprocess.run(run, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"hone train failed: {done.stderr.strip().splitlines()[-1]}")
        model = json.loads(done.stdout)["model"]
        done = subprocess.run([a.hone, "test", model, "--data", str(a.data), "--json"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"hone test failed: {done.stderr.strip().splitlines()[-1]}")
        return 100 * json.loads(done.stdout)["metrics"]["accuracy"]


def pytorch(a, seed, train, test):
    import torch
    from torch import nn
    from torch.nn import functional as F

    from resnet20_pytorch import resnet20
    torch.set_num_threads(a.threads)
    torch.manual_seed(seed)
    net = resnet20().to(memory_format=torch.channels_last)
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    x, y = (torch.from_numpy(v.copy()) for v in train)
    keep = torch.randperm(len(x))[: len(x) - 5000]
    mean, std = x[keep].float().mean(), x[keep].float().std()
    x, y = ((x[keep].float() - mean) / std).unsqueeze(1), y[keep].long()
    decay = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim == 1]
    opt = torch.optim.SGD([{"params": decay, "weight_decay": 5e-4}, {"params": rest, "weight_decay": 0}], lr=0.2, momentum=0.9, nesterov=True)
    steps = len(x) // 128
    total = steps * a.epochs

    def rate(step):
        return step / steps if step < steps else 0.5 * (1 + math.cos(math.pi * (step - steps) / max(1, total - steps)))
    schedule = torch.optim.lr_scheduler.LambdaLR(opt, rate)
    for _ in range(a.epochs):
        order = torch.randperm(len(x))
        for k in range(steps):
            pick = order[k * 128:(k + 1) * 128]
            batch = x[pick]
            flip = torch.rand(len(batch)) < 0.5
            batch[flip] = batch[flip].flip(3)
            opt.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=a.precision == "bf16"):
                out = net(batch.contiguous(memory_format=torch.channels_last))
            F.cross_entropy(out.float(), y[pick], label_smoothing=0.1).backward()
            opt.step()
            schedule.step()
    net.eval()
    right = 0
    with torch.no_grad():
        for k in range(0, len(test[0]), 500):
            v = ((torch.from_numpy(test[0][k:k + 500].copy()).float() - mean) / std).unsqueeze(1)
            right += int((net(v).argmax(1).numpy() == test[1][k:k + 500]).sum())
    return 100 * right / len(test[0])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("--hone", default="build/release/bin/hone")
    p.add_argument("--epochs", type=int, default=8)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--precision", default="bf16", choices=["f32", "bf16"])
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    train, test = read_idx(a.data, "train"), read_idx(a.data, "t10k")
    results = {"hone": [], "pytorch": []}
    for seed in range(a.seeds):
        results["hone"].append(hone(a, seed))
        print(f"seed {seed}: hone {results['hone'][-1]:.2f} %", flush=True)
        results["pytorch"].append(pytorch(a, seed, train, test))
        print(f"seed {seed}: pytorch {results['pytorch'][-1]:.2f} %", flush=True)
    means = {k: statistics.mean(v) for k, v in results.items()}
    print(f"means of {a.seeds} seeds, {a.epochs} epochs, {a.precision}: hone {means['hone']:.2f} %, pytorch {means['pytorch']:.2f} %, "
          f"difference {means['hone'] - means['pytorch']:+.2f} points")


if __name__ == "__main__":
    main()
