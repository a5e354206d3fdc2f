#!/usr/bin/env bash
# The runs behind docs/results.md: scripts/results.sh [STAGE…]. Each goes on where it was interrupted, and what is done
# is not done again. Stages: wikitext reviews sst2 imdb davidson qqp qnli listops minilm_sst2 minilm_imdb spectrum
# (all without an argument). Needs the data that docs/results.md names, in the folder LINFORMER_DATA. Results lie in
# build/results. THREADS (2) changes no bit of them.
. "$(dirname "$0")/common.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi
data=${LINFORMER_DATA:?names the folder of the data}
stages=("$@")
[ $# -gt 0 ] || stages=(wikitext reviews sst2 imdb davidson qqp qnli listops minilm_sst2 minilm_imdb spectrum)
folder=build/results
programs=build/release/examples
scripts/install_dependencies.sh build test plots
cmake --preset release >/dev/null
cmake --build --preset release --parallel "$jobs" --target ablation convert distill finetune listops pretrain spectrum
mkdir -p "$folder"

reviews=$folder/imdb-data/data/aclImdb # a fifth of the official training split stands in val/
unpack_reviews() {
  [ -d "$folder/imdb-data" ] && return
  mkdir -p "$folder/imdb-data.part"
  tar xJf "$data/imdb/aclImdb_labeled_50k.tar.xz" -C "$folder/imdb-data.part"
  mv "$folder/imdb-data.part" "$folder/imdb-data"
}

pretrain() { # pretrain <name> <mechanism> <files>…: 2,400 steps of 4,096 tokens
  local output="$folder/pretrained/$1" mechanism=$2
  shift 2
  [ -f "$output/model.safetensors" ] && return
  echo "== $output"
  "$programs/pretrain" "$@" --validation "$data/wikitext-2/valid.txt" --vocabulary 8192 --layers 2 --width 128 \
    --heads 2 --mechanism "$mechanism" --sharing key_value --length 512 --projected-length 128 --batch 8 \
    --steps 2400 --warmup 240 --learning-rate 2e-3 --evaluate-every 400 --threads "${THREADS:-2}" --output "$output"
}

timed() { # timed <folder> <command>…: the seconds of every start, interrupted ones too, go into its seconds.txt
  local start=$SECONDS status=0
  echo "== $1, after $((SECONDS / 60)) minutes"
  mkdir -p "$1"
  "${@:2}" || status=$?
  echo $((SECONDS - start)) >>"$1/seconds.txt"
  return $status
}

finetune() { # finetune <task> <model> <seed> <arguments>…: judged at its end, or after each <every> steps, of
  # which the best is kept
  local model=$2 seed=$3 output
  output=$folder/$1/$(basename "$2")-$3
  shift 3
  [ -f "$output/scores.json" ] && return
  timed "$output" "$programs/finetune" "$model" "$@" --pooling mean --evaluate-every "${every:-1000000}" --seed "$seed" \
    --threads "${THREADS:-2}" --output "$output"
}

of_both() { # of_both <task> <seeds> <arguments>…
  local task=$1 seeds=$2 seed
  shift 2
  for seed in $seeds; do
    finetune "$task" "$folder/pretrained/reviews-softmax" "$seed" "$@"
    finetune "$task" "$folder/pretrained/reviews-linformer" "$seed" "$@"
  done
}

split_texts() { # split_texts <study> <to fit to> <to judge by>: those on stdin, shuffled; the rest is to heal by
  local output=$folder/$1
  if [ -f "$output/heal.txt" ]; then cat >/dev/null && return; fi
  mkdir -p "$output"
  shuf --random-source="$data/imdb/aclImdb_labeled_50k.tar.xz" >"$output/texts.part"
  sed -n "1,$2p" "$output/texts.part" >"$output/fit.txt"
  sed -n "$(($2 + 1)),$(($2 + $3))p" "$output/texts.part" >"$output/judge.txt"
  sed "1,$(($2 + $3))d" "$output/texts.part" >"$output/heal.part"
  rm "$output/texts.part"
  mv "$output/heal.part" "$output/heal.txt"
}

convert_minilm() { # convert_minilm <output> <arguments>…
  [ -f "$1/config.json" ] && return
  timed "$1" "$programs/convert" build/minilm "${@:2}" --threads "${THREADS:-2}" --output "$1"
}

# study <name> <n> <three seeds> <one seed> <k>…: MiniLM and Linformers made of it, named <projection>k<k>-<steps of
# healing>, healed as the array heal says and fine-tuned as the array tune says; growing_k<k> has growing pooling, k<k> a
# learned E, fitted. Beside them what each start and k alone costs.
study() {
  local name=$1 n=$2 three=$3 one=$4 ks=("${@:5}") at=$folder/$1 judged k start seed model
  judged=$(wc -l <"$at/judge.txt")
  start_of() { # start_of <projection>k<k>: what is healed
    case $1 in
      growing_k*)
        convert_minilm "$at/$1-0" "$at/judge.txt" --length "$n" --projected-length "${1#growing_k}" \
          --projection growing_pooling --texts "$judged"
        ;;
      k*)
        convert_minilm "$at/$1-0" "$at"/{fit,judge}.txt --length "$n" --projected-length "${1#k}" --start fitted \
          --fit-texts "$(wc -l <"$at/fit.txt")" --fit-iterations 160 --ridge 1e-4 --texts "$judged"
        ;;
    esac
  }
  of_study() { # of_study <model> <seed>
    local model=$at/$1 steps=${1##*-}
    [ "$1" = softmax ] || start_of "${1%-*}"
    [ -f "$model/config.json" ] || # its last file
      timed "$model" "$programs/distill" build/minilm "${model%-*}-0" "$at"/{judge,heal}.txt --validation "$judged" \
        --train all --hidden-states 10 --steps "$steps" --warmup $((steps / 10)) --evaluate-every 50 "${heal[@]}" \
        --threads "${THREADS:-2}" --output "$model"
    finetune "$name" "$model" "$2" "${tune[@]}"
  }
  convert_minilm "$at/softmax" --mechanism softmax
  for k in "${ks[@]}"; do
    start_of "growing_k$k"
    start_of "k$k"
    for start in growing_windows mean_pooling gaussian; do
      convert_minilm "$at/k$k-$start" "$at/judge.txt" --length "$n" --projected-length "$k" --start "$start" \
        --texts "$judged"
    done
  done
  for seed in 1 2 3; do
    for model in softmax $three; do of_study "$model" "$seed"; done
  done
  for model in $one; do of_study "$model" 1; done
}

for stage in "${stages[@]}"; do
  case $stage in
    wikitext)
      "$programs/ablation" scripts/results_wikitext.json "$data/wikitext-2/train.txt" \
        --validation "$data/wikitext-2/valid.txt" --vocabulary 8192 --threads "${THREADS:-2}" --output "$folder/wikitext"
      ;;
    reviews) # WikiText-2 and, unlabelled, the training texts of SST-2 and IMDB
      unpack_reviews
      mkdir -p "$folder/text"
      tail -n +2 "$data/sst2/train.tsv" | cut -f1 >"$folder/text/sst2.txt"
      find "$reviews"/{train,val} -name '*.txt' | LC_ALL=C sort | xargs sed -e '$a\' >"$folder/text/imdb.txt"
      files=("$data/wikitext-2/train.txt" "$folder"/text/{sst2,imdb}.txt)
      pretrain reviews-softmax softmax "${files[@]}"
      pretrain reviews-linformer linformer "${files[@]}"
      ;;
    sst2)
      of_both sst2 "1 2 3" "$data/sst2/train.tsv" --validation "$data/sst2/dev.tsv" --batch 32 --epochs 2 \
        --learning-rate 3e-4 --smoothing 0.1
      ;;
    imdb)
      unpack_reviews
      of_both imdb 1 "$reviews/train" "$reviews/val" --validation "$data/imdb/test_5k.tsv" --text text --labels 0 1 \
        --batch 32 --epochs 2 --learning-rate 5e-4
      ;;
    davidson)
      of_both davidson 1 "$data/hate-speech/davidson.csv" --text tweet --label class --validation-share 0.2 \
        --class-weights balanced --batch 32 --epochs 3 --learning-rate 1e-3
      ;;
    qnli)
      of_both qnli 1 "$data/qnli/train_19k.tsv" --validation "$data/qnli/dev.tsv" --text question --second sentence \
        --batch 32 --epochs 3 --learning-rate 1e-3
      ;;
    qqp)
      of_both qqp 1 "$data/qqp/train_19k.tsv" --validation "$data/qqp/test_10k.tsv" --text question1 --second question2 \
        --batch 32 --epochs 3 --learning-rate 1e-3
      ;;
    listops) # short expressions: the Long Range Arena's need more training than this
      for mechanism in softmax linformer; do
        output=$folder/listops/$mechanism-1
        [ -f "$output/scores.json" ] && continue
        "$programs/listops" --mechanism "$mechanism" --layers 2 --width 128 --heads 2 --projected-length 32 \
          --min-length 10 --max-length 128 --max-depth 5 --max-arguments 5 --trees 15000 --validation-trees 1000 \
          --test-trees 2000 --batch 64 --epochs 4 --learning-rate 1e-3 --threads "${THREADS:-2}" --output "$output"
      done
      ;;
    minilm_sst2) # what healing is worth to a classifier of phrases
      scripts/fetch_minilm.sh build/minilm
      tail -n +2 "$data/sst2/train.tsv" | cut -f1 | split_texts minilm_sst2 512 256
      heal=(--batch 64 --learning-rate 2e-4)
      tune=("$data/sst2/train.tsv" --validation "$data/sst2/dev.tsv" --batch 32 --epochs 1 --learning-rate 1e-4)
      every=500 study minilm_sst2 64 k32-400 'k32-0 k32-100 growing_k32-0' 32
      ;;
    minilm_imdb) # and of reviews, healed on those of the whole training split
      scripts/fetch_minilm.sh build/minilm
      unpack_reviews
      find "$reviews"/{train,val} -name '*.txt' | LC_ALL=C sort | xargs sed -e '$a\' | split_texts minilm_imdb 64 64
      heal=(--batch 8 --learning-rate 1e-4)
      tune=("$data/imdb/train_5k.tsv" --validation "$data/imdb/test_5k.tsv" --text text --batch 16 --epochs 1
        --learning-rate 1e-4)
      study minilm_imdb 512 'growing_k128-400 growing_k256-0' 'growing_k128-0 k128-0 k128-1600 k256-0' 128 256
      ;;
    spectrum) # of a pretrained encoder's attention, n = 512
      scripts/fetch_minilm.sh build/minilm
      output=$folder/spectrum
      mkdir -p "$output"
      awk -F'\t' 'NR > 1 && NR <= 61 { print $4 }' "$data/imdb/train_long.tsv" >"$output/imdb_fit.txt"
      awk -F'\t' 'NR > 1 && NR <= 17 { print $4 }' "$data/imdb/test_long.tsv" >"$output/imdb_test.txt"
      spectrum() { # spectrum <name> <arguments>…
        [ -f "$output/$1.json" ] && return
        "$programs/spectrum" build/minilm "${@:2}" --texts 16 --ranks 32 64 128 --threads "${THREADS:-2}" \
          --output "$output/$1.json"
      }
      fitted=(--start fitted --fit-texts 60 --fit-iterations 20)
      spectrum wikitext_pooling "$data/wikitext-2/test.txt" --break heading --start mean_pooling
      spectrum wikitext_fitted "$data"/wikitext-2/{valid,test}.txt --break heading "${fitted[@]}"
      spectrum imdb_pooling "$output/imdb_test.txt" --start mean_pooling
      spectrum imdb_fitted "$output"/imdb_{fit,test}.txt "${fitted[@]}"
      scripts/plot_spectrum.py "$output"/*.json --output "$output"
      ;;
    *) echo "results.sh: unknown stage $stage" >&2 && exit 2 ;;
  esac
done
