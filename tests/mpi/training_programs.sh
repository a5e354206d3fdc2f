#!/usr/bin/env bash
# pretrain and finetune in several processes: they learn what one process learns; a process that is killed (-9) ends all
# in time, and the run goes on, in any number of processes; a full disk and processes that disagree are told.
set -euo pipefail
finetune=$1/finetune source=$2 folder=$3 mpirun=$4 kills=${5:-3}
rm -rf "$folder" && mkdir -p "$folder"
# shellcheck source=tests/mpi/launch.sh
. "$source/tests/mpi/launch.sh"

steps=40
pretrain=("$1/pretrain" "$source/LICENSE" "$source/CONTRIBUTING.md" --steps $steps --length 64 --projected-length 16
  --batch 6 --warmup 5 --layers 2 --width 32 --heads 2 --save-every 7 --threads 1)
run() { # run <processes> <output> <more options>…
  launch -n "$1" "${pretrain[@]}" --output "$folder/$2" "${@:3}" >>"$folder/$2.txt" 2>&1 || fail "$2 fails" "$2"
}
fail() { # fail <message> <output>
  echo "$1" && cat "$folder/$2.txt" && exit 1
}
losses() { sed 's/.*"loss":\([^,]*\),.*/\1/' "$folder/$1/log.jsonl"; }
same_losses() { # but for rounding of some 50 losses and 1e4 gradients in float, carried on for 40 steps
  [ "$(losses "$1" | wc -l)" -eq $steps ] || fail "not every step once" "$1"
  paste -d ' ' <(losses "$1") <(losses "$2") |
    awk '{ if (($1 - $2) ^ 2 > (1e-3 * $2) ^ 2 || $2 <= 0) { print; exit 1 } }' || fail "$1 and $2 differ" "$1"
}

"${pretrain[@]}" --output "$folder/one" >"$folder/one.txt" 2>&1 || fail "one process fails" one
run 3 three
same_losses three one
run 2 sharded --shard-optimizer --micro-batches 2
same_losses sharded one
run 4 four
run 4 again
cmp "$folder/four/model.safetensors" "$folder/again/model.safetensors"
[ "$(grep -c "parameters," "$folder/four.txt")" -eq 1 ] || fail "not one process alone speaks" four

# A process killed at any moment after MPI has begun: all end in time, mpirun names it, and in the end nothing of it is
# seen. One killed within MPI_Init, while it connects to mpirun, ends all others as well, but mpirun of Open MPI 4.1.4
# itself may then wait for ever (docs/scale.md): no program can help that.
begun() { grep -q "parameters," "$folder/killed.txt"; } # printed after all have heard of each other
lines() { if [ -e "$folder/killed/log.jsonl" ]; then wc -l <"$folder/killed/log.jsonl"; else echo 0; fi; }
has_come() { [ "$(lines)" -ge "$1" ]; }
killed=0
for _ in $(seq 1 $((10 * kills))); do
  [ $killed -lt "$kills" ] || break
  [ ! -e "$folder/killed/model.safetensors" ] || rm -r "$folder/killed"  # another run
  start "$folder/killed.txt" 4 "${pretrain[@]}" --output "$folder/killed"
  await begun
  first=$(lines)
  await has_come $((first + RANDOM % (steps - first + 1)))
  mapfile -t ranks <"$pids"
  kill -9 "${ranks[RANDOM % 4]}" 2>/dev/null || { wait "$launcher" && continue; }  # it had come to its end
  await_end killed
  if wait "$launcher"; then fail "a killed process went unnoticed" killed; fi
  grep -q "rank [0-9] with PID .*signal 9" "$folder/killed.txt" || fail "the killed process is not named" killed
  killed=$((killed + 1))
done
echo "$killed killed"
[ $killed -eq "$kills" ] || fail "they could not be killed" killed
mkdir -p "$folder/killed" && cp -r "$folder/killed" "$folder/fewer"
run 4 killed
cmp "$folder/killed/model.safetensors" "$folder/four/model.safetensors"
run 2 fewer
same_losses fewer one

# Two programs that were told different things.
if launch -n 1 "${pretrain[@]}" --output "$folder/different" : \
  -n 1 "${pretrain[@]}" --output "$folder/different" --seed 2 >"$folder/different.txt" 2>&1; then
  fail "different seeds went unnoticed" different
fi
grep -q "settings and data: expected the same in all 2 processes, got another than rank 0's in rank 1" \
  "$folder/different.txt" || fail "the difference is not told" different

# Files that cannot grow, as on a full disk: the checkpoint before stays, and all processes end.
cat >"$folder/on_full_disk" <<'SCRIPT'
#!/bin/sh
trap '' XFSZ
ulimit -f 64
exec "$@"
SCRIPT
chmod +x "$folder/on_full_disk"
if OMPI_MCA_btl=self,tcp launch -n 1 "$folder/on_full_disk" "${pretrain[@]}" --output "$folder/full" : \
  -n 1 "${pretrain[@]}" --output "$folder/full" >"$folder/full.txt" 2>&1; then
  fail "a full disk went unnoticed" full
fi
grep -q "rank 0: .*training.safetensors.*File too large" "$folder/full.txt" || fail "the full disk is not told" full

# A classifier: the scores of all processes together are those of one.
awk 'BEGIN {
  print "sentence\tlabel"
  for (i = 0; i < 60; ++i) printf "number %d is %s\t%d\n", i * 7919 % 1000, i % 3 ? "good" : "bad", i % 3 ? 1 : 0
}' >"$folder/rows.tsv"
tune() { # tune <output> <launcher>…
  "${@:2}" "$finetune" "$folder/four" "$folder/rows.tsv" --validation-share 0.3 --steps 30 --batch 8 --pooling mean \
    --learning-rate 5e-3 --evaluate-every 15 --threads 1 --output "$folder/$1" >"$folder/$1.txt" 2>&1 ||
    fail "finetune fails" "$1"
}
tune tuned
tune tuned_by_three launch -n 3
for score in accuracy macro_f1 rows; do
  grep "\"$score\": " "$folder/tuned/scores.json" | cmp - <(grep "\"$score\": " "$folder/tuned_by_three/scores.json")
done
