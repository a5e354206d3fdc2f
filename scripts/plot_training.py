#!/usr/bin/env python3
"""Curves of training runs, and results of ablations: scripts/plot_training.py RUN… [--output DIR]

A RUN is a folder with log.jsonl, as pretrain, finetune and listops write it, such a log, or ablation's results.json.
Logs go into one picture, training.svg and .png: loss in training (a running mean) and on validation data, and
perplexity or accuracy where the logs have them. Each results.json makes a picture ablation.svg and .png. Of the file
that results.py wrote, accuracy after steps of healing is drawn: healing.svg and .png.
Needs matplotlib.
"""

import argparse
import json
import pathlib
import re
import statistics
import sys

COLOURS = ("#1f66ab", "#c8361d", "#ec9a29", "#2e8b57", "#7a4fa3", "#6baed6", "#8c6d31", "#5f6368")
# Entry of the log, title of its panel, whether its axis is logarithmic.
QUANTITIES = (("validation_loss", "Loss", False), ("perplexity", "Perplexity, validation", True),
              ("accuracy", "Accuracy, validation", False))


def read_log(path):
    """Entries of a log; a line that a run is just writing is left out."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return [entry for entry in entries if isinstance(entry, dict) and "step" in entry and "loss" in entry]


def read_runs(paths):
    """Logs as (name, entries), ablations as (name, cells), and scores of what was fine-tuned."""
    logs, ablations, scores = [], [], []
    for path in paths:
        if path.is_dir():
            path = path / ("log.jsonl" if (path / "log.jsonl").exists() else "results.json")
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            if "finetuning" in content:
                scores += content["finetuning"]
            else:
                ablations.append((path.resolve().parent.name, content["cells"]))
            continue
        entries = read_log(path)
        if not entries:
            sys.exit(f"plot_training.py: {path}: no step was logged")
        logs.append((path.resolve().parent.name, entries))
    return logs, ablations, scores


def running_mean(values, window):
    """Mean of the `window` values up to each."""
    means, total = [], 0.0
    for i, value in enumerate(values):
        total += value - (values[i - window] if i >= window else 0)
        means.append(total / min(i + 1, window))
    return means


def prepare(axes, title):
    axes.set_title(title, loc="left", fontsize=11, color="#3c4043")
    axes.set_xlabel("step")
    axes.grid(which="major", color="#e4e6e9", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def steps_axis(axes, matplotlib):
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))


def plain_logarithm(axis, matplotlib):
    ticker = matplotlib.ticker
    axis.set_major_locator(ticker.LogLocator(base=10, subs=(1, 1.5, 2, 3, 5, 7), numticks=99))
    axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:,.4g}"))
    axis.set_minor_locator(ticker.NullLocator())


def new_figure(pyplot, panels, title, subtitle, height=4.9):
    figure, axes = pyplot.subplots(1, panels, figsize=(1.6 + 4.6 * panels, height), layout="constrained", squeeze=False)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12, rect=(0, 0, 1, 0.87))
    figure.text(0.012, 0.945, title, fontsize=14, fontweight="bold", va="center")
    figure.text(0.012, 0.885, subtitle, fontsize=10, color="#5f6368", va="center")
    return figure, list(axes[0])


def write(figure, pyplot, directory, name):
    written = []
    for ending in ("svg", "png"):
        written.append(directory / f"{name}.{ending}")
        figure.savefig(written[-1], dpi=160, bbox_inches="tight", metadata={"Date": None} if ending == "svg" else None)
    pyplot.close(figure)
    return written


def plot_logs(logs, title, matplotlib, pyplot, directory, name):
    present = [(key, text, log) for key, text, log in QUANTITIES
               if key == "validation_loss" or any(key in entry for _, entries in logs for entry in entries)]
    window = max(1, max(len(entries) for _, entries in logs) // 50)
    figure, panels = new_figure(pyplot, len(present), title,
                                f"thin: in training, mean of {window} steps; with marks: on validation data")
    for run, (label, entries) in enumerate(logs):
        colour = COLOURS[run % len(COLOURS)]
        for axes, (key, _, _) in zip(panels, present):
            if key == "validation_loss":
                steps = [entry["step"] for entry in entries]
                axes.plot(steps, running_mean([entry["loss"] for entry in entries], window), color=colour, alpha=0.5,
                          linewidth=1.1, label=None if any(key in entry for entry in entries) else label)
            points = [(entry["step"], entry[key]) for entry in entries if key in entry]
            if points:
                axes.plot(*zip(*points), color=colour, linewidth=2, marker="o", markersize=4.5, markeredgecolor="white",
                          markeredgewidth=0.7, label=label)
    for axes, (key, text, logarithmic) in zip(panels, present):
        prepare(axes, text)
        steps_axis(axes, matplotlib)
        axes.set_xlim(left=0, right=1.03 * max(entries[-1]["step"] for _, entries in logs))
        if logarithmic:
            axes.set_yscale("log")
            plain_logarithm(axes.yaxis, matplotlib)
        elif key != "validation_loss":
            axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=None))
    if len(logs) > 1:
        figure.legend(*legend_of(panels), loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False,
                      fontsize=10)
    return write(figure, pyplot, directory, name)


def legend_of(panels):
    """Every name once, in the order of the runs."""
    named = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            named.setdefault(label, handle)
    return list(named.values()), list(named)


def size(count):
    return f"{count:,}" if count < 1e6 else f"{count / 1e6:.3g} M"


def plot_ablation(cells, title, matplotlib, pyplot, directory, name):
    """Left: mean of the seeds and their range against steps. Right: where each seed ended."""
    groups = {}
    for cell in cells:
        if cell.get("curve"):
            groups.setdefault(cell["configuration"], []).append(cell)
    if not groups:
        sys.exit(f"plot_training.py: {title}: no cell with an evaluation")
    seeds = max(len(group) for group in groups.values())
    figure, (curves, ends) = new_figure(
        pyplot, 2, title, "masked-language-model perplexity on validation data"
        + (f"; mean and range of {seeds} seeds" if seeds > 1 else ""),
        height=max(4.9, 1.5 + 0.5 * len(groups)))
    rows = list(groups.items())
    for i, (label, group) in enumerate(rows):
        colour = COLOURS[i % len(COLOURS)]
        at = {}
        for cell in group:
            for point in cell["curve"]:
                at.setdefault(point["step"], []).append(point["perplexity"])
        steps = sorted(at)
        curves.fill_between(steps, [min(at[s]) for s in steps], [max(at[s]) for s in steps], color=colour, alpha=0.15,
                            linewidth=0)
        curves.plot(steps, [statistics.mean(at[s]) for s in steps], color=colour, linewidth=2, marker="o", markersize=4,
                    markeredgecolor="white", markeredgewidth=0.7)
        finals = [cell["perplexity"] for cell in group]
        ends.plot(finals, [i] * len(finals), "o", color=colour, alpha=0.45, markersize=6, markeredgewidth=0)
        ends.plot(statistics.mean(finals), i, "|", color=colour, markersize=17, markeredgewidth=2.5)
    prepare(curves, "Perplexity against steps")
    curves.set_yscale("log")
    plain_logarithm(curves.yaxis, matplotlib)
    steps_axis(curves, matplotlib)
    prepare(ends, "Perplexity at the end, each seed and their mean")
    ends.set_xlabel("perplexity")
    ends.locator_params(axis="x", nbins=5)
    ends.set_yticks(range(len(rows)), [label for label, _ in rows])
    for tick, i in zip(ends.get_yticklabels(), range(len(rows))):
        tick.set_color(COLOURS[i % len(COLOURS)])
        tick.set_fontweight("bold")
    ends.set_ylim(len(rows) - 0.5, -0.5)
    for i, (_, group) in enumerate(rows):
        rate = statistics.median(cell["tokens_per_second"] for cell in group)
        ends.annotate(f"{size(group[0]['parameters'])} parameters, {rate:,.0f} tokens/s", (1, i),
                      xycoords=("axes fraction", "data"), xytext=(0, 9), textcoords="offset points", ha="right",
                      fontsize=8.5, color="#80868b")
    return write(figure, pyplot, directory, name)


def plot_healing(scores, title, matplotlib, pyplot, directory, name):
    """A panel for each study: accuracy against steps of healing, each seed and their mean, a line for each k and
    kind of projection."""
    studies = {}
    for score in scores:
        if score["task"].startswith("minilm_"):
            healed = re.fullmatch(r"(growing_)?k(\d+)-(\d+)", score["pretrained"])
            line = (int(healed[2]), bool(healed[1])) if healed else None
            study = studies.setdefault(score["task"], {})
            study.setdefault(line, {}).setdefault(int(healed[3]) if healed else 0, []).append(score["accuracy"])
    if not studies:
        sys.exit("plot_training.py: no score of a study of healing")
    figure, panels = new_figure(pyplot, len(studies), title,
                                "each seed and their mean; dashed, with its range: softmax attention")
    for axes, (study, lines) in zip(panels, studies.items()):
        softmax = [value for values in lines.pop(None, {}).values() for value in values]
        if softmax:
            axes.axhspan(min(softmax), max(softmax), color=COLOURS[-1], alpha=0.15, linewidth=0)
            axes.axhline(statistics.mean(softmax), color=COLOURS[-1], linestyle="--", label="softmax")
        for i, ((k, growing), at) in enumerate(sorted(lines.items())):
            for steps, values in at.items():
                axes.plot([steps] * len(values), values, "o", color=COLOURS[i], alpha=0.45, markersize=5,
                          markeredgewidth=0)
            axes.plot(sorted(at), [statistics.mean(at[steps]) for steps in sorted(at)], color=COLOURS[i], linewidth=2,
                      marker="o", markersize=4.5, markeredgecolor="white", markeredgewidth=0.7,
                      label=f"k = {k}" + (", growing pooling" if growing else ""))
        prepare(axes, study)
        axes.set_xlabel("steps of healing")
        axes.set_xscale("symlog", linthresh=100)
        axes.set_xticks(sorted({steps for at in lines.values() for steps in at}))
        axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=None))
        axes.legend(loc="best", frameon=False, fontsize=10)
    return write(figure, pyplot, directory, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUN", help="folder, log.jsonl or results.json")
    parser.add_argument("--label", action="append", default=[], help="name of a log in the legend, in their order; "
                        "else its folder's name")
    parser.add_argument("--title", help="above the picture")
    parser.add_argument("--output", metavar="DIR", type=pathlib.Path, default=pathlib.Path("."))
    parser.add_argument("--name", help="of the picture's files; default training, ablation or "
                        "healing")
    arguments = parser.parse_args()
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
        import matplotlib.ticker
    except ImportError:
        sys.exit("plot_training.py: needs matplotlib (apt install python3-matplotlib, or pip install matplotlib)")
    matplotlib.rcParams.update({"svg.hashsalt": "linformer", "axes.edgecolor": "#80868b", "xtick.color": "#3c4043",
                                "ytick.color": "#3c4043", "axes.labelcolor": "#3c4043"})
    try:
        logs, ablations, scores = read_runs(arguments.runs)
    except OSError as error:
        sys.exit(f"plot_training.py: {error}")
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"plot_training.py: not a log or a result of these programs: {error}")
    if len(arguments.label) > len(logs):
        sys.exit(f"plot_training.py: {len(arguments.label)} labels for {len(logs)} logs")
    logs = [(arguments.label[i] if i < len(arguments.label) else label, entries)
            for i, (label, entries) in enumerate(logs)]
    arguments.output.mkdir(parents=True, exist_ok=True)
    written = []
    if logs:
        title = arguments.title or (f"Training: {logs[0][0]}" if len(logs) == 1 else "Training")
        written += plot_logs(logs, title, matplotlib, pyplot, arguments.output, arguments.name or "training")
    for i, (label, cells) in enumerate(ablations):
        name = (arguments.name or "ablation") + (f"_{label}" if len(ablations) > 1 else "")
        written += plot_ablation(cells, arguments.title or f"Ablation: {label}", matplotlib, pyplot, arguments.output,
                                 name)
    if scores:
        written += plot_healing(scores, arguments.title or "Accuracy after healing", matplotlib, pyplot,
                                arguments.output, arguments.name or "healing")
    for path in written:
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
