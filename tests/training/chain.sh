#!/usr/bin/env bash
# pretrain, then finetune, then classify, as the README shows them: the classifier learns to tell two kinds of lines.
set -euo pipefail
pretrain=$1 finetune=$2 classify=$3 source=$4 folder=$5
rm -rf "$folder" && mkdir -p "$folder"
"$pretrain" "$source/LICENSE" --steps 10 --warmup 2 --length 64 --projected-length 16 --batch 8 --output "$folder/pretrained"

awk 'BEGIN {
  print "sentence\tlabel"
  for (i = 0; i < 300; ++i) {
    printf "number %d is fine and good\t1\n", i * 7919 % 1000
    printf "number %d is poor and bad\t0\n", i * 104729 % 1000
  }
  print "a line without a label"
}' >"$folder/train.tsv"
printf 'sentence\tlabel\nnumber 77 is good\t1\nnumber 501 is bad\t0\n' >"$folder/dev.tsv"
"$finetune" "$folder/pretrained" "$folder/train.tsv" --validation "$folder/dev.tsv" --epochs 6 --learning-rate 2e-3 \
  --batch 16 --pooling mean --output "$folder/finetuned" | tee "$folder/finetuned.txt"
grep -q "1 malformed and left out" "$folder/finetuned.txt"

printf 'number 8 is fine and good\nnumber 9 is poor and bad\n' | "$classify" "$folder/finetuned" >"$folder/labels.jsonl"
cat "$folder/labels.jsonl"
[ "$(sed -n 's/^{"label":"\([01]\)".*/\1/p' "$folder/labels.jsonl" | tr -d '\n')" = 10 ]
# From a file, too, and whatever the batch.
printf 'number 8 is fine and good\nnumber 9 is poor and bad\n' >"$folder/lines.txt"
"$classify" "$folder/finetuned" "$folder/lines.txt" --batch 1 | cmp - "$folder/labels.jsonl"
