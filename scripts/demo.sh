#!/usr/bin/env bash
# The whole chain with no data at all: pretrains on the text of this repository, fine-tunes a classifier on its lines,
# beside one that was not pretrained, classifies, learns ListOps with Linformer and with softmax attention, and draws the
# curves: scripts/demo.sh [SECONDS of pretraining, about; 60]. Takes about five minutes on two cores, once it is built.
# Everything lies in build/demo.
. "$(dirname "$0")/common.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi
seconds=${1:-60}
scripts/install_dependencies.sh build test
scripts/install_dependencies.sh plots || echo "Goes on without plots."
cmake --preset release >/dev/null
cmake --build --preset release --parallel "$jobs" --target pretrain finetune classify listops
programs=build/release/examples
folder=build/demo
rm -rf "$folder" && mkdir -p "$folder"

echo "== pretrain: how a program reads, byte by byte"
text=(README.md CONTRIBUTING.md docs/architecture.md include/linformer/*/*.hpp)
steps=$((seconds * 12))
"$programs/pretrain" "${text[@]}" --validation CHANGELOG.md --length 128 --projected-length 32 --steps "$steps" \
  --warmup $((steps / 10 + 1)) --evaluate-every $((steps / 8)) --threads "$jobs" --output "$folder/pretrained"

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
tune() { # tune <folder> <more arguments>
  "$programs/finetune" "$folder/pretrained" "$folder/train.tsv" --validation "$folder/dev.tsv" --labels text code \
    --pooling mean --epochs 20 --threads "$jobs" --output "$folder/$1" "${@:2}"
}
tune finetuned
echo "== the same without pretraining, to compare"
tune from_scratch --from-scratch

echo "== classify"
for line in "The projected context is a value that accumulates." "for (Index i = 0; i < rows; ++i) sum += x(i, j);"; do
  echo "$line" && echo "$line" | "$programs/classify" "$folder/finetuned"
done

echo "== ListOps: what is [MAX 4 [MIN 2 9 ] 7 ]? A guess is right one time in ten."
for mechanism in linformer softmax; do
  "$programs/listops" --mechanism "$mechanism" --projected-length 16 --min-length 3 --max-length 32 --max-depth 3 \
    --max-arguments 5 --trees 20000 --validation-trees 500 --test-trees 1000 --batch 64 --steps $((seconds * 50)) \
    --learning-rate 3e-3 --evaluate-every $((seconds * 5)) --threads "$jobs" \
    --output "$folder/listops_$mechanism"
done

echo "== curves"
plot() { "$(python_of_plots)" scripts/plot_training.py --output "$folder" "$@" || echo "Goes on without this picture."; }
plot "$folder/pretrained" --name pretrained --title "Pretraining on this repository"
plot "$folder/finetuned" "$folder/from_scratch" --label pretrained --label "from scratch" --name finetuned \
  --title "Telling code from text"
plot "$folder/listops_linformer" "$folder/listops_softmax" --label "Linformer, k = 16" --label softmax --name listops \
  --title "ListOps of up to 31 tokens"
