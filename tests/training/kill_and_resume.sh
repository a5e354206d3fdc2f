#!/usr/bin/env bash
# A run that is killed (-9) at random moments, again and again, and started again ends with the same bits as one that is
# left alone, on another number of threads too; Ctrl-C saves. So does a fine-tuning that stops early.
set -euo pipefail
pretrain=$1/pretrain finetune=$1/finetune source=$2 folder=$3
rm -rf "$folder" && mkdir -p "$folder"

run() { # run <output> <threads>; in a subshell, whose number is then the program's
  exec "$pretrain" "$source/LICENSE" "$source/CONTRIBUTING.md" --steps 60 --length 64 --projected-length 16 --batch 8 \
    --micro-batches 2 --warmup 5 --save-every 7 --threads "$2" --output "$1"
}

kill_often() { # kill_often <command> <name>: until it has come to its end
  local kills=0 attempt pid
  for attempt in $(seq 1 200); do
    "$1" "$folder/$2" 2 >>"$folder/$2.txt" 2>&1 &
    pid=$!
    # Some runs die before their first checkpoint, some while one is written, the last end by themselves.
    sleep "$(awk -v seed="$RANDOM" -v i="$attempt" 'BEGIN { srand(seed); printf "%.3f", 0.02 + rand() * (0.1 + 0.02 * i) }')"
    kill -9 "$pid" 2>/dev/null && kills=$((kills + 1)) || true
    wait "$pid" 2>/dev/null || true
    if [ -f "$folder/$2/model.safetensors" ]; then
      [ "$kills" -lt 2 ] || break
      rm -r "${folder:?}/$2" && kills=0 # it was too fast
    fi
  done
  ("$1" "$folder/$2" 2) >>"$folder/$2.txt" 2>&1  # the last may have been killed after it had written its model
  echo "$2: killed $kills times"
  [ "$kills" -ge 2 ]
}

(run "$folder/whole" 1) >"$folder/whole.txt" 2>&1

# Micro-batches are a matter of rounding: the first step's loss and gradient are those of the whole batch. The loss sums
# some 80 tokens' in float, the norm 1e5 gradients': both well within 1e-4.
"$pretrain" "$source/LICENSE" "$source/CONTRIBUTING.md" --steps 1 --length 64 --projected-length 16 --batch 8 \
  --warmup 1 --output "$folder/one" >"$folder/one.txt" 2>&1
numbers() { head -n 1 "$folder/$1/log.jsonl" | sed 's/.*"loss":\([^,]*\),"gradient_norm":\([^,]*\),.*/\1 \2/'; }
paste -d ' ' <(numbers whole) <(numbers one) |
  awk '{ print; for (i = 1; i <= 2; ++i) if (($i - $(i + 2)) ^ 2 > (1e-4 * $i) ^ 2 || $i <= 0) exit 1 }'

kill_often run killed
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
  --micro-batches 2 --warmup 5 --output "$folder/whole" >"$folder/refused.txt" 2>&1; then
  echo "another number of steps was accepted" && exit 1
fi
grep -q "settings" "$folder/refused.txt"

# A log that cannot grow ends the run.
if (
  trap '' XFSZ
  ulimit -f 8
  exec "$pretrain" "$source/LICENSE" --steps 300 --length 16 --projected-length 4 --layers 1 --width 8 --heads 1 --batch 1 \
    --warmup 1 --save-every 1000 --threads 1 --output "$folder/full"
) >"$folder/full.txt" 2>&1; then
  echo "a log on a full disk went unnoticed" && exit 1
fi
grep -q "log.jsonl: expected to write all of it, got File too large" "$folder/full.txt"

# Early stopping: the labels say nothing about the texts, so that the validation loss soon only rises.
awk 'BEGIN {
  print "sentence\tlabel"
  for (i = 0; i < 120; ++i) printf "number %d, and then %d\t%d\n", i * 7919 % 1000, i * 104729 % 997, i * 31 % 7 % 3
}' >"$folder/rows.tsv"
tune() { # as run
  exec "$finetune" "$folder/whole" "$folder/rows.tsv" --validation-share 0.3 --steps 400 --batch 16 --save-every 7 \
    --learning-rate 2e-3 --metric loss --patience 4 --evaluate-every 3 --class-weights balanced --threads "$2" \
    --output "$1"
}
(tune "$folder/tuned" 1) >"$folder/tuned.txt" 2>&1
grep -q "nothing better in 4 evaluations" "$folder/tuned.txt"
kill_often tune tuned_killed
for file in model training; do cmp "$folder/tuned/$file.safetensors" "$folder/tuned_killed/$file.safetensors"; done
cmp <(grep -v tokens_per_second "$folder/tuned/scores.json") <(grep -v tokens_per_second "$folder/tuned_killed/scores.json")
# The model is that of the best evaluation, 4 evaluations before the end.
steps=$(sed -n 's/^  "steps": \([0-9]*\),$/\1/p' "$folder/tuned/scores.json")
best=$(sed -n 's/^  "best_step": \([0-9]*\),$/\1/p' "$folder/tuned/scores.json")
[ "$steps" -eq $((best + 12)) ] && [ "$steps" -lt 400 ]
# Its file is named by its step, and those before it are gone.
for run in tuned tuned_killed; do
  [ "$(cd "$folder/$run" && echo best*)" = "best-$best.safetensors" ]
done
cmp "$folder/tuned/best-$best.safetensors" "$folder/tuned_killed/best-$best.safetensors"
[ "$(grep -c '"step"' "$folder/tuned_killed/log.jsonl")" -eq "$steps" ]
