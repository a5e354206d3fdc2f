#!/usr/bin/env python3
"""Tables of the runs of scripts/results.sh: scripts/results.py FOLDER [--json FILE]

Prints them as Markdown; with --json, writes what they are made of to one file. Runs that the file has and FOLDER lacks
stay in it, and in the tables.
"""

import argparse
import json
import pathlib
import re
import statistics


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def pretraining(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    config = read_json(folder / "config.json")
    return {"run": folder.name, "config": config, "steps": lines[-1]["step"],
            "training_loss": statistics.mean(line["loss"] for line in lines[-100:]),
            "validation": [[line["step"], line["validation_loss"]] for line in lines if "validation_loss" in line]}


def healing_log(folder):
    """Evaluations of distill; the last one also says how many seconds the run took, where that is known."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    evaluations = [line for line in lines if "embedding_cosine" in line]
    if evaluations and (folder / "seconds.txt").exists():
        evaluations[-1]["seconds"] = sum(map(int, (folder / "seconds.txt").read_text(encoding="utf-8").split()))
    return evaluations


def evaluated_last(folder):
    """Accuracy after the last step of a fine-tuning, which need not be that of the best model, which is kept."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["accuracy"] for line in lines if "accuracy" in line][-1]


def merged(known, found, key):
    """What is known and was not found again, and what was found, in the order of their keys."""
    return [each for _, each in sorted({key(each): each for each in [*known, *found]}.items())]


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "|".join("---" if i == 0 else "--:" for i in range(len(head))) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def healed_accuracy(scores):
    """Of softmax attention and of Linformers [growing_]k<k>-<steps of healing>, study by study."""
    for task in sorted({score["task"] for score in scores if score["task"].startswith("minilm_")}):
        accuracy, last = {}, {}
        for score in scores:
            if score["task"] == task:
                accuracy.setdefault(score["pretrained"], []).append(100 * score["accuracy"])
                last.setdefault(score["pretrained"], []).append(100 * score["last_accuracy"])
        softmax = statistics.mean(accuracy["softmax"])
        rows = [["softmax", "", accuracy["softmax"], last["softmax"]]]
        for model in sorted(set(accuracy) - {"softmax"}, key=lambda name: [int(n) for n in re.findall(r"\d+", name)]):
            growing, k, steps = re.fullmatch(r"(growing_)?k(\d+)-(\d+)", model).groups()
            rows.append([f"k = {k}" + (", growing pooling" if growing else ""), f"{int(steps):,}", accuracy[model],
                         last[model]])
        print(f"### {task}: accuracy, %, after healing and the same fine-tuning\n")
        table(["attention", "steps of healing", "by seed", "mean", "below softmax", "mean after the last step"],
              [[name, steps, ", ".join(f"{each:.1f}" for each in its), f"{statistics.mean(its):.1f}",
                f"{softmax - statistics.mean(its):.1f}", f"{statistics.mean(ends):.1f}"]
               for name, steps, its, ends in rows])


def perplexity(loss):
    return f"{2.718281828459045 ** loss:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="build/results")
    parser.add_argument("--json", type=pathlib.Path, help="file to write")
    arguments = parser.parse_args()

    known = read_json(arguments.json) if arguments.json and arguments.json.exists() else {}

    runs = [pretraining(path.parent) for path in (arguments.folder / "pretrained").glob("*/model.safetensors")]
    runs = merged(known.get("pretraining", []), runs, lambda run: run["run"])
    steps = sorted({step for run in runs for step, _ in run["validation"]})
    print("### Perplexity of masked tokens, WikiText-2 validation\n")
    table(["run", *(f"step {step:,}" for step in steps)],
          [[run["run"], *(perplexity(dict(run["validation"])[step]) if step in dict(run["validation"]) else ""
                          for step in steps)] for run in runs])

    table_file = arguments.folder / "wikitext" / "results.json"
    cells = read_json(table_file)["cells"] if table_file.exists() else known.get("ablation", [])
    if cells:
        print("### Perplexity of masked tokens, WikiText-2, by configuration\n")
        table(["configuration", "parameters", *(f"step {point['step']:,}" for point in cells[0]["curve"])],
              [[cell["configuration"], f"{cell['parameters']:,}",
                *(f"{point['perplexity']:.1f}" for point in cell["curve"])] for cell in cells])

    scores = []
    for path in arguments.folder.glob("*/*-*/scores.json"):
        model, _, seed = path.parent.name.rpartition("-")
        scores.append({"task": path.parent.parent.name, "pretrained": model, **read_json(path)})
        scores[-1]["seed"] = int(seed)
        if scores[-1]["task"].startswith("minilm_"):
            scores[-1]["last_accuracy"] = evaluated_last(path.parent)
    scores = merged(known.get("finetuning", []), scores,
                    lambda score: (score["task"], score["pretrained"], score["seed"]))
    print("### Fine-tuned\n")
    rows = []
    for task, model in sorted({(score["task"], score["pretrained"]) for score in scores}):
        its = [score for score in scores if (score["task"], score["pretrained"]) == (task, model)]
        accuracy = [100 * score["accuracy"] for score in its]
        rows.append([task, model, f"{its[0]['rows']:,}", ", ".join(str(score["seed"]) for score in its),
                     f"{its[0]['steps']:,}", ", ".join(f"{value:.1f}" for value in accuracy),
                     f"{statistics.mean(accuracy):.1f}",
                     f"{statistics.mean(score['macro_f1'] for score in its):.3f}"])
    table(["task", "pretrained", "rows judged", "seeds", "steps", "accuracy, %", "mean", "macro-F1"], rows)

    for score in scores:
        if len(score["classes"]) < 3:
            continue
        print(f"### {score['task']}, {score['pretrained']}, seed {score['seed']}\n")
        names = [each["label"] for each in score["classes"]]
        table(["class", "precision", "recall", "F1", "rows", *(f"taken for {name}" for name in names)],
              [[each["label"], *(f"{each[what]:.3f}" for what in ("precision", "recall", "f1")), f"{each['rows']:,}",
                *(f"{count:,}" for count in counts)] for each, counts in zip(score["classes"], score["confusion"])])

    def named(path):
        return str(path.parent.relative_to(arguments.folder))

    conversions = known.get("conversion", {}) | {
        named(path): read_json(path) for path in sorted(arguments.folder.glob("minilm*/*/conversion.json"))
        if "cost" in read_json(path)}
    if conversions:
        print("### MiniLM converted: cosine to the original, layer by layer, and of embeddings\n")
        layers = [layer["layer"] for layer in next(iter(conversions.values()))["cost"]["layers"]]
        table(["conversion", "start", *layers, "texts"],
              [[name, each["start"], *(f"{layer['cosine']:.3f}" for layer in each["cost"]["layers"]),
                f"{each['cost']['embedding_cosine']:.3f}" if "embedding_cosine" in each["cost"] else ""]
               for name, each in conversions.items()])
    healing = known.get("healing", {})
    for path in sorted(arguments.folder.glob("minilm*/*/log.jsonl")):
        # Of the runs in these folders, fine-tuning is none, and one that goes on has not yet healed.
        if (path.parent / "config.json").exists() and (log := healing_log(path.parent)):
            healing[named(path)] = log
    if healing:
        print("### Healed: cosine to the original at the end\n")
        table(["run", "steps", "minutes", "of outputs", "of embeddings"],
              [[name, f"{log[-1]['step']:,}", f"{log[-1]['seconds'] / 60:.0f}" if "seconds" in log[-1] else "",
                f"{log[-1]['state_cosine']:.3f}", f"{log[-1]['embedding_cosine']:.3f}"]
               for name, log in healing.items()])
    healed_accuracy(scores)

    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"ablation": cells, "pretraining": runs, "finetuning": scores,
                                              "conversion": conversions, "healing": healing}, indent=1) + "\n",
                                  encoding="utf-8")


if __name__ == "__main__":
    main()
