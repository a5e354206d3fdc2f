#!/usr/bin/env python3
"""A training step of a masked language model beside the same model in PyTorch, in one interleaved run.

Four layers, D = 256, h = 4, vocabulary 8,192, 15 % of tokens masked and logits at masked positions only on both sides,
dropout 0.1 everywhere RoBERTa has it, clipping, fused AdamW. Linformer with key-value sharing at k = 128 against the
same, and softmax against scaled_dot_product_attention. Tokens are drawn at random: only time is compared; that both
learn shows in the losses, which start at log(8192) = 9.01 on either side and fall alike on one repeated batch.

    bench/peers/run.sh --training [--output FILE.json]      # makes the environment, builds, runs this
"""

import argparse
import ctypes
import json
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from peers import processor, versions

LAYERS, WIDTH, HEADS, VOCABULARY, PROJECTED, DROPOUT = 4, 256, 4, 8192, 128, 0.1


class Attention(nn.Module):
    def __init__(self, n, linformer):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.e = nn.Parameter(torch.randn(PROJECTED, n) / n**0.5) if linformer else None

    def forward(self, x):
        heads = lambda t: t.view(t.shape[0], t.shape[1], HEADS, -1).transpose(1, 2)
        if self.e is None:
            k, v = self.key(x), self.value(x)
        else:  # reassociated by hand: project the sequence once
            p, ones = self.e @ x, self.e.sum(dim=1, keepdim=True)
            k = p @ self.key.weight.T + ones * self.key.bias
            v = p @ self.value.weight.T + ones * self.value.bias
        y = F.scaled_dot_product_attention(heads(self.query(x)), heads(k), heads(v),
                                           dropout_p=DROPOUT if self.training else 0.0)
        return self.output(y.transpose(1, 2).reshape(x.shape))


class Layer(nn.Module):
    def __init__(self, n, linformer):
        super().__init__()
        self.attention = Attention(n, linformer)
        self.inner, self.outer = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, x):
        x = self.norm1(x + self.drop(self.attention(x)))
        return self.norm2(x + self.drop(self.outer(F.gelu(self.inner(x)))))


class Model(nn.Module):
    def __init__(self, n, linformer):
        super().__init__()
        self.words, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(n, WIDTH)
        self.norm, self.drop = nn.LayerNorm(WIDTH), nn.Dropout(DROPOUT)
        self.layers = nn.ModuleList(Layer(n, linformer) for _ in range(LAYERS))
        self.dense, self.head_norm = nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)
        self.bias = nn.Parameter(torch.zeros(VOCABULARY))
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, ids, chosen, labels):
        x = self.drop(self.norm(self.words(ids) + self.positions.weight[None, : ids.shape[1]]))
        for layer in self.layers:
            x = layer(x)
        x = x.reshape(-1, WIDTH)[chosen]
        logits = self.head_norm(F.gelu(self.dense(x))) @ self.words.weight.T + self.bias
        return F.cross_entropy(logits, labels)


def torch_run(n, batch, linformer, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = Model(n, linformer).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01, fused=True)

    def step(ids):
        torch.set_num_threads(threads)
        ids = torch.from_numpy(ids.astype(np.int64)).view(batch, n)
        draw = torch.rand(ids.shape)
        selected = draw < 0.15
        hidden = torch.where(draw < 0.12, torch.full_like(ids, 4),
                             torch.where(draw < 0.135, torch.randint_like(ids, 5, VOCABULARY), ids))
        hidden = torch.where(selected, hidden, ids)
        chosen = selected.view(-1).nonzero().squeeze(1)
        loss = model(hidden, chosen, ids.view(-1)[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


def our_run(library, n, batch, linformer, threads):
    run = library.linformer_training_create(n, LAYERS, WIDTH, HEADS, VOCABULARY, PROJECTED, int(not linformer), threads,
                                            batch, DROPOUT)
    if not run:
        raise RuntimeError("the library refused the configuration")

    class Step:
        def __call__(self, ids):
            return library.linformer_training_step(run, ids.ctypes.data)

        def __del__(self):
            library.linformer_training_destroy(run)

    return Step()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, help="ours_training.cpp, compiled")
    parser.add_argument("--shapes", default="512x16,2048x4", help="sequence length x batch")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--steps", type=int, default=6, help="timed steps of each, in turns")
    parser.add_argument("--output", default="training.json")
    args = parser.parse_args()
    library = ctypes.CDLL(args.library)
    library.linformer_training_create.restype = ctypes.c_void_p
    library.linformer_training_create.argtypes = [ctypes.c_long] * 6 + [ctypes.c_int] * 2 + [ctypes.c_long, ctypes.c_double]
    library.linformer_training_step.restype = ctypes.c_double
    library.linformer_training_step.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.linformer_training_destroy.argtypes = [ctypes.c_void_p]

    result = {"versions": versions(), "processor": processor(), "cells": []}
    print("| attention | n | batch | threads | PyTorch tokens/s | ours tokens/s | ratio of best | of median | losses |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|---|")
    for threads in map(int, args.threads.split(",")):
        for shape in args.shapes.split(","):
            n, batch = map(int, shape.split("x"))
            ids = np.random.default_rng(n).integers(5, VOCABULARY, n * batch).astype(np.int32)
            for linformer in (True, False):
                runs = {"PyTorch": torch_run(n, batch, linformer, threads),
                        "ours": our_run(library, n, batch, linformer, threads)}
                times, losses = {name: [] for name in runs}, {name: [] for name in runs}
                for step in range(args.steps + 2):  # two to warm up
                    for name, run in runs.items():
                        begin = time.perf_counter()
                        losses[name].append(run(ids))
                        if step >= 2:
                            times[name].append(time.perf_counter() - begin)
                cell = {"attention": "linformer" if linformer else "softmax", "n": n, "batch": batch,
                        "threads": threads, "losses": losses, "seconds": times}
                result["cells"].append(cell)
                best = {name: min(taken) for name, taken in times.items()}
                median = {name: statistics.median(taken) for name, taken in times.items()}
                rate = {name: n * batch / taken for name, taken in best.items()}
                print(f"| {cell['attention']} | {n} | {batch} | {threads} | {rate['PyTorch']:,.0f} | {rate['ours']:,.0f} "
                      f"| {best['PyTorch'] / best['ours']:.2f} | {median['PyTorch'] / median['ours']:.2f} "
                      f"| {losses['PyTorch'][0]:.2f} → {losses['PyTorch'][-1]:.2f}, "
                      f"{losses['ours'][0]:.2f} → {losses['ours'][-1]:.2f} |", flush=True)
    with open(args.output, "w", encoding="utf-8") as out:
        json.dump(result, out, indent=1)


if __name__ == "__main__":
    main()
