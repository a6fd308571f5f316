# Runs a model file in OpenVINO or ONNX Runtime. `python3 -c SCRIPT job.json` reads the job and writes what it answers beside it, as
# result.json and .npy files. Needs NumPy and the peer; nothing else.
import json
import os
import statistics
import sys
import threading
import time

folder = os.path.dirname(os.path.abspath(sys.argv[1]))
job = json.load(open(sys.argv[1]))


def answer(**result):
    with open(os.path.join(folder, "result.json"), "w") as f:
        json.dump(result, f)
    sys.stdout.flush()
    os._exit(0)  # without the peers' own clean-up, which may hang


def fail(kind, e):
    lines = [line.strip() for line in str(e).splitlines() if line.strip()]
    # The last line of OpenVINO's message says why; the others are places in its source.
    reasons = [line for line in lines if not line.startswith(("Exception from", "Check '"))] or lines or [type(e).__name__]
    answer(error=kind, message=" ".join(reasons)[:400])


try:
    import numpy as np
except ImportError:
    answer(error="missing", message="numpy")
try:
    if job["peer"] == "openvino":
        import openvino as ov
    else:
        import onnxruntime as ort
except ImportError:
    answer(error="missing", message=job["peer"])


def resident_mb(key):
    with open("/proc/self/status") as f:
        return next((int(line.split()[1]) / 1024 for line in f if line.startswith(key)), 0)


BASE = resident_mb("VmRSS")
inputs = []
for given in job["inputs"]:
    array = np.load(os.path.join(folder, given["file"]))
    inputs.append(array.astype(object) if array.dtype.kind == "U" else array)


def place(names, index):
    """Which given input this is: by any of its names, else by position."""
    for i, given in enumerate(job["inputs"]):
        if set(given["names"]) & set(names):
            return i
    if index >= len(inputs):
        raise ValueError("the model has more inputs than were given")
    return index


def save(stem, value):
    if value is None:
        return {"kind": "none", "files": []}
    if isinstance(value, (list, tuple)):
        if any(not isinstance(v, np.ndarray) for v in value):
            raise ValueError("an output is a sequence of maps, which has no .npy form")
        files = []
        for i, v in enumerate(value):
            files.append("%s.%d.npy" % (stem, i))
            np.save(os.path.join(folder, files[-1]), np.ascontiguousarray(v))
        return {"kind": "sequence", "files": files}
    value = np.asarray(value)
    if value.dtype == object:
        value = value.astype(str)
    np.save(os.path.join(folder, stem + ".npy"), np.asarray(value, order="C"))
    return {"kind": "tensor", "files": [stem + ".npy"]}


def fields(data):
    """Field numbers and contents of a protobuf message."""
    i = 0

    def varint():
        nonlocal i
        value = shift = 0
        while True:
            byte = data[i]
            i += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while i < len(data):
        key = varint()
        if key & 7 == 2:
            n = varint()
            yield key >> 3, data[i:i + n]
            i += n
        elif key & 7 == 0:
            varint()
        else:
            i += 4 if key & 7 == 5 else 8


def delimited(field, body):
    n, length = len(body), b""
    while n > 127:
        length += bytes([n & 127 | 128])
        n >>= 7
    return bytes([field << 3 | 2]) + length + bytes([n]) + body


def with_outputs(model, wanted):
    """The ONNX file with more graph outputs: protobuf messages merge when they are written one behind the other."""
    made, have = [], set()
    for field, graph in fields(memoryview(model)):
        if field != 7:
            continue
        for kind, body in fields(graph):
            if kind == 1:
                made += [bytes(name).decode() for part, name in fields(body) if part == 2]
            if kind == 12:
                have |= {bytes(name).decode() for part, name in fields(body) if part == 1}
    more = [name for name in made if name in wanted and name not in have]
    outputs = b"".join(delimited(12, delimited(1, name.encode())) for name in more)
    return model + delimited(7, outputs) if more else model


class OpenVino:
    version = property(lambda self: ov.__version__.split("-")[0])

    def load(self, values):
        core = ov.Core()
        model = core.read_model(job["model"])
        results = len(model.outputs)
        if values:
            seen = set()
            for op in model.get_ordered_ops():
                if op.get_type_name() in ("Constant", "Parameter", "Result"):
                    continue
                for out in op.outputs():
                    names = out.get_names() & values
                    if names and not names <= seen:
                        seen |= names
                        model.add_outputs([out])
        if job.get("static"):
            model.reshape({p: list(inputs[place(p.get_names(), i)].shape) for i, p in enumerate(model.inputs)})
        # NumPy lacks these types: they travel wider.
        wide = [t for t in (ov.Type.bf16, ov.Type.i4, ov.Type.u4, ov.Type.u1)]
        steps = ov.preprocess.PrePostProcessor(model)
        change = False
        for i, p in enumerate(model.inputs):
            if p.get_element_type() in wide:
                steps.input(i).tensor().set_element_type(ov.Type.f32)
                change = True
        for i, p in enumerate(model.outputs):
            if p.get_element_type() in wide:
                steps.output(i).tensor().set_element_type(ov.Type.f32)
                change = True
        if change:
            model = steps.build()
        config = {"PERFORMANCE_HINT": "THROUGHPUT" if job["hint"] == "throughput" else "LATENCY"}
        if job["threads"]:
            config["INFERENCE_NUM_THREADS"] = job["threads"]
        if job["hint"] == "throughput":
            config["NUM_STREAMS"] = job["streams"]
        if job["precision"] in ("f32", "bf16"):
            config["INFERENCE_PRECISION_HINT"] = job["precision"]
        if job["task"] == "run":  # by default it rounds what meets compressed weights to 8 bits
            config["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
        self.net = core.compile_model(model, "CPU", config)
        self.results = results
        self.request = self.net.create_infer_request()
        self.feed = {i: inputs[place(p.get_names(), i)] for i, p in enumerate(self.net.inputs)}
        hint = self.net.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = "int8" if job["precision"] == "int8" else hint
        self.note = ""

    def outputs(self):
        answers = self.request.infer(self.feed, share_outputs=True)
        for i, out in enumerate(self.net.outputs):
            yield sorted(out.get_names()), answers[i], i < self.results

    def prepare(self):
        self.tensors = {i: ov.Tensor(np.ascontiguousarray(a), shared_memory=True) for i, a in self.feed.items()}
        for i, t in self.tensors.items():
            self.request.set_input_tensor(i, t)

    def once(self):
        self.request.infer()

    def throughput(self, streams, seconds):
        queue = ov.AsyncInferQueue(self.net, streams)
        n, start = -1, time.perf_counter()
        while n < 0 or time.perf_counter() - start < seconds:
            if n < 0:  # the first turn warms up
                n, start = 0, None
            for _ in range(4 * streams):
                queue.start_async(self.tensors)
            if start is None:
                queue.wait_all()
                start = time.perf_counter()
                continue
            n += 4 * streams
        queue.wait_all()
        return n / (time.perf_counter() - start)


class OnnxRuntime:
    version = property(lambda self: ort.__version__)

    def load(self, values):
        ort.set_default_logger_severity(4)
        options = ort.SessionOptions()
        threads = job["threads"]
        if threads:
            options.intra_op_num_threads = 1 if job["hint"] == "throughput" else threads
        model = job["model"]
        if values:
            with open(model, "rb") as f:
                changed = with_outputs(f.read(), values)
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.path.dirname(model))
            model = changed
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.feed = {p.name: inputs[place([p.name], i)] for i, p in enumerate(self.session.get_inputs())}
        self.results = job["outputs"]
        self.precision = "int8" if job["precision"] == "int8" else "f32"
        self.note = "computes in f32: it has no bf16 on CPUs" if job["precision"] == "bf16" else ""

    def outputs(self):
        for i, (out, value) in enumerate(zip(self.session.get_outputs(), self.session.run(None, self.feed))):
            yield [out.name], value, i < self.results

    def prepare(self):
        pass

    def once(self):
        self.session.run(None, self.feed)

    def throughput(self, streams, seconds):
        self.once()
        done, start = [0] * streams, time.perf_counter()

        def work(k):
            while time.perf_counter() - start < seconds:
                self.session.run(None, self.feed)
                done[k] += 1

        workers = [threading.Thread(target=work, args=(k,)) for k in range(streams)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        return sum(done) / (time.perf_counter() - start)


peer = OpenVino() if job["peer"] == "openvino" else OnnxRuntime()
try:
    start = time.perf_counter()
    peer.load(set(job.get("values", [])))
    load = time.perf_counter() - start
except Exception as e:
    fail("read", e)

try:
    if job["task"] == "run":
        outputs, values = [], []
        for i, (names, value, is_result) in enumerate(peer.outputs()):
            if is_result:
                outputs.append({"names": names, **save("output%d" % i, value)})
            elif isinstance(value, np.ndarray):
                values.append({"names": names, **save("value%d" % i, value)})
        answer(version=peer.version, outputs=outputs, values=values)
    peer.prepare()
    start = time.perf_counter()
    peer.once()
    first = time.perf_counter() - start
    for _ in range(3):
        peer.once()
    times, end = [], time.perf_counter() + job["seconds"]
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        peer.once()
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    fps = peer.throughput(job["streams"], job["seconds"]) if job["hint"] == "throughput" else 1 / median
    answer(version=peer.version, precision=peer.precision, note=peer.note, median_ms=median * 1e3, min_ms=min(times) * 1e3, load_ms=load * 1e3,
           first_inference_ms=first * 1e3, runs_per_s=fps, peak_rss_mb=resident_mb("VmHWM") - BASE)
except Exception as e:
    fail("run", e)
