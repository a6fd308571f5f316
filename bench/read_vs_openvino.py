#!/usr/bin/env python3
"""Time and memory to read a large ONNX file: Hone against OpenVINO's read_model, in turns within one run.

    python bench/read_vs_openvino.py FILE.onnx [--hone build/release/bin/hone] [--rounds 5]

Hone's figures are those of a whole process, `hone inspect FILE --json` (start, reading, shape inference, counting); OpenVINO's are those of
the call alone, in a process that has imported it. Memory is what the process holds privately beyond its start: weights that stay mapped are
the page cache's. Needs openvino; nothing here is a dependency of Hone.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def private_mb(pid="self"):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith("RssAnon"))


def worker(path):
    import openvino as ov
    core = ov.Core()
    before = private_mb()
    t = time.perf_counter()
    model = core.read_model(path)
    seconds = time.perf_counter() - t
    print(json.dumps({"ms": seconds * 1e3, "mb": private_mb() - before, "nodes": len(model.get_ops())}))


def hone(binary, path):
    t = time.perf_counter()
    child = subprocess.Popen([binary, "inspect", path, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    most = 0.0
    while child.poll() is None:  # sampled: the kernel keeps no peak of private memory alone
        try:
            most = max(most, private_mb(child.pid))
        except (OSError, StopIteration):
            pass
        time.sleep(0.001)
    ms = (time.perf_counter() - t) * 1e3
    if child.returncode:
        sys.exit(f"hone inspect failed: {child.stderr.read().decode().strip()}")
    return {"ms": ms, "mb": most}


def main():
    if sys.argv[1:2] == ["--worker"]:
        return worker(sys.argv[2])
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file")
    p.add_argument("--hone", default="build/release/bin/hone")
    p.add_argument("--rounds", type=int, default=5)
    a = p.parse_args()
    rows = {"hone": [], "openvino": []}
    for _ in range(a.rounds):
        rows["hone"].append(hone(a.hone, a.file))
        done = subprocess.run([sys.executable, __file__, "--worker", a.file], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"read_vs_openvino: OpenVINO failed: {done.stderr.strip().splitlines()[-1]}")
        rows["openvino"].append(json.loads(done.stdout))
    size = os.path.getsize(a.file) / 1e6
    print(f"{a.file}, {size:.0f} MB, medians of {a.rounds} rounds")
    median = {e: {k: statistics.median(r[k] for r in rs) for k in ("ms", "mb")} for e, rs in rows.items()}
    for engine, m in median.items():
        print(f"{engine:10s} {m['ms']:9.1f} ms {m['mb']:9.1f} MB private")
    print(f"OpenVINO / Hone: time {median['openvino']['ms'] / median['hone']['ms']:.1f}x, "
          f"memory {median['openvino']['mb'] / max(median['hone']['mb'], 0.1):.1f}x")


if __name__ == "__main__":
    main()
