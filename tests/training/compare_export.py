#!/usr/bin/env python3
"""Computes with transformers what models of this library gave: compare_export.py PROGRAMS SOURCE FOLDER

PROGRAMS is the folder of pretrain, finetune and export. A masked language model and a classifier are trained for a few
steps and exported; transformers must give the logits of the self-test that is in their files. Exit status 77 means
skipped: a package is not there.
"""
import pathlib
import shutil
import subprocess
import sys

try:
    import torch
    import transformers
    from safetensors import safe_open
except ImportError as error:
    print(f"skipped: {error} (pip install torch transformers safetensors)")
    sys.exit(77)

PROGRAMS, SOURCE, FOLDER = map(pathlib.Path, sys.argv[1:4])


def run(program, *arguments):
    subprocess.run([PROGRAMS / program, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def compare(model, architecture, head):
    """The largest difference of logits, relative to the largest of them."""
    exported = FOLDER / f"{model}_{architecture}"
    run("export", FOLDER / model, "--architecture", architecture, "--output", exported)
    with safe_open(FOLDER / model / "model.safetensors", "pt") as file:
        ids, expected = file.get_tensor("self_test.ids"), file.get_tensor("self_test.logits")
    loaded, report = head.from_pretrained(exported, output_loading_info=True)
    assert not any(report[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    ids = ids.long()[None]
    # Told, since RoBERTa's classes give a token whose id is that of padding no position, wherever it stands.
    first = 0 if architecture == "bert" else 2
    with torch.no_grad():
        logits = loaded.eval()(ids, position_ids=torch.arange(first, first + ids.shape[1])[None]).logits
    logits = logits[0, : len(expected)] if logits.dim() == 3 else logits
    difference = ((logits - expected).abs().max() / expected.abs().max()).item()
    print(f"{model} as {architecture}: {difference:.1e}")
    assert logits.shape == expected.shape and difference < 1e-5


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    run("pretrain", SOURCE / "LICENSE", "--mechanism", "softmax", "--steps", 3, "--warmup", 1, "--length", 64, "--batch", 4,
        "--output", FOLDER / "language_model")
    rows = [f"number {i} is {'good' if i % 2 else 'bad'}\t{i % 2}\n" for i in range(40)]
    (FOLDER / "train.tsv").write_text("sentence\tlabel\n" + "".join(rows))
    run("finetune", FOLDER / "language_model", FOLDER / "train.tsv", "--steps", 3, "--batch", 4, "--labels", "0", "1",
        "--output", FOLDER / "classifier")
    for architecture in ("bert", "roberta", "xlm-roberta"):
        compare("language_model", architecture, transformers.AutoModelForMaskedLM)
        compare("classifier", architecture, transformers.AutoModelForSequenceClassification)


if __name__ == "__main__":
    main()
