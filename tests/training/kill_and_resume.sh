#!/usr/bin/env bash
# A run that is killed (-9) at random moments, again and again, and started again ends with the same bits as one that is
# left alone, on another number of threads too; Ctrl-C saves.
set -euo pipefail
pretrain=$1 source=$4 folder=$5
rm -rf "$folder" && mkdir -p "$folder"

run() { # run <output> <threads>; in a subshell, whose number is then the program's
  exec "$pretrain" "$source/LICENSE" "$source/CONTRIBUTING.md" --steps 60 --length 64 --projected-length 16 --batch 8 \
    --warmup 5 --save-every 7 --threads "$2" --output "$1"
}

(run "$folder/whole" 1) >"$folder/whole.txt" 2>&1

kills=0
for attempt in $(seq 1 200); do
  run "$folder/killed" 2 >>"$folder/killed.txt" 2>&1 &
  pid=$!
  # Some runs die before their first checkpoint, some while one is written, the last end by themselves.
  sleep "$(awk -v seed="$RANDOM" -v i="$attempt" 'BEGIN { srand(seed); printf "%.3f", 0.02 + rand() * (0.1 + 0.02 * i) }')"
  kill -9 "$pid" 2>/dev/null && kills=$((kills + 1)) || true
  wait "$pid" 2>/dev/null || true
  [ -f "$folder/killed/model.safetensors" ] && break
done
echo "killed $kills times"
[ "$kills" -ge 2 ]
cmp "$folder/whole/model.safetensors" "$folder/killed/model.safetensors"
cmp "$folder/whole/training.safetensors" "$folder/killed/training.safetensors"
# The log holds every step once.
[ "$(grep -c '"step"' "$folder/killed/log.jsonl")" -eq 60 ]

run "$folder/stopped" 1 >"$folder/stopped.txt" 2>&1 &
pid=$!
until [ -s "$folder/stopped/log.jsonl" ] || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
kill -INT "$pid" 2>/dev/null || true
wait "$pid" || [ $? -eq 130 ]
(run "$folder/stopped" 2) >>"$folder/stopped.txt" 2>&1
cmp "$folder/whole/model.safetensors" "$folder/stopped/model.safetensors"

# Another setting is refused, and the run that was there stays.
if "$pretrain" "$source/LICENSE" "$source/CONTRIBUTING.md" --steps 61 --length 64 --projected-length 16 --batch 8 \
  --warmup 5 --output "$folder/whole" >"$folder/refused.txt" 2>&1; then
  echo "another number of steps was accepted" && exit 1
fi
grep -q "settings" "$folder/refused.txt"
