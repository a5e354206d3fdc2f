#!/usr/bin/env python3
"""One attention layer beside what a user would pick instead, in one interleaved run.

The same mathematics, weights and inputs for all: self-attention with key-value sharing, all biases. Every output is
compared with the formula in double precision before anything is timed. Linformer's peers get the paper's order,
E·(X·W), and the graph reassociated by hand, (E·X)·W; softmax attention is measured where n allows.

    bench/peers/run.sh [--quick] [--output FILE.json]      # makes the environment, builds, runs this

Peers that are not installed are left out, and the output says so.
"""

import argparse
import ctypes
import importlib.util
import itertools
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


class Problem:
    """Weights and inputs of one cell, drawn once, shared by all who run it."""

    def __init__(self, n, k, width, heads, batch):
        self.n, self.k, self.width, self.heads, self.batch = n, k, width, heads, batch
        rng = np.random.default_rng(n * 31 + k)
        draw = lambda *shape, scale: (rng.standard_normal(shape) * scale).astype(np.float32)
        self.x = draw(batch, n, width, scale=1.0)
        self.w = [draw(width, width, scale=width**-0.5) for _ in range(4)]  # query, key, value, output: out x in
        self.b = [draw(width, scale=0.1) for _ in range(4)]
        self.e = draw(k, n, scale=n**-0.5)

    @property
    def head_width(self):
        return self.width // self.heads

    def expected(self, mechanism, rows):
        """The formula in double precision, of the first `rows` queries of the first sequence."""
        x = self.x[0].astype(np.float64)
        w = [m.astype(np.float64) for m in self.w]
        b = [v.astype(np.float64) for v in self.b]
        q, k, v = x[:rows] @ w[0].T + b[0], x @ w[1].T + b[1], x @ w[2].T + b[2]
        if mechanism == "linformer":
            e = self.e.astype(np.float64)
            k, v = e @ k, e @ v
        out = np.empty_like(q)
        for head in range(self.heads):
            columns = slice(head * self.head_width, (head + 1) * self.head_width)
            scores = q[:, columns] @ k[:, columns].T / np.sqrt(self.head_width)
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            out[:, columns] = scores / scores.sum(axis=1, keepdims=True) @ v[:, columns]
        return out @ w[3].T + b[3]

    def operations(self):
        """Of the reassociated order, a multiply-add counted as two."""
        n, k, d = self.n, self.k, self.width
        return self.batch * (4 * n * d * d + 2 * k * n * d + 4 * k * d * d + 4 * n * k * d)


# Each candidate has a name, a mechanism, whether it rounds to bf16, and make(problem, threads), which returns a function
# of no argument that computes and returns the output, batch x n x width.


def ours(library, mechanism, bf16=False):
    def make(problem, threads):
        weights = np.concatenate([w.ravel() for w in problem.w])
        biases = np.concatenate(problem.b)
        layer = library.linformer_peer_create(
            problem.n, problem.width, problem.heads, problem.k, 2 if mechanism == "softmax" else 0, int(bf16), threads,
            problem.batch, weights.ctypes.data, biases.ctypes.data, problem.e.ctypes.data)
        if not layer:
            raise RuntimeError("the library refused the configuration")
        shape = problem.x.shape
        view = lambda pointer: np.ctypeslib.as_array(pointer, shape=shape)
        view(library.linformer_peer_input(layer))[...] = problem.x

        class Call:
            def __call__(self):
                if library.linformer_peer_forward(layer) != 0:
                    raise RuntimeError("the call failed")
                return view(library.linformer_peer_output(layer))

            def __del__(self):
                library.linformer_peer_destroy(layer)

        return Call()

    name = "linformer (C++)" if mechanism == "linformer" else "linformer (C++), tiled softmax"
    return {"name": name + (", bf16" if bf16 else ""), "mechanism": mechanism, "bf16": bf16, "order": "", "make": make}


def load_ours(path):
    library = ctypes.CDLL(path)
    library.linformer_peer_create.restype = ctypes.c_void_p
    library.linformer_peer_create.argtypes = [ctypes.c_long] * 4 + [ctypes.c_int] * 3 + [ctypes.c_long] + [ctypes.c_void_p] * 3
    for name in ("input", "output"):
        function = getattr(library, "linformer_peer_" + name)
        function.restype, function.argtypes = ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p]
    library.linformer_peer_forward.argtypes = library.linformer_peer_destroy.argtypes = [ctypes.c_void_p]
    library.linformer_peer_isa.restype = ctypes.c_char_p
    return library


def torch_candidates(compiled):
    import torch
    import torch.nn.functional as F

    def make_with(mechanism, order, bf16, compile_it):
        def make(problem, threads):
            torch.set_num_threads(threads)
            dtype = torch.bfloat16 if bf16 else torch.float32
            to = lambda array: torch.from_numpy(array).to(dtype)
            x, e = to(problem.x), to(problem.e)
            w, b = [to(m) for m in problem.w], [to(v) for v in problem.b]
            h, d = problem.heads, problem.head_width
            ones = e.sum(dim=1, keepdim=True)

            def heads(t):
                return t.view(t.shape[0], t.shape[1], h, d).transpose(1, 2)

            def layer(x):
                q = F.linear(x, w[0], b[0])
                if mechanism == "softmax":
                    k, v = F.linear(x, w[1], b[1]), F.linear(x, w[2], b[2])
                elif order == "paper":
                    k, v = e @ F.linear(x, w[1], b[1]), e @ F.linear(x, w[2], b[2])
                else:
                    p = e @ x
                    k, v = p @ w[1].T + ones * b[1], p @ w[2].T + ones * b[2]
                out = F.scaled_dot_product_attention(heads(q), heads(k), heads(v))
                return F.linear(out.transpose(1, 2).reshape(x.shape), w[3], b[3])

            run = torch.compile(layer) if compile_it else layer

            def call():
                torch.set_num_threads(threads)
                with torch.inference_mode():
                    return run(x)

            call.numpy = lambda y: y.float().numpy()
            return call

        name = "PyTorch " + ("compiled" if compile_it else "eager") + (", bf16" if bf16 else "")
        return {"name": name, "mechanism": mechanism, "order": order, "bf16": bf16, "make": make}

    for bf16, compile_it in itertools.product((False, True), (False, True) if compiled else (False,)):
        yield make_with("linformer", "paper", bf16, compile_it)
        yield make_with("linformer", "reassociated", bf16, compile_it)
        yield make_with("softmax", "", bf16, compile_it)


def onnx_model(problem, mechanism, order):
    """The layer as an ONNX graph; float, weights as initialisers, named input x and output y."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    h, d, width = problem.heads, problem.head_width, problem.width
    nodes, constants = [], []

    def constant(name, array):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(kind, inputs, **attributes):
        name = f"t{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def linear(x, i):
        product = node("MatMul", [x, constant(f"w{i}", problem.w[i].T)])
        return node("Add", [product, constant(f"b{i}", problem.b[i])])

    q = linear("x", 0)
    if mechanism == "softmax":
        k, v = linear("x", 1), linear("x", 2)
    elif order == "paper":
        e = constant("e", problem.e[None])
        k, v = node("MatMul", [e, linear("x", 1)]), node("MatMul", [e, linear("x", 2)])
    else:
        e = node("MatMul", [constant("e", problem.e[None]), "x"])
        ones = problem.e.sum(axis=1, keepdims=True)
        k, v = (
            node("Add", [node("MatMul", [e, constant(f"w{i}", problem.w[i].T)]), constant(f"eb{i}", ones * problem.b[i])])
            for i in (1, 2))
    split = constant("split", np.array([0, -1, h, d], dtype=np.int64))
    heads = lambda t, perm: node("Transpose", [node("Reshape", [t, split])], perm=perm)
    scores = node("MatMul", [heads(q, [0, 2, 1, 3]), heads(k, [0, 2, 3, 1])])
    scaled = node("Mul", [scores, constant("scale", np.float32(d**-0.5))])
    out = node("MatMul", [node("Softmax", [scaled], axis=-1), heads(v, [0, 2, 1, 3])])
    merged = node("Reshape", [node("Transpose", [out], perm=[0, 2, 1, 3]),
                              constant("merge", np.array([0, -1, width], dtype=np.int64))])
    product = node("MatMul", [merged, constant("w3", problem.w[3].T)])
    nodes.append(helper.make_node("Add", [product, constant("b3", problem.b[3])], ["y"]))
    shape = list(problem.x.shape)
    graph = helper.make_graph(nodes, "attention", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


GRAPHS = (("linformer", "paper"), ("linformer", "reassociated"), ("softmax", ""))


def onnxruntime_candidates():
    import onnxruntime

    def make_with(mechanism, order):
        def make(problem, threads):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(onnx_model(problem, mechanism, order), options,
                                                   providers=["CPUExecutionProvider"])
            return lambda: session.run(None, {"x": problem.x})[0]

        return {"name": "ONNX Runtime", "mechanism": mechanism, "order": order, "bf16": False, "make": make}

    for mechanism, order in GRAPHS:
        yield make_with(mechanism, order)


def openvino_candidates():
    import openvino

    core = openvino.Core()
    can_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    def make_with(mechanism, order, bf16):
        def make(problem, threads):
            model = core.read_model(onnx_model(problem, mechanism, order))
            compiled = core.compile_model(model, "CPU", {
                "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"})
            request = compiled.create_infer_request()
            request.set_input_tensor(openvino.Tensor(problem.x, shared_memory=True))

            def call():
                request.infer()
                return request.get_output_tensor().data

            return call

        return {"name": "OpenVINO" + (", bf16" if bf16 else ""), "mechanism": mechanism, "order": order, "bf16": bf16,
                "make": make}

    for bf16 in (False, True) if can_bf16 else (False,):
        for mechanism, order in GRAPHS:
            yield make_with(mechanism, order, bf16)


def check(candidate, problem, call):
    """Cosine and largest error against the formula. Raises where they say that something else was computed."""
    rows = min(problem.n, 256)
    expected = problem.expected(candidate["mechanism"], rows)
    y = call()
    actual = np.asarray(call.numpy(y) if hasattr(call, "numpy") else y)[0, :rows].astype(np.float64)
    cosine = float((actual * expected).sum() / (np.linalg.norm(actual) * np.linalg.norm(expected)))
    error = float(np.abs(actual - expected).max() / np.abs(expected).max())
    if cosine < (0.999 if candidate["bf16"] else 1 - 1e-6):
        raise RuntimeError(f"computes something else: cosine {cosine:.6f}")
    return cosine, error


def measure(calls, seconds, repetitions):
    """Times of each call, in turns."""
    times = [[] for _ in calls]
    for i, call in enumerate(calls):
        begin = time.perf_counter()
        call()
        call_seconds = max(time.perf_counter() - begin, 1e-6)
        times[i] = {"calls": max(1, min(1000, int(seconds / call_seconds))), "samples": []}
    for _ in range(repetitions):
        for i, call in enumerate(calls):
            time.sleep(0.12)  # threads of the one before may go on looking for work, which takes it from this one
            for _ in range(times[i]["calls"]):
                begin = time.perf_counter()
                call()
                times[i]["samples"].append(time.perf_counter() - begin)
    return [t["samples"] for t in times]


def versions():
    found = {"python": platform.python_version(), "numpy": np.__version__}
    for name in ("torch", "onnxruntime", "openvino", "onnx"):
        if importlib.util.find_spec(name):
            found[name] = __import__(name).__version__
    return found


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        fields = dict(line.split(":", 1) for line in info if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    return {key: fields.get(key, "") for key in ("model name", "cpu family", "model")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = lambda text: [int(part) for part in text.split(",")]
    parser.add_argument("--library", required=True, help="ours.cpp, compiled")
    parser.add_argument("--quick", action="store_true", help="one shape: n = 4096, k = 256, D = 512")
    parser.add_argument("--n", type=numbers, default=[512, 2048, 8192, 32768])
    parser.add_argument("--k", type=numbers, default=[32, 128, 256])
    parser.add_argument("--width", type=numbers, default=[512, 768])
    parser.add_argument("--batch", type=numbers, default=[1, 8])
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--longest-softmax", type=int, default=8192)
    parser.add_argument("--most-tokens", type=int, default=65536, help="leave out cells of more tokens in all")
    parser.add_argument("--seconds", type=float, default=0.2, help="of a turn of each candidate")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--candidates", default="", help="a regular expression of names with orders, for instance "
                        "'linformer|reassociated'; all by default")
    parser.add_argument("--compile", action="store_true", help="torch.compile too, which takes minutes to start")
    parser.add_argument("--output", default="peers.json")
    args = parser.parse_args()
    if args.quick:
        args.n, args.k, args.width, args.batch = [4096], [256], [512], [1]

    library = load_ours(args.library)
    candidates = [ours(library, "linformer"), ours(library, "linformer", bf16=True), ours(library, "softmax")]
    for name, make in (("torch", lambda: torch_candidates(args.compile)), ("onnxruntime", onnxruntime_candidates),
                       ("openvino", openvino_candidates)):
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: left out", file=sys.stderr)
            continue
        candidates += list(make())

    candidates = [c for c in candidates if re.search(args.candidates, f"{c['name']}, {c['order']}")]

    cells = [cell for cell in itertools.product(args.width, args.n, args.k, args.batch, args.threads)
             if cell[2] < cell[1] and cell[1] * cell[3] <= args.most_tokens]
    result = {"versions": versions(), "processor": processor(), "isa": library.linformer_peer_isa().decode(), "cells": []}
    start = time.monotonic()
    for index, (width, n, k, batch, threads) in enumerate(cells):
        left = (time.monotonic() - start) / index * (len(cells) - index) if index else float("nan")
        print(f"cell {index + 1} of {len(cells)}, {left / 60:.0f} min left: n={n} k={k} D={width} batch={batch} "
              f"threads={threads}", file=sys.stderr, flush=True)
        problem = Problem(n, k, width, width // 64, batch)
        softmax_here = batch == 1 and n <= args.longest_softmax and k == args.k[-1]
        running = []
        for candidate in candidates:
            if candidate["mechanism"] == "softmax" and not softmax_here:
                continue
            try:
                call = candidate["make"](problem, threads)
                cosine, error = check(candidate, problem, call)
                running.append((candidate, call, cosine, error))
            except Exception as failure:  # a peer that cannot is reported, not fatal
                print(f"  {candidate['name']} {candidate['order']}: left out: {failure}", file=sys.stderr)
        samples = measure([call for _, call, _, _ in running], args.seconds, args.repetitions)
        for (candidate, _, cosine, error), taken in zip(running, samples):
            result["cells"].append({
                "n": n, "k": k, "width": width, "heads": problem.heads, "batch": batch, "threads": threads,
                "name": candidate["name"], "mechanism": candidate["mechanism"], "order": candidate["order"],
                "best_ms": min(taken) * 1e3, "median_ms": statistics.median(taken) * 1e3, "samples": len(taken),
                "p99_ms": sorted(taken)[max(0, int(len(taken) * 0.99) - 1)] * 1e3, "cosine": cosine, "error": error,
                "operations": problem.operations()})
        temporary = args.output + ".part"
        with open(temporary, "w", encoding="utf-8") as out:
            json.dump(result, out, indent=1)
        os.replace(temporary, args.output)
    print(args.output)


if __name__ == "__main__":
    main()
