#!/usr/bin/env python3
"""Tables and plots of attention_benchmark's or encoder_benchmark's JSON: scripts/report.py JSON… [--output DIR]

Prints the comparison in the form of the Linformer paper's Table 3, the paper's own figures beside ours, and the growth
exponents. With --output, writes report.md, and time and memory against n as SVG and PNG (these need matplotlib).
"""

import argparse
import json
import math
import pathlib
import statistics
import sys

# Table 3 of Wang et al. 2020 (arXiv 2006.04768): n -> (time, memory) as multiples of the Transformer's, k = 128, 256, …
PAPER_LENGTHS = (128, 256, 512, 1024, 2048)
PAPER = {
    512: ((1.5, 1.7), (1.3, 1.5)),
    1024: ((1.7, 3.0), (1.6, 2.9), (1.3, 1.8)),
    2048: ((2.6, 6.1), (2.4, 5.6), (2.1, 3.6), (1.3, 2.0)),
    4096: ((3.4, 14), (3.2, 13), (2.8, 8.3), (2.2, 4.3), (1.3, 2.3)),
    8192: ((5.5, 28), (5.0, 26), (4.4, 17), (3.5, 8.5), (2.1, 4.5)),
    16384: ((8.6, 56), (7.8, 48), (7.0, 32), (5.6, 16), (3.3, 8)),
    32768: ((13, 56), (12, 48), (11, 36), (8.8, 18), (5.0, 16)),
    65536: ((20, 60), (18, 52), (16, 40), (14, 20), (7.9, 18)),
}
BASELINES = {"softmax": "softmax, materialised", "softmax_tiled": "softmax, tiled"}
BELOW = "▼"

DIFFERENCES = f"""\
How this differs from the paper's measurement: the paper times a whole model on a 16 GiB V100 GPU, all heads at once,
with the largest batch that fits, and gives memory as the ratio of those batches. Here it is one attention layer
(query, key, value and output products included), forward, on a CPU, one sequence at a time, and materialised softmax
holds the n × n scores of one head at a time: this favours the baseline in memory, by up to the number of heads.
Memory is the high-water mark of what a call with fresh scratch memory allocates; input, output and weights (E and F
among them, k × n each) are not in it. Where there was one repetition, it was one cold call, which favours Linformer by
the few per cent that first touching new memory takes. {BELOW} marks a speedup that does not exceed the paper's."""
DIFFERENCES_OF_ENCODER = f"""\
The paper times a whole model on a 16 GiB V100 GPU, with the largest batch that fits, and gives memory as the ratio of
those batches. Here it is a whole encoder on a CPU, one sequence at a time. Memory is the high-water mark of what the
first call allocates; weights, their gradients and moments are not in it. {BELOW} marks a speedup that does not exceed
the paper's: in a whole model the feed-forward layers, whose cost no attention changes, count on both sides, the more the
wider the model is beside n."""


class Cell:
    """The runs of one mechanism at one n, and k where there is one."""

    def __init__(self):
        self.seconds, self.memory, self.projections, self.peak_fraction = [], [], 0, []

    def add(self, run):
        self.seconds.append(run["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}[run["time_unit"]])
        self.memory.append(run.get("working_bytes", math.nan))
        self.projections = run["projection_bytes"]
        self.peak_fraction.append(run["peak_fraction"])

    best = property(lambda self: min(self.seconds))
    median = property(lambda self: statistics.median(self.seconds))
    bytes = property(lambda self: max(self.memory))


class Results:
    """Cells by series, a mechanism with its sharing and k, and by n."""

    def __init__(self, paths):
        runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        self.context = runs[0]["context"]
        for key in ("cpu", "compiler", "threads", "model_width", "heads", "projection", "order", "subject"):
            if any(run["context"].get(key) != self.context.get(key) for run in runs):
                sys.exit(f"report.py: {key} differs between the files, so their runs cannot be put together")
        self.series = {}  # (mechanism, sharing or None, k or None) -> {n: Cell}
        self.missing = []
        busy = []
        for run in (run for data in runs for run in data["benchmarks"]):
            mechanism, *arguments = run["name"].split("/")
            named = dict(argument.split(":") for argument in arguments if ":" in argument)
            if run.get("error_occurred"):
                self.missing.append(f"{mechanism} {' '.join(arguments)}: {run['error_message']}")
                continue
            k = int(named["k"]) if "k" in named else None
            cells = self.series.setdefault((mechanism, named.get("sharing"), k), {})
            cells.setdefault(int(named["n"]), Cell()).add(run)
            busy.append(run["cpu_time"] / run["real_time"])
        self.cpu_share = statistics.mean(busy) if busy else 1

    def baseline(self, name):
        return self.series.get((name, None, None), {})

    def linformers(self, sharing):
        found = {k: cells for (_, s, k), cells in self.series.items() if k and s == sharing}
        return dict(sorted(found.items()))

    sharings = property(lambda self: list(dict.fromkeys(s for _, s, _ in self.series if s)))
    lengths = property(lambda self: sorted({n for cells in self.series.values() for n in cells}))


def short(value):
    """Two significant digits, as the paper has them."""
    if math.isnan(value):
        return "?"
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def in_words(sharing):
    return {"none": "no"}.get(sharing, sharing.replace("_", "-"))


def duration(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def size(count):
    if math.isnan(count):
        return "?"
    power = min(4, int(math.log(max(count, 1), 1024) + 1e-9))
    value = count / 1024**power
    return f"{value:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def markdown_table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths)) + " |" for row in [head, *rows]]
    lines.insert(1, "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|")
    return "\n".join(lines)


def ratio_tables(results, sharing):
    """Ours against each baseline, in the form of the paper's Table 3."""
    parts = []
    linformers = results.linformers(sharing)
    for baseline, title in BASELINES.items():
        beside_paper = baseline == "softmax"
        rows, beaten, compared = [], 0, 0
        for n in results.lengths:
            row = [f"{n:,}"]
            for k, cells in linformers.items():
                paper = dict(zip(PAPER_LENGTHS, PAPER.get(n, ()))).get(k) if beside_paper else None
                text, mark = "—" if k < n else "", ""
                if n in cells and n in results.baseline(baseline):
                    ours, theirs = cells[n], results.baseline(baseline)[n]
                    speedup = theirs.best / ours.best
                    text = f"{short(speedup)}× / {short(theirs.bytes / ours.bytes)}×"
                    if paper:
                        compared += 1
                        beaten += speedup > paper[0]
                        mark = "" if speedup > paper[0] else " " + BELOW
                if paper:
                    text += f" (paper {short(paper[0])} / {short(paper[1])}){mark}"
                row.append(text)
            if any(cell.strip("—") for cell in row[1:]):
                rows.append(row)
        if not rows:
            continue
        parts.append(f"### Linformer, {in_words(sharing)} sharing, against {title}: time saved / memory saved\n")
        parts.append(markdown_table(["n", *(f"k = {k:,}" for k in linformers)], rows) + "\n")
        if beside_paper and compared:
            parts.append(f"Faster than the paper's figure in {beaten} of the {compared} cells measured.\n")
    return parts


def series_name(key):
    mechanism, sharing, k = key
    return BASELINES.get(mechanism) or f"Linformer, {in_words(sharing)} sharing, k = {k:,}"


def ordered(results):
    """Baselines first, then by sharing and k."""
    order = [*BASELINES, "linformer"]
    return sorted(results.series.items(), key=lambda item: (order.index(item[0][0]), item[0][1] or "", item[0][2] or 0))


def measured_table(results):
    rows = []
    for key, cells in ordered(results):
        for n, cell in sorted(cells.items()):
            rows.append([series_name(key), f"{n:,}", duration(cell.best), duration(cell.median), str(len(cell.seconds)),
                         f"{100 * max(cell.peak_fraction):.0f} %", size(cell.bytes),
                         size(cell.projections) if cell.projections else ""])
    return markdown_table(["mechanism", "n", "best", "median", "repetitions", "of peak", "working memory", "E and F"],
                          rows)


def exponent(points):
    """Slope of the least-squares line through (log n, log value)."""
    logs = [(math.log(n), math.log(v)) for n, v in points]
    mean_n, mean_v = (statistics.mean(column) for column in zip(*logs))
    return sum((n - mean_n) * (v - mean_v) for n, v in logs) / sum((n - mean_n) ** 2 for n, _ in logs)


def exponent_table(results):
    rows = []
    for key, cells in ordered(results):
        quantities = [("time", 2048, lambda cell: cell.best), ("memory", 2048, lambda cell: cell.bytes)]
        if key[0] == "softmax":
            quantities.append(("memory", 8192, lambda cell: cell.bytes))
        for what, shortest, value in quantities:
            points = [(n, value(cell)) for n, cell in sorted(cells.items()) if n >= shortest and value(cell) > 0]
            if len(points) < 2:
                rows.append([series_name(key), what, "—", f"needs two lengths of {shortest:,} or more"])
                continue
            rows.append([series_name(key), what, f"{exponent(points):.3f}",
                         f"n = {points[0][0]:,} … {points[-1][0]:,} ({len(points)} points)"])
    return markdown_table(["mechanism", "quantity", "exponent", "fitted over"], rows)


def threads(context):
    return f"{context['threads']} thread{'' if context['threads'] == '1' else 's'}"


def report(results):
    context = results.context
    parts = ["# Linformer against softmax attention\n",
             f"{context.get('subject', 'One attention layer').capitalize()}. {context['cpu']}, {threads(context)}, "
             f"{context['scalar']}, D = {context['model_width']}, h = {context['heads']}, {context['projection']} projection, order {context['order']}. Multiply-add peak "
             f"measured in the same run: {float(context['peak_gflops']):.0f} GFLOP/s. {context['compiler']}, "
             f"Eigen {context['eigen']} ({context['instruction_sets']}). {context['date']}.\n"]
    if results.cpu_share < 0.9:
        parts.append(f"**The machine was busy**: the runs had the processor for {100 * results.cpu_share:.0f} % of "
                     "their time. Ratios of single cells may be far off.\n")
    parts.append("## In the form of the paper's Table 3\n")
    for sharing in results.sharings:
        parts += ratio_tables(results, sharing)
    parts += [(DIFFERENCES_OF_ENCODER if "subject" in context else DIFFERENCES) + "\n", "## Growth in n\n", "An exponent of 1 is O(n), of 2 O(n²). Times are the best "
              "repetition's.\n", exponent_table(results) + "\n", "## Measured\n", measured_table(results) + "\n"]
    tiled = results.baseline("softmax_tiled").get(4096)
    if tiled and "subject" not in context:
        rate = 4 * 4096**2 * int(context["model_width"]) / tiled.best / 1e9
        parts.append(f"Tiled softmax at n = 4,096, its 4·n²·D operations alone counted: {rate:.0f} GFLOP/s, "
                     f"{100 * rate / float(context['peak_gflops']):.0f} % of the multiply-add peak.\n")
    if results.missing:
        parts.append("Not measured:\n" + "\n".join(f"- {line}" for line in dict.fromkeys(results.missing)) + "\n")
    return "\n".join(parts)


def styles(results):
    """Baselines in warm colours, Linformer from light to dark blue as k grows, with dashes and marker by sharing."""
    blues = ("#9ecae1", "#6baed6", "#3f8fc5", "#1f66ab", "#0b3c78")
    lengths = sorted({k for _, _, k in results.series if k})
    lines = dict(zip(results.sharings, zip(("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1, 1.5))), "o^vX")))
    chosen = {("softmax", None, None): {"color": "#c8361d", "marker": "s"},
              ("softmax_tiled", None, None): {"color": "#ec9a29", "marker": "D"}}
    for key in results.series:
        if key[2]:
            rank = (lengths.index(key[2]) + 0.5 * (len(lengths) == 1)) / max(1, len(lengths) - 1)
            dashes, marker = lines[key[1]]
            chosen[key] = {"color": blues[round(rank * (len(blues) - 1))], "marker": marker, "linestyle": dashes}
    return chosen


def plot(results, matplotlib, pyplot, directory, name, quantity, value, unit_text):
    ticker = matplotlib.ticker
    figure, axes = pyplot.subplots(figsize=(9, 5.4), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    style = styles(results)
    extremes = []
    for key, cells in ordered(results):
        points = [(n, value(cell)) for n, cell in sorted(cells.items()) if value(cell) > 0]
        if not points:
            continue
        extremes += points
        text = series_name(key) if len(results.sharings) > 1 or not key[2] else f"Linformer, k = {key[2]:,}"
        axes.plot(*zip(*points), label=text, linewidth=2, markersize=5.5, markeredgecolor="white", markeredgewidth=0.7,
                  **style[key])
    if not extremes:
        return []
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2 if unit_text is size else 10)
    axes.yaxis.set_major_locator(ticker.LogLocator(base=2, numticks=99) if unit_text is size else
                                 ticker.LogLocator(base=10, subs=(1, 2, 5), numticks=99))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xticks(results.lengths)
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: unit_text(v)))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_ylim(min(v for _, v in extremes) / 1.6, max(v for _, v in extremes) * 1.6)
    # Slopes to compare with, as far as the plot reaches.
    (low, high), left, right = axes.get_ylim(), results.lengths[0], results.lengths[-1]
    start = 1.15 * low
    for power, text in ((1, "O(n)"), (2, "O(n²)")):
        end = min(right, left * (high / start) ** (1 / power))
        top = start * (end / left) ** power
        axes.plot((left, end), (start, top), color="#9aa0a6", linewidth=1.1, linestyle=(0, (1, 2.5)), zorder=0)
        axes.annotate(text, (end, top), xytext=(4, -12 if top > 0.9 * high else -3), textcoords="offset points",
                      color="#80868b", fontsize=9, annotation_clip=False)
    axes.set_ylim(low, high)
    context = results.context
    of = "an encoder" if "subject" in context else "attention"
    axes.set_title(f"{quantity} of {of} against sequence length", loc="left", fontsize=14, fontweight="bold",
                   pad=26)
    axes.text(0, 1.025, f"{context.get('subject', 'one layer')}, D = {context['model_width']}, h = {context['heads']}, fp32, "
              f"{threads(context)} of {context['cpu']}"
              + (f", {in_words(results.sharings[0])} sharing" if len(results.sharings) == 1 else ""),
              transform=axes.transAxes, color="#5f6368", fontsize=10)
    axes.set_xlabel("sequence length n (tokens)")
    axes.set_ylabel(f"{quantity.lower()} of a {'call' if 'subject' in context else 'forward call'}")
    axes.grid(which="major", color="#e4e6e9", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=10, labelspacing=0.8,
                handlelength=2.6)
    written = []
    for ending in ("svg", "png"):
        written.append(directory / f"{name}.{ending}")
        figure.savefig(written[-1], dpi=160, metadata={"Date": None} if ending == "svg" else None)
    pyplot.close(figure)
    return written


def write_plots(results, directory):
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
        import matplotlib.ticker
    except ImportError:
        print("Plots were skipped: matplotlib is not installed (apt install python3-matplotlib, or pip install "
              "matplotlib).", file=sys.stderr)
        return []
    matplotlib.rcParams.update({"svg.hashsalt": "linformer", "axes.edgecolor": "#80868b", "xtick.color": "#3c4043",
                                "ytick.color": "#3c4043", "axes.labelcolor": "#3c4043"})
    figures = (("time", "Time", lambda cell: cell.best, duration),
               ("memory", "Working memory", lambda cell: cell.bytes, size))
    return [path for figure in figures for path in plot(results, matplotlib, pyplot, directory, *figure)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", nargs="+", type=pathlib.Path,
                        help="output of attention_benchmark --benchmark_out=FILE; several files of one machine are put together")
    parser.add_argument("--output", metavar="DIR", type=pathlib.Path, help="write report.md and the plots there")
    arguments = parser.parse_args()
    try:
        results = Results(arguments.json)
    except OSError as error:
        sys.exit(f"report.py: {error}")
    except (ValueError, KeyError) as error:
        sys.exit(f"report.py: {arguments.json}: not attention_benchmark's JSON: {error}")
    if not results.series:
        sys.exit(f"report.py: {arguments.json}: no cell was measured")
    text = report(results)
    print(text)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        summary = arguments.output / "report.md"
        summary.write_text(text, encoding="utf-8")
        for path in [summary, *write_plots(results, arguments.output)]:
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
