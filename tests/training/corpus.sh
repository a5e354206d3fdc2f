#!/usr/bin/env bash
# classify over a corpus of JSON-lines files: malformed records are set aside, a second run does what is missing and
# nothing else, other settings, other shards and unreadable files are told, as is a full disk; and where MPIRUN is given, processes
# killed (-9) at random moments, and another number of them, leave every record classified exactly once.
#   corpus.sh EXAMPLES SOURCE FOLDER [MPIRUN [KILLS]]
set -euo pipefail
examples=$1 source=$2 folder=$3 mpirun=${4:-} kills=${5:-3}
rm -rf "$folder" && mkdir -p "$folder/shards"
cd "$folder"
# shellcheck source=tests/mpi/launch.sh
. "$source/tests/mpi/launch.sh"
fail() { # fail <message> <output>
  echo "$1" && cat "$2" && exit 1
}

# A small classifier, as the README makes one.
awk 'BEGIN {
  print "sentence\tlabel"
  for (i = 0; i < 60; ++i) printf "number %d is %s\t%d\n", i * 7919 % 1000, i % 3 ? "good" : "bad", i % 3 ? 1 : 0
}' >rows.tsv
"$examples/pretrain" "$source/LICENSE" --steps 2 --warmup 1 --length 64 --projected-length 16 --batch 4 --layers 2 \
  --width 32 --heads 2 --threads 1 --output pretrained >model.txt 2>&1 || fail "no model" model.txt
"$examples/finetune" pretrained rows.tsv --steps 2 --batch 8 --threads 1 --output model >model.txt 2>&1 ||
  fail "no classifier" model.txt

# Shards of unequal size, one of them empty; ids and texts are unique, and some records are none: invalid UTF-8, broken
# JSON, another type, no text, a text that is a number, half of a surrogate pair, two texts. Blank lines are no records.
LC_ALL=C awk 'BEGIN {
  for (shard = 0; shard < 24; ++shard) {
    file = sprintf("shards/part-%02d.jsonl", shard)
    printf "" >file
    for (i = 0; i < shard * 40; ++i) {
      printf "{\"id\": \"%d-%d\", \"text\": \"number %d of shard %d is \\\"good\\\" \\u00fc\"}\n", shard, i, i, shard >file
      if (i == 7) printf "\n  \r\n" >file
    }
    if (shard == 5) {
      printf "{\"text\": \"\xff\"}\n{\"text\": \"unended\n[\"text\"]\n{\"other\": \"no text\"}\n{\"text\": 3}\n" >file
      printf "{\"text\": \"\\ud800\"}\n{\"text\": \"one\", \"text\": \"two\"}\n{\"text\": \"without an end of line\"}" >file
    }
    close(file)
  }
}'
classify() { # classify <output> <more>…
  "$examples/classify" model --input 'shards/*.jsonl' --output "$1" "${@:2}"
}
classify one >one.txt 2>&1 || fail "one process fails" one.txt
grep -q "^24 shards: 24 classified, 0 done before, 0 unreadable. 11041 records, 7 malformed.$" one.txt ||
  fail "wrong totals" one.txt

# Every record once, and the malformed ones by their lines, with what was wrong.
for shard in shards/*; do
  cmp <(sed -n 's/^{"id": "\([^"]*\)".*/\1/p' "$shard") <(sed -n 's/^{"line":[0-9]*,"id":"\([^"]*\)","label":.*/\1/p' "one/$(basename "$shard")")
done
[ "$(cat one/*.jsonl | grep -c '"label":"[01]","probabilities":{"0":')" -eq 11041 ]
tail -n 1 one/part-05.jsonl | grep -q '^{"line":210,"label"' || fail "the last line is not told" one/part-05.jsonl
sed 's/^{"file":"\([^"]*\)","line":\([0-9]*\),"expected":"\([^"]*\)","got":"\([^"]*\)".*/\1:\2: \3, \4/' \
  one/part-05.jsonl.malformed | cmp - <(
  cat <<'LINES'
shards/part-05.jsonl:203: UTF-8, an invalid byte at position 10
shards/part-05.jsonl:204: JSON, something else at byte 18
shards/part-05.jsonl:205: a JSON object, array
shards/part-05.jsonl:206: a text in field 'text', no such field
shards/part-05.jsonl:207: a text in field 'text', number
shards/part-05.jsonl:208: JSON, something else at byte 17
shards/part-05.jsonl:209: every key once, 'text' again
LINES
)
[ "$(find one -name '*.malformed' -o -name '*.tmp' | wc -l)" -eq 1 ]

# Batches and threads change nothing. A run after the whole does nothing; after a part, that part.
same() { diff -r one "$1" >difference.txt || fail "$1 differs from one process's" difference.txt; }
classify other --batch 7 --threads 2 >other.txt 2>&1 || fail "another batch fails" other.txt
same other
touch now
rm other/part-03.jsonl other/part-05.jsonl && touch other/.linformer.1.0.tmp
classify other >other.txt 2>&1 || fail "a second run fails" other.txt
grep -q "24 shards: 2 classified, 22 done before, 0 unreadable. 321 records, 7 malformed" other.txt ||
  fail "more or less was done than what is missing" other.txt
same other
[ "$(find other -type f -newer now | wc -l)" -eq 3 ]

# Results of other settings, another model, or of nobody knows whom; two shards of one name; a shard's own folder.
refuse() { # refuse <pattern> <arguments of classify>
  if "$examples/classify" "${@:2}" >refused.txt 2>&1; then fail "accepted: ${*:2}" refused.txt; fi
  grep -q "$1" refused.txt || fail "not told: $1" refused.txt
}
refuse "manifest.json: expected results of this run's text, \"id\", got \"text\"" \
  model --input 'shards/*.jsonl' --output other --text id
cp -r model retrained && sed 's/"0"/"no"/' model/classifier.json >retrained/classifier.json
refuse "manifest.json: expected results of this run's model, " retrained --input 'shards/*.jsonl' --output other
mkdir unknown && touch unknown/part-01.jsonl
refuse "unknown: expected an empty folder" model --input 'shards/*.jsonl' --output unknown
refuse "shards/part-00.jsonl: expected another folder" model --input 'shards/*.jsonl' --output shards
refuse "twice/part-01.jsonl: expected the output of one file" \
  model --input 'shards/*.jsonl' unknown/part-01.jsonl --output twice
refuse "manifest.json: expected results of this run's shard_bytes: shards/part-00.jsonl, none, got 0" \
  model --input 'shards/part-1*' --output other
cp shards/part-23.jsonl part-23.jsonl && echo >>shards/part-23.jsonl
refuse "manifest.json: expected results of this run's shard_bytes: shards/part-23.jsonl, [0-9]*, got [0-9]*$" \
  model --input 'shards/*.jsonl' --output other
mv part-23.jsonl shards/part-23.jsonl
refuse "nothing/\*: expected a file of such a name" model --input 'nothing/*' --output other
(flock 9 && refuse "a folder that no other run works in" model --input 'shards/*.jsonl' --output other) 9<other/.linformer.lock
same other

# A shard that cannot be read: nothing, or all the others, and never success.
cp -r shards broken && rm broken/part-04.jsonl && ln -s nowhere broken/part-04.jsonl && mkdir broken/part-50.jsonl
refuse "broken/part-.*: expected a file that can be read, got " model --input 'broken/*' --output partial
for attempt in 1 2; do
  if "$examples/classify" model --input 'broken/*' --output partial --keep-going >partial.txt 2>&1; then
    fail "an unreadable shard went unnoticed" partial.txt
  fi
  grep -q "broken/part-04.jsonl: expected a file that can be read, got No such file" partial.txt &&
    grep -q "broken/part-50.jsonl: expected a file that can be read, got Is a directory" partial.txt &&
    grep -q "25 shards: .* 2 unreadable" partial.txt || fail "the unreadable shards are not told" partial.txt
done
# Once it can be read it is the same corpus, of which nobody knew its size.
rm broken/part-04.jsonl && cp shards/part-04.jsonl broken
if "$examples/classify" model --input 'broken/*' --output partial --keep-going >partial.txt 2>&1; then
  fail "an unreadable shard went unnoticed" partial.txt
fi
grep -q "25 shards: 1 classified, 23 done before, 1 unreadable" partial.txt || fail "not what is missing" partial.txt
diff -r -x '*.malformed' -x manifest.json one partial

# Files that cannot grow, as on a full disk: shards that fit are done, of others nothing is seen.
if (trap '' XFSZ && ulimit -f 40 && classify full >full.txt 2>&1); then fail "a full disk went unnoticed" full.txt; fi
grep -q "full/part-23.jsonl: expected to write the file, got File too large" full.txt || fail "the full disk is not told" full.txt
[ "$(find full -type f -size +0)" = full/manifest.json ]
classify full >full.txt 2>&1 || fail "no run after a full disk" full.txt
same full

if [ -z "$mpirun" ]; then
  echo "skipped: the part with several processes, as there is no MPI on this machine"
  exit
fi
several() { # several <processes> <output> <more>…
  launch -n "$1" "$examples/classify" model --input 'shards/*.jsonl' --output "${@:2}"
}
several 3 three >three.txt 2>&1 || fail "three processes fail" three.txt
same three
grep -q "^24 shards: 24 classified, 0 done before, 0 unreadable. 11041 records, 7 malformed.$" three.txt ||
  fail "not the totals of all" three.txt
rm three/part-1*
several 4 three >three.txt 2>&1 || fail "four processes fail" three.txt
grep -q "^24 shards: 10 classified, 14 done before" three.txt || fail "not what is missing" three.txt
same three
if several 2 three --text id >refused.txt 2>&1; then fail "other settings went unnoticed" refused.txt; fi
grep -q "rank 0: .*expected results of this run's text" refused.txt || fail "the settings are not told" refused.txt
if launch -n 1 "$examples/classify" model --input 'shards/*.jsonl' --output three : \
  -n 1 "$examples/classify" model --input 'shards/*.jsonl' --output three --text id >refused.txt 2>&1; then
  fail "different settings went unnoticed" refused.txt
fi
grep -q "in all 2 processes, got another than rank 0's in rank 1" refused.txt ||
  fail "the difference is not told" refused.txt

# Kills: one process, or all, after MPI has begun (see tests/mpi/training_programs.sh); all others end, and any number of
# them goes on.
begun() { grep -q "^24 shards, " killed.txt; }
killed=0
for attempt in $(seq 1 $((20 * kills))); do
  [ "$killed" -lt "$kills" ] || break
  rm -rf killed && clean=0
  for processes in 3 2 4 3 2; do # at most so many kills of one folder; then it comes to its end
    start killed.txt $processes "$examples/classify" model --input 'shards/*.jsonl' --output killed
    await begun
    sleep "$(awk -v seed="$RANDOM" 'BEGIN { srand(seed); printf "%.2f", 0.6 * rand() }')"
    mapfile -t ranks <"$pids"
    [ $((RANDOM % 2)) -eq 0 ] || ranks=("${ranks[RANDOM % ${#ranks[@]}]}")
    kill -9 "${ranks[@]}" 2>/dev/null && killed=$((killed + 1)) || true
    await_end killed.txt
    if wait "$launcher"; then clean=1 && break; fi
    [ "$killed" -lt "$kills" ] || break
  done
  echo "killed $killed times, $(find killed -name '*.jsonl' | wc -l) shards done"
  [ "$clean" -eq 1 ] || several 2 killed >killed.txt 2>&1 || fail "does not go on" killed.txt
  same killed
done
[ "$killed" -ge "$kills" ]
