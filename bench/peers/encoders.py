#!/usr/bin/env python3
"""A whole encoder beside what a user would pick instead, in one interleaved run of inference.

From token ids to the hidden states of the last layer: embeddings, learned positions, layer norms and exact GELU on
every side. Batches are of whole sequences. The weights are random, of RoBERTa-base's sizes (12 layers, D = 768, 12
heads, feed-forward 3,072; a vocabulary of 8,192, of which nothing but the rows looked up is read); or those of a BERT
of Hugging Face's, whose table of positions is repeated from its start where n is larger, as the program convert does.

    bench/peers/run.sh --encoder [--n 512,4096] [--batch 1] [--threads 1,2] [--output FILE.json]
    scripts/fetch_minilm.sh && bench/peers/run.sh --encoder --model build/minilm --n 128,512,4096 --batch 1,32

Softmax attention, and Linformer with key-value sharing, E a Gaussian draw, whose peers get the graph reassociated by
hand, (E·X)·W. All have the same weights and ids, and the hidden states of all rows are compared before anything is
timed. Peers that are not installed are left out, and the output says so.

All candidates of a cell, of both attentions, take turns, and a ratio is that of two turns of one round, so that what
disturbs one disturbs the other. Beside wall time stands CPU time, which with one thread leaves out what other programs
took of the core. At the end each cell of ours stands beside the best of the peers that compute the same, and Linformer
also beside the best at softmax attention, which is what a user would run otherwise.
"""

import argparse
import ctypes
import importlib.util
import itertools
import json
import math
import os
import statistics
import sys
import time

import numpy as np

from peers import processor, versions

OURS = "linformer (C++)"


class Model:
    """Weights by the names that Hugging Face and this library give them, and what they do not tell."""

    def __init__(self, name, weights, heads, epsilon):
        self.name, self.w, self.heads, self.epsilon = name, weights, heads, epsilon
        self.vocabulary, self.width = weights["embeddings.word_embeddings.weight"].shape
        self.token_types = len(weights.get("embeddings.token_type_embeddings.weight", ()))
        self.feed_forward = len(weights["encoder.layer.0.intermediate.dense.bias"])
        self.layers = sum(name.endswith("intermediate.dense.bias") for name in weights)

    @staticmethod
    def random(positions, layers, width, heads):
        rng = np.random.default_rng(1)
        draw = lambda *shape, scale: rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)
        w = {"embeddings.word_embeddings.weight": draw(8192, width, scale=0.5),
             "embeddings.position_embeddings.weight": draw(positions, width, scale=0.5)}

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
            dense(at + "intermediate.dense", 4 * width, width)
            dense(at + "output.dense", width, 4 * width)
            norm(at + "output.LayerNorm")
        return Model("random", w, heads, 1e-5)

    @staticmethod
    def read(folder):
        """BERT as scripts/fetch_minilm.sh puts it there; a head is left aside."""
        from safetensors.numpy import load_file

        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        if (config["model_type"], config["hidden_act"]) != ("bert", "gelu"):
            raise RuntimeError(f"{folder}: expected a BERT with exact GELU")
        w = {name: values for name, values in load_file(os.path.join(folder, "model.safetensors")).items()
             if name.startswith(("embeddings.", "encoder.")) and name != "embeddings.position_ids"}
        return Model(config.get("_name_or_path", folder), w, config["num_attention_heads"], config["layer_norm_eps"])


class Problem:
    """Token ids, batch × n, and the model with a table of n positions and, unless k = 0, projections."""

    def __init__(self, model, n, batch, k):
        self.model, self.n, self.batch, self.k = model, n, batch, k
        self.ids = np.random.default_rng(n).integers(0, model.vocabulary, (batch, n)).astype(np.int32)
        positions = model.w["embeddings.position_embeddings.weight"]
        self.w = model.w | {"embeddings.position_embeddings.weight": np.resize(positions, (n, model.width))}
        rng = np.random.default_rng(k)
        for layer in range(model.layers if k else 0):
            e = rng.standard_normal((k, n), dtype=np.float32) * np.float32(n**-0.5)
            self.w[f"projections.{layer}.weight"] = e

    def added_embeddings(self):
        """What does not depend on ids, n × D: positions, and the first type of tokens."""
        types = self.w.get("embeddings.token_type_embeddings.weight", np.zeros((1, 1), np.float32))
        return self.w["embeddings.position_embeddings.weight"] + types[0]

    def operations(self):
        """Of the layers, in the reassociated order, a multiply-add counted as two."""
        n, k, d, f = self.n, self.k, self.model.width, self.model.feed_forward
        linformer = 4 * n * d * d + 2 * k * n * d + 4 * k * d * d + 4 * n * k * d
        attention = linformer if k else 8 * n * d * d + 4 * n * n * d
        return self.model.layers * self.batch * (attention + 4 * n * d * f)


# A candidate is a function make(problem, threads) that returns one of no argument, which computes the hidden states, a
# row a token.


def ours(library, bf16=False, first=False):
    def make(problem, threads):
        wanted = dict(problem.w)

        @ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.POINTER(ctypes.c_float), ctypes.c_long)
        def read(name, values, count):
            np.ctypeslib.as_array(values, shape=(count,))[...] = wanted.pop(name.decode()).ravel()

        n, batch, its = problem.n, problem.batch, problem.model
        model = library.linformer_encoder_create(
            n, batch, its.layers, its.width, its.heads, its.feed_forward, its.vocabulary, its.token_types, problem.k,
            its.epsilon, int(bf16), int(first), threads, read)
        if not model or wanted:
            raise RuntimeError(f"the library refused the configuration, or has no {list(wanted)}")
        np.ctypeslib.as_array(library.linformer_encoder_ids(model), shape=(batch, n))[...] = problem.ids
        hidden = np.ctypeslib.as_array(library.linformer_encoder_hidden(model),
                                       shape=(batch if first else batch * n, its.width))

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
    library.linformer_encoder_create.argtypes = ([ctypes.c_long] * 9 + [ctypes.c_double] + [ctypes.c_int] * 3
                                                  + [ctypes.c_void_p])
    library.linformer_encoder_ids.restype = ctypes.POINTER(ctypes.c_int32)
    library.linformer_encoder_hidden.restype = ctypes.POINTER(ctypes.c_float)
    library.linformer_encoder_isa.restype = ctypes.c_char_p
    for name in ("ids", "hidden", "forward", "destroy"):
        getattr(library, "linformer_encoder_" + name).argtypes = [ctypes.c_void_p]
    return library


def onnx_model(problem):
    """The encoder as an ONNX graph: input ids (batch, n), output hidden (batch, n, D)."""
    from onnx import TensorProto, helper, numpy_helper

    width, h, shape = problem.model.width, problem.model.heads, list(problem.ids.shape)
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
        return node("LayerNormalization", [x, weight(name + ".weight"), weight(name + ".bias")], axis=-1,
                    epsilon=problem.model.epsilon)

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
                     constant("added", problem.added_embeddings())])
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(problem.model.layers):
        at = f"encoder.layer.{layer}."
        x = norm(node("Add", [x, attention(x, layer)]), at + "attention.output.LayerNorm")
        inner = node("Gelu", [dense(x, at + "intermediate.dense")])
        x = norm(node("Add", [x, dense(inner, at + "output.dense")]), at + "output.LayerNorm")
    nodes.append(helper.make_node("Identity", [x], ["hidden"]))
    graph = helper.make_graph(nodes, "encoder", [helper.make_tensor_value_info("ids", TensorProto.INT32, shape)],
                              [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape + [width])],
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
    hidden = np.empty((*problem.ids.shape, problem.model.width), np.float32)
    binding = session.io_binding()  # so that nothing is allocated or copied in a timed call
    binding.bind_cpu_input("ids", problem.ids)
    binding.bind_ortvalue_output("hidden", onnxruntime.OrtValue.ortvalue_from_numpy(hidden))

    def call():
        session.run_with_iobinding(binding)
        return hidden.reshape(-1, hidden.shape[-1])

    return call


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
        request.set_input_tensor(openvino.Tensor(problem.ids, shared_memory=True))

        def call():
            request.infer()
            return request.get_output_tensor().data.reshape(-1, problem.model.width)

        return call

    return make


def torch_encoder(problem, threads):
    import torch
    import torch.nn.functional as F

    w = {name: torch.from_numpy(values) for name, values in problem.w.items()}
    ids, added = torch.from_numpy(problem.ids.astype(np.int64)), torch.from_numpy(problem.added_embeddings())
    linear = lambda x, name: F.linear(x, w[name + ".weight"], w[name + ".bias"])
    norm = lambda x, name: F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], problem.model.epsilon)
    heads = lambda t: t.unflatten(-1, (problem.model.heads, -1)).transpose(1, 2)

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
            x = norm(w["embeddings.word_embeddings.weight"][ids] + added, "embeddings.LayerNorm")
            for layer in range(problem.model.layers):
                at = f"encoder.layer.{layer}."
                x = norm(x + attention(x, layer), at + "attention.output.LayerNorm")
                inner = F.gelu(linear(x, at + "intermediate.dense"))
                x = norm(x + linear(inner, at + "output.dense"), at + "output.LayerNorm")
            return x.flatten(0, 1).numpy()

    return call


def agreement(actual, expected):
    """The least cosine of a row with ours, and the largest difference relative to the largest value."""
    if len(actual) < len(expected):  # of each sequence's first token alone
        expected = expected[:: len(expected) // len(actual)]
    a, b = actual.astype(np.float64), expected.astype(np.float64)
    cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return float(cosines.min()), float(np.abs(a - b).max() / np.abs(b).max())


class Runner:
    """A candidate that agreed with ours, and its turns."""

    def __init__(self, name, problem, call, turn_seconds, expected):
        begin = time.perf_counter()
        hidden = np.array(call())
        self.calls = max(1, math.ceil(turn_seconds / (time.perf_counter() - begin)))
        self.name, self.problem, self.call = name, problem, call
        self.hidden = hidden if expected is None else expected
        self.cosine, self.difference = agreement(hidden, self.hidden)
        if not self.cosine >= (0.99 if "bf16" in name else 1 - 1e-6):
            raise RuntimeError(f"computes something else: cosine {self.cosine:.7f}")
        self.wall, self.cpu = [], []

    def turn(self):
        # ONNX Runtime's threads go on looking for work: after 20 ms whoever came next still took up to 15 % longer.
        time.sleep(0.12)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        for _ in range(self.calls):
            self.call()
        self.wall.append((time.perf_counter() - begin) / self.calls)
        self.cpu.append((time.process_time() - begin_cpu) / self.calls)

    @property
    def attention(self):
        return f"linformer, k = {self.problem.k}" if self.problem.k else "softmax"

    def record(self, threads):
        return {"n": self.problem.n, "batch": self.problem.batch, "k": self.problem.k, "threads": threads,
                "name": self.name, "seconds": self.wall, "cpu_seconds": self.cpu, "calls_a_turn": self.calls,
                "operations": self.problem.operations(), "cosine": self.cosine, "difference": self.difference}


def pairs(times, others):
    return statistics.median(a / b for a, b in zip(times, others))


def start(candidates, problems, threads, turn_seconds):
    """Candidates that compute the same as the first of their attention, which is ours."""
    runners = []
    for problem in problems:
        expected = None
        for name, make in candidates.items():
            try:
                runner = Runner(name, problem, make(problem, threads), turn_seconds, expected)
                expected = runner.hidden
                runners.append(runner)
            except Exception as failure:  # a peer that cannot is reported, not fatal
                print(f"  {name}: left out: {failure}", file=sys.stderr)
    return runners


def take_turns(runners, rounds, most_seconds):
    begin = time.monotonic()
    for round_number in range(rounds):
        if round_number >= 3 and time.monotonic() - begin > most_seconds:
            break
        for runner in runners:
            runner.turn()


def print_rows(runners, threads):
    for runner in runners:
        mine = next(r for r in runners if r.problem is runner.problem
                    and r.name == OURS + (", bf16" if "bf16" in runner.name else ""))
        problem, best = runner.problem, min(runner.wall)
        print(f"| {runner.attention} | {problem.n} | {problem.batch} | {threads} | {runner.name} | {best * 1e3:.1f} "
              f"| {statistics.median(runner.wall) * 1e3:.1f} | {problem.operations() / best / 1e9:.0f} "
              f"| {best / min(mine.wall):.2f} | {pairs(runner.wall, mine.wall):.2f} "
              f"| {min(runner.cpu) / min(mine.cpu):.2f} | {pairs(runner.cpu, mine.cpu):.2f} | {runner.cosine:.7f} "
              f"| {runner.difference:.1e} |", flush=True)


def verdicts(runners, threads):
    """A row for each attention of ours in float and each attention of the peers that it is held against."""
    peers = [r for r in runners if OURS not in r.name and "bf16" not in r.name]
    for mine in (r for r in runners if r.name == OURS):
        for k in sorted({0, mine.problem.k}):
            rivals = [r for r in peers if r.problem.k == k]
            if not rivals:
                continue
            wall = min(rivals, key=lambda r: pairs(r.wall, mine.wall))
            cpu = min(rivals, key=lambda r: pairs(r.cpu, mine.cpu))
            yield (f"| {mine.attention} | {mine.problem.n} | {mine.problem.batch} | {threads} "
                   f"| {statistics.median(mine.wall) * 1e3:.1f} | {wall.attention} | {wall.name} "
                   f"| {statistics.median(wall.wall) * 1e3:.1f} | {pairs(wall.wall, mine.wall):.2f} "
                   f"| {cpu.name} | {pairs(cpu.cpu, mine.cpu):.2f} |")


def heading(*columns):
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = lambda text: [int(part) for part in text.split(",")]
    parser.add_argument("--library", required=True, help="ours_encoder.cpp, compiled")
    parser.add_argument("--model", help="folder of a BERT, as scripts/fetch_minilm.sh's; without, random weights")
    parser.add_argument("--n", type=numbers, default=[512, 4096])
    parser.add_argument("--batch", type=numbers, default=[1])
    parser.add_argument("--k", type=numbers, default=[0, 128], help="0 for softmax attention; left out unless below n")
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--most-tokens", type=int, default=16384, help="leave out cells of more tokens in all")
    parser.add_argument("--layers", type=int, default=12, help="of random weights, as the next two")
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--peers", default="OpenVINO,ONNX Runtime,PyTorch", help="which, of these and 'OpenVINO, bf16'")
    parser.add_argument("--bf16", action="store_true", help="ours in bf16 too, beside OpenVINO's")
    parser.add_argument("--first-token", action="store_true", help="ours for the first token's row alone too")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turn-seconds", type=float, default=0.1, help="of a turn, judged by the first call")
    parser.add_argument("--most-seconds", type=float, default=120, help="of a cell's rounds after the third")
    parser.add_argument("--output", default="encoders.json")
    args = parser.parse_args()

    library = load_ours(args.library)
    candidates = {OURS: ours(library)}
    if args.first_token:
        candidates[OURS + ", first token"] = ours(library, first=True)
    wanted = set(args.peers.split(","))
    if args.bf16:
        candidates[OURS + ", bf16"] = ours(library, bf16=True)
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

    model = Model.read(args.model) if args.model else Model.random(max(args.n), args.layers, args.width, args.heads)
    result = {"versions": versions(), "processor": processor(), "isa": library.linformer_encoder_isa().decode(),
              "weights": model.name, "layers": model.layers, "width": model.width, "heads": model.heads, "cells": []}
    cells = [cell for cell in itertools.product(args.n, args.batch, args.threads)
             if cell[0] * cell[1] <= args.most_tokens]
    heading("attention", "n", "batch", "threads", "who", "ms, best", "median", "GFLOP/s", "× ours: best",
            "median of pairs", "CPU: best", "median of pairs", "least cosine", "difference")
    told = []
    for n, batch, threads in cells:
        problems = [Problem(model, n, batch, k) for k in args.k if k < n]
        runners = start(candidates, problems, threads, args.turn_seconds)
        take_turns(runners, args.rounds, args.most_seconds)
        print_rows(runners, threads)
        told += verdicts(runners, threads)
        result["cells"] += [runner.record(threads) for runner in runners]
        with open(args.output + ".part", "w", encoding="utf-8") as out:
            json.dump(result, out, indent=1)
        os.replace(args.output + ".part", args.output)
    print()
    heading("ours", "n", "batch", "threads", "ms, median", "beside", "the best", "its ms", "× ours, median of pairs",
            "the best by CPU", "× ours")
    print("\n".join(told))


if __name__ == "__main__":
    main()
