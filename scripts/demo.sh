#!/usr/bin/env bash
# The whole chain with no data at all: pretrains on the text of this repository, fine-tunes a classifier on lines that it
# makes up, and classifies: scripts/demo.sh [SECONDS of pretraining, about; 60]. Everything lies in build/demo.
. "$(dirname "$0")/common.sh"

seconds=${1:-60}
scripts/install_dependencies.sh build test
cmake --preset release >/dev/null
cmake --build --preset release --parallel "$jobs" --target pretrain finetune classify
programs=build/release/examples
folder=build/demo
rm -rf "$folder" && mkdir -p "$folder"

echo "== pretrain: how a program reads, byte by byte"
text=(README.md CONTRIBUTING.md docs/architecture.md include/linformer/*/*.hpp)
steps=$((seconds * 8))
"$programs/pretrain" "${text[@]}" --validation CHANGELOG.md --length 128 --projected-length 32 --steps "$steps" \
  --warmup $((steps / 10 + 1)) --evaluate-every $((steps / 4 + 1)) --threads "$jobs" --output "$folder/pretrained"

echo "== finetune: which lines of this repository are code, and which are text?"
table() { # table <pattern of the line number> of code and text, labelled
  awk -v OFS='\t' '{ gsub(/\t/, " ") } length($0) > 20 { print $0, "code" }' include/linformer/*/*.hpp |
    awk 'NR % 25 == 0' | awk "NR % 10 $1"  # as many as of text
  awk -v OFS='\t' '{ gsub(/\t/, " ") } length($0) > 20 { print $0, "text" }' README.md CONTRIBUTING.md CHANGELOG.md docs/architecture.md |
    awk "NR % 10 $1"
}
for part in "train != 0" "dev == 0"; do
  { printf 'sentence\tlabel\n' && table "${part#* }"; } >"$folder/${part%% *}.tsv"
done
"$programs/finetune" "$folder/pretrained" "$folder/train.tsv" --validation "$folder/dev.tsv" --labels text code \
  --pooling mean --epochs 20 --threads "$jobs" --output "$folder/finetuned"

echo "== classify"
printf '%s\n' "The projected context is a value that accumulates." "for (Index i = 0; i < rows; ++i) sum += x(i, j);" |
  tee /dev/stderr | "$programs/classify" "$folder/finetuned"
