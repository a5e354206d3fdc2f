#!/usr/bin/env python3
"""Pictures of what scripts/scale_model.py wrote: scripts/plot_scale.py scale.json [--output DIR]

Writes collectives.svg (where measurements are in the file), data_parallel.svg and sequence_parallel.svg. Needs matplotlib.
"""

import argparse
import json
import pathlib
import sys

COLOURS = {"10 Gbit/s": "#c8361d", "100 Gbit/s": "#ec9a29", "400 Gbit/s": "#1f66ab"}
METHODS = (("linformer", "Linformer, all-reduce of E·X", "#1f66ab"),
           ("all_gather", "softmax, K and V gathered", "#ec9a29"), ("ring", "softmax, Ring Attention", "#c8361d"))


def panels(pyplot, count, title, subtitle):
    figure, axes = pyplot.subplots(1, count, figsize=(1.2 + 4.8 * count, 4.6), layout="constrained", squeeze=False)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12, rect=(0, 0, 1, 0.87))
    figure.text(0.012, 0.945, title, fontsize=14, fontweight="bold", va="center")
    figure.text(0.012, 0.885, subtitle, fontsize=10, color="#5f6368", va="center")
    for axis in axes[0]:
        axis.grid(color="#e4e6e9", linewidth=0.8)
        axis.set_axisbelow(True)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    return figure, list(axes[0])


def powers_of_two(axis, values, ticks=None):
    axis.set_xscale("log", base=2)
    ticks = ticks or values
    axis.set_xticks(ticks, [f"{value:,}" for value in ticks])
    axis.set_xlim(min(values) / 1.1, max(values) * 1.1)


def collectives(pyplot, measured):
    figure, (axis,) = panels(pyplot, 1, "All-reduce, measured", f"{measured['ranks']} processes of one machine")
    entries = measured["all_reduce"]
    sizes = [entry["bytes"] for entry in entries]
    axis.loglog(sizes, [entry["seconds"] for entry in entries], "o", color="#1f66ab", label="median")
    axis.loglog(sizes, [entry["fitted"] for entry in entries], color="#c8361d", label="α + β·bytes, fitted")
    axis.set_xlabel("bytes")
    axis.set_ylabel("seconds")
    axis.legend(frameon=False)
    return figure


def by_network(axis, rows, value):
    for name, colour in COLOURS.items():
        chosen = [row for row in rows if row["network"] == name]
        ranks = [row["ranks"] for row in chosen]
        axis.plot(ranks, [value(row, row["seconds"]) for row in chosen], "o-", color=colour, markersize=4, label=name)
        axis.plot(ranks, [value(row, row["formula"]) for row in chosen], "--", color=colour, linewidth=1)
    powers_of_two(axis, ranks)
    axis.set_xlabel("ranks")


def share_of_ideal(axis, rows, ideal):
    by_network(axis, rows, lambda row, seconds: ideal(row) / seconds)
    axis.set_ylim(0, 1.05)
    axis.yaxis.set_major_formatter("{x:.0%}")


def data_parallel(pyplot, result):
    figure, (weak, strong) = panels(
        pyplot, 2, "Data-parallel training: share of the ideal speed",
        "lines: every message simulated, ranks unequally fast; dashed: by formula, all equally fast")
    tokens = result["assumptions"]
    share_of_ideal(weak, result["weak"], lambda row: row["one_rank"])
    weak.set_title(f"{tokens['tokens_a_rank']:,.0f} tokens a rank and step", loc="left", fontsize=11)
    share_of_ideal(strong, result["strong"], lambda row: row["one_rank"] / row["ranks"])
    strong.set_title(f"{tokens['batch_tokens']:,.0f} tokens a step, shared out", loc="left", fontsize=11)
    strong.legend(frameon=False, loc="lower left")
    return figure


def sequence_parallel(pyplot, result):
    network, ranks = "100 Gbit/s", 64 if any(row["ranks"] == 64 for row in result["communication"]) else \
        result["communication"][-1]["ranks"]
    figure, (sent, speed) = panels(
        pyplot, 2, "A sequence shared out among ranks",
        "lines right: every message simulated, ranks unequally fast; dashed: by formula, all equally fast")
    rows = [row for row in result["communication"] if row["network"] == network and row["ranks"] == ranks]
    lengths = [row["n"] for row in rows]
    for key, name, colour in METHODS:
        sent.plot(lengths, [1e3 * row[key]["seconds"] for row in rows], "o-", color=colour, markersize=4, label=name)
    sent.set_yscale("log")
    powers_of_two(sent, lengths, lengths[::4])
    sent.set_xlabel("n")
    sent.set_ylabel("milliseconds")
    sent.set_title(f"Messages of a layer's attention and its gradient, {ranks} ranks, {network}", loc="left", fontsize=10)
    sent.legend(frameon=False)
    by_network(speed, result["sequence"], lambda row, seconds: row["one_rank"] / seconds)
    speed.plot(*2 * [[row["ranks"] for row in result["sequence"]]], color="#80868b", linewidth=1)
    speed.set_yscale("log", base=2)
    speed.set_yticks(*2 * [sorted({row["ranks"] for row in result["sequence"]})])
    speed.set_title(f"Times faster than one rank, n = {result['assumptions']['sequence_tokens']:,.0f}", loc="left",
                    fontsize=10)
    speed.legend(frameon=False, loc="upper left")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=pathlib.Path, metavar="scale.json")
    parser.add_argument("--output", metavar="DIR", type=pathlib.Path, default=pathlib.Path("."))
    arguments = parser.parse_args()
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        sys.exit("plot_scale.py: needs matplotlib (apt install python3-matplotlib, or pip install matplotlib)")
    matplotlib.rcParams.update({"svg.hashsalt": "linformer", "axes.edgecolor": "#80868b", "xtick.color": "#3c4043",
                                "ytick.color": "#3c4043", "axes.labelcolor": "#3c4043"})
    try:
        result = json.loads(arguments.result.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"plot_scale.py: {arguments.result}: {error}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    figures = {"data_parallel": data_parallel(pyplot, result), "sequence_parallel": sequence_parallel(pyplot, result)}
    if result["measured"]:
        figures["collectives"] = collectives(pyplot, result["measured"])
    for name, figure in figures.items():
        path = arguments.output / f"{name}.svg"
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
