#!/usr/bin/env python3
"""A whole encoder beside what a user would pick instead, in one interleaved run of inference.

RoBERTa-base's sizes (12 layers, D = 768, 12 heads, feed-forward 3,072; a vocabulary of 8,192, of which nothing but the
rows looked up is read), batch 1, from token ids to the hidden states of the last layer: embeddings, learned positions,
layer norms and exact GELU on every side. The same random weights for all; hidden states of all rows are compared
before anything is timed. Softmax attention, and Linformer with key-value sharing, whose peers get the graph
reassociated by hand, (E·X)·W. Peers that are not installed are left out, and the output says so.

    bench/peers/run.sh --encoder [--n 512,4096] [--threads 1,2] [--output FILE.json]

Candidates take turns; a ratio is that of two neighbouring calls, so that what disturbs one disturbs the other. Beside
wall time stands CPU time, which with one thread leaves out what other programs took of the core.
"""

import argparse
import ctypes
import importlib.util
import json
import statistics
import sys
import time

import numpy as np

from peers import processor, versions

VOCABULARY = 8192


class Problem:
    """Weights by the names that this library gives them, and token ids."""

    def __init__(self, n, k, layers, width, heads, feed_forward):
        self.n, self.k, self.layers, self.width, self.heads, self.feed_forward = n, k, layers, width, heads, feed_forward
        rng = np.random.default_rng(n + k)
        draw = lambda *shape, scale: rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)
        self.ids = rng.integers(0, VOCABULARY, n).astype(np.int32)
        w = self.w = {"embeddings.word_embeddings.weight": draw(VOCABULARY, width, scale=0.5),
                      "embeddings.position_embeddings.weight": draw(n, width, scale=0.5)}

        def norm(name):
            w[name + ".weight"], w[name + ".bias"] = 1 + draw(width, scale=0.1), draw(width, scale=0.1)

        def dense(name, out, inner):
            w[name + ".weight"], w[name + ".bias"] = draw(out, inner, scale=inner**-0.5), draw(out, scale=0.1)

        norm("embeddings.LayerNorm")
        for layer in range(layers):
            at = f"encoder.layer.{layer}."
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                dense(f"{at}attention.{part}", width, width)
            norm(at + "attention.output.LayerNorm")
            dense(at + "intermediate.dense", feed_forward, width)
            dense(at + "output.dense", width, feed_forward)
            norm(at + "output.LayerNorm")
            if k:
                w[f"projections.{layer}.weight"] = draw(k, n, scale=n**-0.5)

    def operations(self):
        """Of the layers, in the reassociated order, a multiply-add counted as two."""
        n, k, d = self.n, self.k, self.width
        attention = 4 * n * d * d + 2 * k * n * d + 4 * k * d * d + 4 * n * k * d if k else 8 * n * d * d + 4 * n * n * d
        return self.layers * (attention + 4 * n * d * self.feed_forward)


# A candidate is a function make(problem, threads) that returns one of no argument, which computes the hidden states.


def ours(library, bf16=False, first=False):
    def make(problem, threads):
        wanted = dict(problem.w)

        @ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.POINTER(ctypes.c_float), ctypes.c_long)
        def read(name, values, count):
            np.ctypeslib.as_array(values, shape=(count,))[...] = wanted.pop(name.decode()).ravel()

        model = library.linformer_encoder_create(
            problem.n, problem.layers, problem.width, problem.heads, problem.feed_forward, VOCABULARY, problem.k,
            int(bf16), int(first), threads, read)
        if not model or wanted:
            raise RuntimeError(f"the library refused the configuration, or has no {list(wanted)}")
        np.ctypeslib.as_array(library.linformer_encoder_ids(model), shape=(problem.n,))[...] = problem.ids
        hidden = np.ctypeslib.as_array(library.linformer_encoder_hidden(model),
                                       shape=(1 if first else problem.n, problem.width))

        class Call:
            def __call__(self):
                if library.linformer_encoder_forward(model) != 0:
                    raise RuntimeError("the call failed")
                return hidden

            def __del__(self):
                library.linformer_encoder_destroy(model)

        return Call()

    return make


def load_ours(path):
    library = ctypes.CDLL(path)
    library.linformer_encoder_create.restype = ctypes.c_void_p
    library.linformer_encoder_create.argtypes = [ctypes.c_long] * 7 + [ctypes.c_int] * 3 + [ctypes.c_void_p]
    library.linformer_encoder_ids.restype = ctypes.POINTER(ctypes.c_int32)
    library.linformer_encoder_hidden.restype = ctypes.POINTER(ctypes.c_float)
    library.linformer_encoder_isa.restype = ctypes.c_char_p
    for name in ("ids", "hidden", "forward", "destroy"):
        getattr(library, "linformer_encoder_" + name).argtypes = [ctypes.c_void_p]
    return library


def onnx_model(problem):
    """The encoder as an ONNX graph: input ids (1, n), output hidden (1, n, D)."""
    from onnx import TensorProto, helper, numpy_helper

    n, width, h = problem.n, problem.width, problem.heads
    nodes, constants = [], {}

    def constant(name, array):
        if name not in constants:
            constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(kind, inputs, **attributes):
        name = f"t{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    weight = lambda name: constant(name, problem.w[name])

    def dense(x, name):
        return node("Add", [node("MatMul", [x, constant(name + ".T", problem.w[name + ".weight"].T)]),
                            weight(name + ".bias")])

    def norm(x, name):
        return node("LayerNormalization", [x, weight(name + ".weight"), weight(name + ".bias")], axis=-1, epsilon=1e-5)

    split = constant("split", np.array([0, -1, h, width // h], dtype=np.int64))
    merge = constant("merge", np.array([0, -1, width], dtype=np.int64))
    scale = constant("scale", np.float32((width // h) ** -0.5))
    heads = lambda t, perm: node("Transpose", [node("Reshape", [t, split])], perm=perm)

    def attention(x, layer):
        at = f"encoder.layer.{layer}.attention."
        if problem.k:
            e = problem.w[f"projections.{layer}.weight"]
            projected = node("MatMul", [constant(f"e{layer}", e), x])
            # (E·X)·W + (E·1)·bᵀ, the second term being constant
            side = lambda name: node("Add", [
                node("MatMul", [projected, constant(at + name + ".T", problem.w[at + name + ".weight"].T)]),
                constant(at + name + ".bias", e.sum(axis=1, keepdims=True) * problem.w[at + name + ".bias"])])
            k, v = side("self.key"), side("self.value")
        else:
            k, v = dense(x, at + "self.key"), dense(x, at + "self.value")
        q = dense(x, at + "self.query")
        scores = node("MatMul", [heads(q, [0, 2, 1, 3]), heads(k, [0, 2, 3, 1])])
        out = node("MatMul", [node("Softmax", [node("Mul", [scores, scale])], axis=-1), heads(v, [0, 2, 1, 3])])
        merged = node("Reshape", [node("Transpose", [out], perm=[0, 2, 1, 3]), merge])
        return dense(merged, at + "output.dense")

    x = node("Add", [node("Gather", [weight("embeddings.word_embeddings.weight"), "ids"]),
                     weight("embeddings.position_embeddings.weight")])
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(problem.layers):
        at = f"encoder.layer.{layer}."
        x = norm(node("Add", [x, attention(x, layer)]), at + "attention.output.LayerNorm")
        inner = node("Gelu", [dense(x, at + "intermediate.dense")])
        x = norm(node("Add", [x, dense(inner, at + "output.dense")]), at + "output.LayerNorm")
    nodes.append(helper.make_node("Identity", [x], ["hidden"]))
    graph = helper.make_graph(nodes, "encoder", [helper.make_tensor_value_info("ids", TensorProto.INT32, [1, n])],
                              [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, n, width])],
                              list(constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 9
    return model.SerializeToString()


def onnxruntime_encoder(problem, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_model(problem), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"ids": problem.ids[None]})[0][0]


def openvino_encoder(bf16):
    def make(problem, threads):
        import openvino

        core = openvino.Core()
        if bf16 and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise RuntimeError("this processor has no bf16")
        compiled = core.compile_model(core.read_model(onnx_model(problem)), "CPU", {
            "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"})
        request = compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(problem.ids[None])))

        def call():
            request.infer()
            return request.get_output_tensor().data[0]

        return call

    return make


def torch_encoder(problem, threads):
    import torch
    import torch.nn.functional as F

    w = {name: torch.from_numpy(values) for name, values in problem.w.items()}
    ids, h = torch.from_numpy(problem.ids.astype(np.int64)), problem.heads
    linear = lambda x, name: F.linear(x, w[name + ".weight"], w[name + ".bias"])
    norm = lambda x, name: F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"])
    heads = lambda t: t.view(1, t.shape[0], h, -1).transpose(1, 2)

    def attention(x, layer):
        at = f"encoder.layer.{layer}.attention."
        if problem.k:
            e = w[f"projections.{layer}.weight"]
            projected, ones = e @ x, e.sum(dim=1, keepdim=True)
            k, v = (projected @ w[f"{at}self.{side}.weight"].T + ones * w[f"{at}self.{side}.bias"]
                    for side in ("key", "value"))
        else:
            k, v = linear(x, at + "self.key"), linear(x, at + "self.value")
        out = F.scaled_dot_product_attention(heads(linear(x, at + "self.query")), heads(k), heads(v))
        return linear(out.transpose(1, 2).reshape(x.shape), at + "output.dense")

    def call():
        torch.set_num_threads(threads)
        with torch.inference_mode():
            x = norm(w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"],
                     "embeddings.LayerNorm")
            for layer in range(problem.layers):
                at = f"encoder.layer.{layer}."
                x = norm(x + attention(x, layer), at + "attention.output.LayerNorm")
                inner = F.gelu(linear(x, at + "intermediate.dense"))
                x = norm(x + linear(inner, at + "output.dense"), at + "output.LayerNorm")
            return x.numpy()

    return call


def agreement(actual, expected):
    """The least cosine of a row with ours, and the largest difference relative to the largest value."""
    a, b = actual[: len(expected)].astype(np.float64), expected.astype(np.float64)
    cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return float(cosines.min()), float(np.abs(a - b).max() / np.abs(b).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = lambda text: [int(part) for part in text.split(",")]
    parser.add_argument("--library", required=True, help="ours_encoder.cpp, compiled")
    parser.add_argument("--n", type=numbers, default=[512, 4096])
    parser.add_argument("--k", type=numbers, default=[0, 128], help="0 for softmax attention")
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--peers", default="OpenVINO,ONNX Runtime,PyTorch", help="which, of these and 'OpenVINO, bf16'")
    parser.add_argument("--bf16", action="store_true", help="ours in bf16 too, beside OpenVINO's")
    parser.add_argument("--first-token", action="store_true", help="ours for the first token's row alone too")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--most-seconds", type=float, default=120, help="of a cell's rounds; at least three are run")
    parser.add_argument("--output", default="encoders.json")
    args = parser.parse_args()

    library = load_ours(args.library)
    candidates = {"linformer (C++)": ours(library)}
    if args.first_token:
        candidates["linformer (C++), first token"] = ours(library, first=True)
    wanted = set(args.peers.split(","))
    if args.bf16:
        candidates["linformer (C++), bf16"] = ours(library, bf16=True)
        wanted.add("OpenVINO, bf16")
        if "OpenVINO" in wanted:
            candidates["OpenVINO, bf16"] = openvino_encoder(bf16=True)
    for name, module, make in (("OpenVINO", "openvino", openvino_encoder(bf16=False)),
                               ("ONNX Runtime", "onnxruntime", onnxruntime_encoder),
                               ("PyTorch", "torch", torch_encoder)):
        if name not in wanted:
            continue
        if importlib.util.find_spec(module) is None:
            print(f"{module} is not installed: left out", file=sys.stderr)
            continue
        candidates[name] = make

    result = {"versions": versions(), "processor": processor(), "isa": library.linformer_encoder_isa().decode(),
              "layers": args.layers, "width": args.width, "heads": args.heads, "cells": []}
    print("| attention | n | threads | who | ms, best | median | GFLOP/s | × ours: best | median of pairs "
          "| CPU: best | median of pairs | least cosine | difference |")
    print("|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for n in args.n:
        for k in args.k:
            problem = Problem(n, k, args.layers, args.width, args.heads, 4 * args.width)
            for threads in args.threads:
                running, expected = {}, None
                for name, make in candidates.items():
                    try:
                        call = make(problem, threads)
                        hidden = np.array(call())
                        expected = hidden if expected is None else expected
                        cosine, difference = agreement(expected, hidden) if len(hidden) < n else agreement(hidden, expected)
                        if not cosine >= (0.99 if "bf16" in name else 1 - 1e-6):
                            raise RuntimeError(f"computes something else: cosine {cosine:.7f}")
                        running[name] = (call, cosine, difference)
                    except Exception as failure:  # a peer that cannot is reported, not fatal
                        print(f"  {name}: left out: {failure}", file=sys.stderr)
                wall, cpu = {name: [] for name in running}, {name: [] for name in running}
                start = time.monotonic()
                for round_number in range(args.rounds + 1):  # one to warm up
                    if round_number > 3 and time.monotonic() - start > args.most_seconds:
                        break
                    for name, (call, _, _) in running.items():
                        time.sleep(0.02)  # threads of the last one may still be looking for work
                        begin, begin_cpu = time.perf_counter(), time.process_time()
                        call()
                        if round_number:
                            wall[name].append(time.perf_counter() - begin)
                            cpu[name].append(time.process_time() - begin_cpu)
                for name, (_, cosine, difference) in running.items():
                    mine = "linformer (C++), bf16" if "bf16" in name else "linformer (C++)"
                    pairs = lambda times: statistics.median(a / b for a, b in zip(times[name], times[mine]))
                    best = min(wall[name])
                    result["cells"].append({
                        "n": n, "k": k, "threads": threads, "name": name, "seconds": wall[name],
                        "cpu_seconds": cpu[name], "operations": problem.operations(), "cosine": cosine,
                        "difference": difference})
                    print(f"| {'linformer, k = ' + str(k) if k else 'softmax'} | {n} | {threads} | {name} "
                          f"| {best * 1e3:.1f} | {statistics.median(wall[name]) * 1e3:.1f} "
                          f"| {problem.operations() / best / 1e9:.0f} | {best / min(wall[mine]):.2f} "
                          f"| {pairs(wall):.2f} "
                          f"| {min(cpu[name]) / min(cpu[mine]):.2f} | {pairs(cpu):.2f} | {cosine:.7f} | {difference:.1e} |", flush=True)
                running.clear()
    with open(args.output, "w", encoding="utf-8") as out:
        json.dump(result, out, indent=1)


if __name__ == "__main__":
    main()
