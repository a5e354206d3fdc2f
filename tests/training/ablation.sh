#!/usr/bin/env bash
# A table of two configurations and two seeds: killed and started again it skips what is finished, goes on with what is
# not, and ends with the results of one that was left alone. Where MPIRUN is given, several processes agree on both.
#   ablation.sh EXAMPLES SOURCE FOLDER [MPIRUN]
set -euo pipefail
ablation=$1/ablation source=$2 folder=$3 mpirun=${4:-}
rm -rf "$folder" && mkdir -p "$folder"
cat >"$folder/table.json" <<'END'
{
  "common": {"layers": 1, "width": 32, "length": 64, "projected_length": 16, "batch": 8, "steps": 30, "warmup": 5,
             "evaluate_every": 10, "save_every": 4},
  "configurations": {"linformer": {}, "softmax, short": {"mechanism": "softmax", "length": 32}},
  "seeds": [1, 2]
}
END

run() { # run <output> <threads>
  exec "$ablation" "$folder/table.json" "$source/LICENSE" --validation "$source/CITATION.cff" --threads "$2" --output "$1"
}
without_rates() { grep -v tokens_per_second "$1"; }

(run "$folder/whole" 1) 2>&1 | tee "$folder/whole.txt"
[ "$(grep -c '"configuration"' "$folder/whole/results.json")" -eq 4 ]
[ "$(grep -c '"step":' "$folder/whole/results.json")" -eq 12 ]  # three evaluations of each

kills=0
for attempt in $(seq 1 200); do
  run "$folder/killed" 2 >>"$folder/killed.txt" 2>&1 &
  pid=$!
  sleep "$(awk -v seed="$RANDOM" -v i="$attempt" 'BEGIN { srand(seed); printf "%.3f", 0.02 + rand() * (0.1 + 0.02 * i) }')"
  kill -9 "$pid" 2>/dev/null && kills=$((kills + 1)) || true
  wait "$pid" 2>/dev/null || true
  if [ -f "$folder/killed/results.json" ] && [ "$(grep -c '"configuration"' "$folder/killed/results.json")" -eq 4 ]; then
    [ "$kills" -lt 2 ] || break
    rm -r "$folder/killed" && kills=0 # it was too fast
  fi
done
echo "killed $kills times"
[ "$kills" -ge 2 ]
cmp <(without_rates "$folder/whole/results.json") <(without_rates "$folder/killed/results.json")

# Everything is finished: nothing is trained again. Another setting is not mistaken for what is there.
(run "$folder/whole" 1) >"$folder/again.txt" 2>&1
if grep -q "^step" "$folder/again.txt"; then echo "a finished cell was trained again" && exit 1; fi

# A configuration whose loss is no number: told, and the others go on.
cat >"$folder/diverging.json" <<'END'
{
  "common": {"layers": 1, "width": 32, "length": 64, "projected_length": 16, "batch": 8, "steps": 6, "warmup": 1,
             "evaluate_every": 3},
  "configurations": {"diverging": {"learning_rate": 1e30}, "linformer": {}},
  "seeds": [1]
}
END
diverging() { # diverging <output> <launcher>…
  if "${@:2}" "$ablation" "$folder/diverging.json" "$source/LICENSE" --validation "$source/CITATION.cff" --threads 1 \
    --output "$folder/$1" >"$folder/$1.txt" 2>&1; then
    echo "a loss that is no number went unnoticed" && exit 1
  fi
  [ "$(grep -c '"error": ".*expected finite' "$folder/$1/results.json")" -eq 1 ]
  grep -q '"configuration": "linformer"' "$folder/$1/results.json"
}
diverging diverged

if [ -n "$mpirun" ]; then
  # shellcheck source=tests/mpi/launch.sh
  . "$source/tests/mpi/launch.sh"
  diverging diverged_in_two launch -n 2
  # What the first process finds finished is finished for all, even for one that sees nothing of it.
  arguments=("$folder/table.json" "$source/LICENSE" --validation "$source/CITATION.cff" --threads 1)
  launch -n 1 "$ablation" "${arguments[@]}" --output "$folder/whole" : \
    -n 1 "$ablation" "${arguments[@]}" --output "$folder/elsewhere" >"$folder/again.txt" 2>&1
  if grep -q "^step" "$folder/again.txt"; then echo "a finished cell was trained again" && exit 1; fi
  # Tables that differ are told.
  if launch -n 1 "$ablation" "${arguments[@]}" --output "$folder/whole" : \
    -n 1 "$ablation" "$folder/diverging.json" "${arguments[@]:1}" --output "$folder/whole" >"$folder/again.txt" 2>&1; then
    echo "another table went unnoticed" && exit 1
  fi
  grep -q "table and data: expected the same in all 2 processes" "$folder/again.txt"
fi

sed -i 's/"steps": 30/"steps": 31/' "$folder/table.json"
if (run "$folder/whole" 1) >"$folder/refused.txt" 2>&1; then echo "another number of steps was accepted" && exit 1; fi
grep -q "cell.json: settings" "$folder/refused.txt"
sed -i 's/"steps": 31/"stops": 31/' "$folder/table.json"
if (run "$folder/other" 1) >"$folder/refused.txt" 2>&1; then echo "an unknown field was accepted" && exit 1; fi
grep -q "stops" "$folder/refused.txt"
