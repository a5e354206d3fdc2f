#!/usr/bin/env python3
"""The paper's Figure 1 and what fixed projections add to it: scripts/plot_spectrum.py SPECTRUM.json… [--output DIR]

A SPECTRUM.json is what the program spectrum writes, and becomes one picture, spectrum_NAME.svg and .png, NAME being the
file's. Left: cumulative normalised singular values of P by layer. Middle: their value at one rank by layer and head.
Right: the error of P·V as one E and F leave it, for each k, beside that of each text's own best matrix of each rank.
Needs matplotlib.
"""

import argparse
import json
import pathlib
import sys

from plot_training import new_figure, prepare, write


def layer_colours(pyplot, count):
    """From the first layer to the last, dark to light."""
    return [pyplot.get_cmap("viridis")(0.9 * layer / max(count - 1, 1)) for layer in range(count)]


def plot_cumulative(axes, spectrum, colours):
    for layer, (its, colour) in enumerate(zip(spectrum["layers"], colours)):
        values = its["cumulative"]
        axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.8, label=f"layer {layer}")
    prepare(axes, "Cumulative singular values of P, by layer")
    axes.set_xlabel("rank r")
    axes.set_ylabel("share of the sum of all")
    axes.set_xlim(0, spectrum["sequence_length"])
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower right", frameon=False, fontsize=9)


def plot_heads(axes, figure, spectrum, rank):
    at = spectrum["ranks"].index(rank)
    values = [[head["cumulative"][at] for head in layer["heads"]] for layer in spectrum["layers"]]
    image = axes.imshow(values, cmap="viridis", aspect="auto", vmax=1)
    middle = (min(min(row) for row in values) + 1) / 2
    for layer, row in enumerate(values):
        for head, value in enumerate(row):
            axes.text(head, layer, f"{100 * value:.0f}", ha="center", va="center", fontsize=8,
                      color="black" if value > middle else "white")
    prepare(axes, f"Per cent at rank {rank}, by layer and head")
    axes.grid(False)
    axes.set_xlabel("head")
    axes.set_ylabel("layer")
    axes.set_xticks(range(len(values[0])))
    axes.set_yticks(range(len(values)))
    axes.invert_yaxis()
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)


def plot_errors(axes, matplotlib, spectrum, colours):
    for its, colour in zip(spectrum["layers"], colours):
        axes.plot(spectrum["projected_lengths"], its["projection_error"], color=colour, linewidth=1.8, marker="o",
                  markersize=4, markeredgecolor="white", markeredgewidth=0.7)
        errors = its["output_error"][1:]
        axes.plot(range(1, len(errors) + 1), errors, color=colour, linewidth=1.3, linestyle=(0, (4, 2)))
    advice = spectrum["advice"]
    kind = advice["start"] if advice["projection"] == "learned" else advice["projection"]
    for style, marker, label in (("-", "o", f"one E and F: {kind.replace('_', ' ')}"),
                                 ((0, (4, 2)), None, "each text's own best of that rank")):
        axes.plot([], [], color="#5f6368", linestyle=style, marker=marker, markersize=4, label=label)
    prepare(axes, "Error of P·V, relative, by layer")
    axes.set_xlabel("projected length k, or rank")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.set_ylim(0, max(1.02, 1.05 * max(max(its["projection_error"]) for its in spectrum["layers"])))
    axes.legend(loc="best", frameon=False, fontsize=9)


def plot(spectrum, rank, title, matplotlib, pyplot, directory, name):
    figure, panels = new_figure(
        pyplot, 3, title,
        f"n = {spectrum['sequence_length']}, {spectrum['texts']} texts, {spectrum['tokens']:,} tokens")
    colours = layer_colours(pyplot, len(spectrum["layers"]))
    plot_cumulative(panels[0], spectrum, colours)
    plot_heads(panels[1], figure, spectrum, rank)
    plot_errors(panels[2], matplotlib, spectrum, colours)
    return write(figure, pyplot, directory, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spectra", nargs="+", type=pathlib.Path, metavar="SPECTRUM.json")
    parser.add_argument("--rank", type=int, help="of the middle panel; default the last that the file has")
    parser.add_argument("--title", help="above the picture; default the model and the file's name")
    parser.add_argument("--output", metavar="DIR", type=pathlib.Path, default=pathlib.Path("."))
    arguments = parser.parse_args()
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
        import matplotlib.ticker
    except ImportError:
        sys.exit("plot_spectrum.py: needs matplotlib (apt install python3-matplotlib, or pip install matplotlib)")
    matplotlib.rcParams.update({"svg.hashsalt": "linformer", "axes.edgecolor": "#80868b", "xtick.color": "#3c4043",
                                "ytick.color": "#3c4043", "axes.labelcolor": "#3c4043"})
    arguments.output.mkdir(parents=True, exist_ok=True)
    for path in arguments.spectra:
        try:
            spectrum = json.loads(path.read_text(encoding="utf-8"))
            rank = arguments.rank or spectrum["ranks"][-1]
            if rank not in spectrum["ranks"]:
                sys.exit(f"plot_spectrum.py: {path}: has no rank {rank}, but {spectrum['ranks']}")
            title = arguments.title or f"Spectrum of attention: {pathlib.Path(spectrum['model']).name}, {path.stem}"
            written = plot(spectrum, rank, title, matplotlib, pyplot, arguments.output, f"spectrum_{path.stem}")
        except OSError as error:
            sys.exit(f"plot_spectrum.py: {error}")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            sys.exit(f"plot_spectrum.py: {path}: not what spectrum writes: {error!r}")
        for each in written:
            print(f"wrote {each}")


if __name__ == "__main__":
    main()
