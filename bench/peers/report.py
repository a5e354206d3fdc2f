#!/usr/bin/env python3
"""Turns the JSON of peers.py into a table and, with --plot FILE.svg, a plot: how many times as long each peer takes."""

import argparse
import json
import math
from collections import defaultdict

OURS = "linformer (C++)"


def label(cell):
    return cell["name"] + (f", {cell['order']}" if cell["order"] else "")


def rival(name):
    """Whom a peer is measured against: our layer of the same mechanism and precision."""
    return OURS + (", bf16" if name.endswith("bf16") else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json")
    parser.add_argument("--plot")
    args = parser.parse_args()
    with open(args.json, encoding="utf-8") as file:
        data = json.load(file)
    groups = defaultdict(dict)
    for cell in data["cells"]:
        groups[tuple(cell[key] for key in ("width", "n", "k", "batch", "threads"))][label(cell), cell["mechanism"]] = cell

    processor = data["processor"]
    print(f"{processor['model name']} (family {processor['cpu family']}, model {processor['model']}), our path "
          f"{data['isa']}; " + ", ".join(f"{name} {version}" for name, version in data["versions"].items()) + ".\n")
    ratios = defaultdict(list)
    for mechanism, title in (("linformer", "Linformer attention"), ("softmax", "Softmax attention")):
        ours = OURS if mechanism == "linformer" else OURS + ", tiled softmax"
        names = sorted({name for group in groups.values() for name, m in group if m == mechanism and name != ours})
        rows = [(key, group) for key, group in sorted(groups.items()) if (ours, mechanism) in group]
        if not rows:
            continue
        print(f"## {title}: milliseconds, best (how many times ours in float takes; medians' ratio)\n")
        print("| D | n | k | batch | threads | " + " | ".join([ours] + names) + " |")
        print("|--:" * 5 + "|--:" * (len(names) + 1) + "|")
        for key, group in rows:
            mine = group[ours, mechanism]
            line = [f"{mine['best_ms']:.3g}"]
            for name in names:
                cell = group.get((name, mechanism))
                if cell is None:
                    line.append("")
                    continue
                best, median = cell["best_ms"] / mine["best_ms"], cell["median_ms"] / mine["median_ms"]
                ratios[mechanism, name].append((best, median, key))
                line.append(f"{cell['best_ms']:.3g} ({best:.2f}×; {median:.2f}×)")
            shape = [str(part) for part in key]
            print("| " + " | ".join(shape + line) + " |")
        print()
    print("## Over all cells: how many times ours takes, best against best\n")
    print("| | geometric mean | least | where |\n|--|--:|--:|--|")
    for (mechanism, name), values in ratios.items():
        mean = math.exp(sum(math.log(best) for best, _, _ in values) / len(values))
        least = min(values)
        width, n, k, batch, threads = least[2]
        print(f"| {name} ({mechanism}) | {mean:.2f}× | {least[0]:.2f}× | n = {n:,}, k = {k}, D = {width}, batch {batch}, "
              f"{threads} thread{'s' if threads > 1 else ''} |")
    rivals = [name for mechanism, name in ratios if mechanism == "linformer" and "bf16" not in name]
    best_of = []
    for group in groups.values():
        others = [group[name, "linformer"]["best_ms"] for name in rivals if (name, "linformer") in group]
        if others and (OURS, "linformer") in group:
            best_of.append(min(others) / group[OURS, "linformer"]["best_ms"])
    if best_of:
        mean = math.exp(sum(map(math.log, best_of)) / len(best_of))
        print(f"| the best peer of each cell, float | {mean:.2f}× | {min(best_of):.2f}× | {len(best_of)} cells |")

    if args.plot:
        plot(groups, args.plot)


def plot(groups, path):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "linformer"
    import matplotlib.pyplot as plt

    chosen = {key: group for key, group in groups.items() if key[3] == 1 and key[4] == 1}
    width = min(key[0] for key in chosen)
    k = max(key[2] for key in chosen)
    lines = defaultdict(list)
    for (w, n, cell_k, _, _), group in sorted(chosen.items()):
        if w != width or cell_k != k:
            continue
        for (name, mechanism), cell in group.items():
            lines[name + (" softmax" if mechanism == "softmax" and "softmax" not in name else "")].append((n, cell["best_ms"]))
    figure, axes = plt.subplots(figsize=(8, 5.5))
    for name, points in sorted(lines.items()):
        ours = name.startswith(OURS)
        axes.plot(*zip(*points), marker="o", markersize=3, linewidth=2.2 if ours else 1, label=name,
                  linestyle="-" if "softmax" not in name else "--")
    axes.set(xscale="log", yscale="log", xlabel="n, tokens", ylabel="milliseconds, best",
             title=f"One attention layer, D = {width}, k = {k}, one thread")
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(fontsize=7, ncol=2)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
