#!/usr/bin/env bash
# listops learns what one operation on few digits is, and a run that was interrupted ends with the bits of one that was
# not.
set -euo pipefail
listops=$1/listops folder=$3
rm -rf "$folder" && mkdir -p "$folder"

run() { # run <output> <threads>
  exec "$listops" --min-length 3 --max-length 8 --max-depth 2 --max-arguments 3 --trees 2000 --validation-trees 100 \
    --test-trees 100 --projected-length 4 --layers 1 --width 32 --batch 32 --steps 400 --evaluate-every 100 \
    --learning-rate 5e-3 --save-every 50 --threads "$2" --output "$1"
}

(run "$folder/whole" 1) 2>&1 | tee "$folder/whole.txt"
# A tenth of the values are guessed right; of these, 400 steps get far more.
accuracy=$(sed -n 's/^  "accuracy": \(.*\),$/\1/p' "$folder/whole/scores.json")
awk -v accuracy="$accuracy" 'BEGIN { exit !(accuracy > 0.4) }'
grep -q '"data": "test"' "$folder/whole/scores.json"

run "$folder/stopped" 2 >"$folder/stopped.txt" 2>&1 &
pid=$!
until [ -s "$folder/stopped/log.jsonl" ] || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
kill -INT "$pid" 2>/dev/null || true
wait "$pid" || [ $? -eq 130 ]
(run "$folder/stopped" 1) >>"$folder/stopped.txt" 2>&1
cmp "$folder/whole/model.safetensors" "$folder/stopped/model.safetensors"
cmp "$folder/whole/training.safetensors" "$folder/stopped/training.safetensors"

if "$listops" --min-length 100 --max-length 50 --output "$folder/refused" >"$folder/refused.txt" 2>&1; then
  echo "lengths that no tree has were accepted" && exit 1
fi
grep -q "lengths that trees of this depth have" "$folder/refused.txt"
