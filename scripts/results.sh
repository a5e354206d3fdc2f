#!/usr/bin/env bash
# The runs behind docs/results.md: scripts/results.sh [STAGE…]. Each goes on where it was interrupted, and what is done
# is not done again. Stages: pretrain sst2 imdb davidson qnli qqp listops (all without an argument), then the tables of
# scripts/results.py. Needs the data that docs/results.md names, in the folder LINFORMER_DATA. Results lie in
# build/results. THREADS (2) changes no bit of them.
. "$(dirname "$0")/common.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi
data=${LINFORMER_DATA:?names the folder of the data}
stages=("$@")
[ $# -gt 0 ] || stages=(pretrain sst2 imdb davidson qnli qqp listops)
folder=build/results
programs=build/release/examples
scripts/install_dependencies.sh build test plots
cmake --preset release >/dev/null
cmake --build --preset release --parallel "$jobs" --target pretrain finetune listops
mkdir -p "$folder"

pretrain() { # pretrain <name> <mechanism> <sharing> <n> <k> <sequences a batch>: 4,096 tokens a step in all
  [ -f "$folder/wikitext/$1/model.safetensors" ] && return
  echo "== pretrain $1"
  "$programs/pretrain" "$data/wikitext-2/train.txt" --validation "$data/wikitext-2/valid.txt" --vocabulary 8192 \
    --layers 2 --width 128 --heads 2 --mechanism "$2" --sharing "$3" --length "$4" --projected-length "$5" --batch "$6" \
    --steps 1600 --warmup 160 --learning-rate 2e-3 --evaluate-every 400 --threads "${THREADS:-2}" \
    --output "$folder/wikitext/$1"
}

finetune() { # finetune <task> <pretrained> <seed> <arguments>…: judged once, at its end
  local output="$folder/$1/$2-$3" model="$folder/wikitext/$2" seed=$3
  shift 3
  [ -f "$output/scores.json" ] && return
  echo "== $output"
  "$programs/finetune" "$model" "$@" --pooling mean --learning-rate 1e-3 --evaluate-every 1000000 --seed "$seed" \
    --threads "${THREADS:-2}" --output "$output"
}

of_both() { # of_both <task> <seeds> <arguments>…
  local task=$1 seeds=$2 seed
  shift 2
  for seed in $seeds; do
    finetune "$task" softmax-512 "$seed" "$@"
    finetune "$task" key_value-512-128 "$seed" "$@"
  done
}

for stage in "${stages[@]}"; do
  case $stage in
    pretrain)
      pretrain softmax-512 softmax key_value 512 128 8
      pretrain key_value-512-128 linformer key_value 512 128 8
      pretrain key_value-512-64 linformer key_value 512 64 8
      pretrain key_value-512-256 linformer key_value 512 256 8
      pretrain headwise-512-128 linformer headwise 512 128 8
      pretrain layerwise-512-128 linformer layerwise 512 128 8
      pretrain none-512-128 linformer none 512 128 8
      pretrain key_value-256-128 linformer key_value 256 128 16
      pretrain key_value-1024-128 linformer key_value 1024 128 4
      ;;
    sst2) of_both sst2 "1 2 3" "$data/sst2/train.tsv" --validation "$data/sst2/dev.tsv" --batch 64 --epochs 2 ;;
    imdb)
      if [ ! -d "$folder/imdb-data" ]; then
        mkdir -p "$folder/imdb-data.part"
        tar xJf "$data/imdb/aclImdb_labeled_50k.tar.xz" -C "$folder/imdb-data.part"
        mv "$folder/imdb-data.part" "$folder/imdb-data"
      fi
      reviews=$folder/imdb-data/data/aclImdb # a fifth of the official training split stands in val/
      of_both imdb 1 "$reviews/train" "$reviews/val" --validation "$data/imdb/test_5k.tsv" --text text --labels 0 1 \
        --batch 32 --epochs 2
      ;;
    davidson)
      of_both davidson 1 "$data/hate-speech/davidson.csv" --text tweet --label class --validation-share 0.2 \
        --class-weights balanced --batch 32 --epochs 3
      ;;
    qnli)
      of_both qnli 1 "$data/qnli/train_19k.tsv" --validation "$data/qnli/dev.tsv" --text question --second sentence \
        --batch 32 --epochs 3
      ;;
    qqp)
      of_both qqp 1 "$data/qqp/train_19k.tsv" --validation "$data/qqp/test_10k.tsv" --text question1 --second question2 \
        --batch 32 --epochs 3
      ;;
    *) echo "results.sh: unknown stage $stage" >&2 && exit 2 ;;
  esac
done
