#!/usr/bin/env python3
"""Training speed of ResNet-20 (width 16, 28x28x1, batch 128): Hone against PyTorch's best eager setting, in turns within one run.

    python bench/train_vs_pytorch.py [--hone build/release/bin/hone] [--threads 2] [--rounds 3] [--precision f32,bf16] [--images 6400]

Needs torch and numpy; nothing here is a dependency of Hone. Prints images/s of each round, medians and the ratio. PyTorch is timed over
whole steps with data in memory; Hone over `hone train --json` (images_per_s: loading and augmentation included).
"""
import argparse
import json
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np


def write_idx(folder, images):
    """Random grey pictures whose class shows in their brightness, as IDX files."""
    rng = np.random.default_rng(0)
    for part, n in (("train", images), ("t10k", 500)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        pictures = (rng.integers(0, 100, (n, 28, 28)) + labels[:, None, None] * 15).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, n, 28, 28) + pictures.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, n) + labels.tobytes())


def hone_rate(binary, folder, precision, threads):
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run([binary, "train", str(folder), "--model", "resnet20", "--epochs", "1", "--batch", "128", "--precision", precision,
                               "--threads", str(threads), "--out", out, "--force", "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"hone failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)["images_per_s"]


def torch_step(precision, threads):
    import torch
    from torch.nn import functional as F

    from resnet20_pytorch import resnet20
    torch.set_num_threads(threads)
    torch.manual_seed(0)

    net = resnet20().to(memory_format=torch.channels_last)
    x = torch.rand(128, 1, 28, 28).to(memory_format=torch.channels_last)
    y = torch.arange(128) % 10
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(net(x), y, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
    return step


def torch_rate(step, images):
    for _ in range(3):
        step()
    n = max(5, images // 128)
    t = time.perf_counter()
    for _ in range(n):
        step()
    return n * 128 / (time.perf_counter() - t)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hone", default="build/release/bin/hone")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--precision", default="f32,bf16")
    p.add_argument("--images", type=int, default=6400)
    a = p.parse_args()
    print(subprocess.run([a.hone, "--version"], capture_output=True, text=True).stdout.splitlines()[-1])
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        write_idx(folder, a.images)
        for precision in a.precision.split(","):
            step = torch_step(precision, a.threads)
            hone, torch = [], []
            for _ in range(a.rounds):
                hone.append(hone_rate(a.hone, folder, precision, a.threads))
                torch.append(torch_rate(step, a.images // 2))
            h, t = statistics.median(hone), statistics.median(torch)
            print(f"{precision}, {a.threads} threads: hone {h:.0f} images/s {[round(v) for v in hone]}, "
                  f"torch {t:.0f} {[round(v) for v in torch]}, ratio {h / t:.2f}")


if __name__ == "__main__":
    main()
