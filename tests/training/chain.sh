#!/usr/bin/env bash
# pretrain, then finetune, then classify, as the README shows them: the classifier learns to tell two kinds of lines.
set -euo pipefail
pretrain=$1/pretrain finetune=$1/finetune classify=$1/classify source=$2 folder=$3
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
# Results that nothing takes are no success.
if "$classify" "$folder/finetuned" "$folder/lines.txt" >/dev/full 2>"$folder/refused.txt"; then
  echo "a full disk went unnoticed" && exit 1
fi
grep -q "stdout: expected to write all of it, got No space left" "$folder/refused.txt"

# How good it is stands in scores.json; the two rows are told apart.
grep -q '"accuracy": 1.0' "$folder/finetuned/scores.json"
grep -q '"rows": 2' "$folder/finetuned/scores.json"

# A loss that is no number ends a run, and the checkpoint before it stays.
if "$finetune" "$folder/pretrained" "$folder/train.tsv" --steps 40 --learning-rate 1e30 --warmup 0.2 --save-every 1 \
  --batch 16 --output "$folder/diverged" >"$folder/diverged.txt" 2>&1; then
  echo "a loss that is not finite went unnoticed" && exit 1
fi
cat "$folder/diverged.txt"
grep -q "loss at step [0-9]*: expected finite" "$folder/diverged.txt"
grep -q "training.safetensors holds the run after step [0-9]" "$folder/diverged.txt"
[ ! -e "$folder/diverged/model.safetensors" ]

# What cannot be is said before anything is computed.
refuse() { # refuse <pattern> <arguments of finetune>
  if "$finetune" "$folder/pretrained" "${@:2}" --output "$folder/refused" >"$folder/refused.txt" 2>&1; then
    echo "accepted: ${*:2}" && exit 1
  fi
  grep -q "$1" "$folder/refused.txt" || { cat "$folder/refused.txt" && exit 1; }
}
printf 'sentence\tlabel\n' >"$folder/empty.tsv"
refuse "one column 'text', got 'sentence', 'label'" "$folder/train.tsv" --text text
refuse "empty.tsv: expected a row" "$folder/train.tsv" --validation "$folder/empty.tsv"
refuse "nowhere.tsv" "$folder/nowhere.tsv"
refuse "patience: expected validation" "$folder/train.tsv" --patience 2
refuse "'balanced' or 2 numbers" "$folder/train.tsv" --class-weights 1 2 3
refuse "pos/ and neg/" "$source"

# IMDB's folders, together with a table, from nothing; and a second run of the same command says the same again.
mkdir -p "$folder/imdb/pos" "$folder/imdb/neg"
for i in $(seq 0 19); do
  echo "number $i is fine and good" >"$folder/imdb/pos/${i}_9.txt"
  echo "number $i is poor and bad" >"$folder/imdb/neg/${i}_2.txt"
done
for _ in 1 2; do
  "$finetune" "$folder/pretrained" "$folder/imdb" "$folder/train.tsv" --validation "$folder/imdb" --from-scratch \
    --labels 0 1 --steps 20 --batch 16 --output "$folder/imdb_tuned" | tee "$folder/imdb.txt"
  grep -q "imdb: 40 rows" "$folder/imdb.txt"
done
grep -q "Goes on at step 20" "$folder/imdb.txt"

# Labels that do not exclude each other: two words, each with a label of its own, together, alone, or neither.
awk 'BEGIN {
  print "sentence\tlabel"
  for (i = 0; i < 400; ++i) {
    fine = i % 2; far = int(i / 2) % 2
    printf "number %d is %s and %s\t%s%s%s\n", 100 + (i * 7919 + int(i / 4) * 13) % 900, fine ? "good" : "bad", far ? "distant" : "near", \
      fine ? "fine" : "", fine && far ? "|" : "", far ? "far" : ""
  }
  print "number 1 is good and near\tfine, unheard of"
}' >"$folder/several.tsv"
"$finetune" "$folder/pretrained" "$folder/several.tsv" --validation-share 0.2 --labels fine far --multi-label \
  --metric loss --class-weights balanced --epochs 12 --learning-rate 2e-3 --batch 16 --pooling mean \
  --output "$folder/several" | tee "$folder/several.txt"
grep -q "1 malformed and left out" "$folder/several.txt"
grep -q '"micro_f1": 1.0' "$folder/several/scores.json"
printf 'number 508 is %s\n' "good and distant" "good and near" "bad and distant" "bad and near" |
  "$classify" "$folder/several" | sed 's/,"probabilities".*//' >"$folder/several.jsonl"
printf '{"labels":%s\n' '["fine","far"]' '["fine"]' '["far"]' '[]' | cmp - "$folder/several.jsonl"
