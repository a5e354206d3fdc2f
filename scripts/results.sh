#!/usr/bin/env bash
# The runs behind docs/results.md: scripts/results.sh [STAGE…]. Each goes on where it was interrupted, and what is done
# is not done again. Stages: wikitext reviews sst2 imdb davidson qqp qnli (all without an argument). Needs the data that
# docs/results.md names, in the folder LINFORMER_DATA. Results lie in build/results. THREADS (2) changes no bit of them.
. "$(dirname "$0")/common.sh"

if [ "${1:-}" = --help ]; then usage && exit; fi
data=${LINFORMER_DATA:?names the folder of the data}
stages=("$@")
[ $# -gt 0 ] || stages=(wikitext reviews sst2 imdb davidson qqp qnli)
folder=build/results
programs=build/release/examples
scripts/install_dependencies.sh build test plots
cmake --preset release >/dev/null
cmake --build --preset release --parallel "$jobs" --target pretrain finetune
mkdir -p "$folder"

reviews=$folder/imdb-data/data/aclImdb # a fifth of the official training split stands in val/
unpack_reviews() {
  [ -d "$folder/imdb-data" ] && return
  mkdir -p "$folder/imdb-data.part"
  tar xJf "$data/imdb/aclImdb_labeled_50k.tar.xz" -C "$folder/imdb-data.part"
  mv "$folder/imdb-data.part" "$folder/imdb-data"
}

pretrain() { # pretrain <name> <steps> <mechanism> <sharing> <n> <k> <sequences a batch> <files>…: 4,096 tokens a step
  local output="$folder/pretrained/$1" steps=$2 mechanism=$3 sharing=$4 n=$5 k=$6 batch=$7
  shift 7
  [ -f "$output/model.safetensors" ] && return
  echo "== $output"
  "$programs/pretrain" "$@" --validation "$data/wikitext-2/valid.txt" --vocabulary 8192 --layers 2 --width 128 \
    --heads 2 --mechanism "$mechanism" --sharing "$sharing" --length "$n" --projected-length "$k" --batch "$batch" \
    --steps "$steps" --warmup $((steps / 10)) --learning-rate 2e-3 --evaluate-every 400 --threads "${THREADS:-2}" \
    --output "$output"
}

finetune() { # finetune <task> <pretrained> <seed> <arguments>…: judged once, at its end
  local output="$folder/$1/$2-$3" model="$folder/pretrained/$2" seed=$3
  shift 3
  [ -f "$output/scores.json" ] && return
  echo "== $output"
  "$programs/finetune" "$model" "$@" --pooling mean --evaluate-every 1000000 --seed "$seed" \
    --threads "${THREADS:-2}" --output "$output"
}

of_both() { # of_both <task> <seeds> <arguments>…
  local task=$1 seeds=$2 seed
  shift 2
  for seed in $seeds; do
    finetune "$task" reviews-softmax "$seed" "$@"
    finetune "$task" reviews-linformer "$seed" "$@"
  done
}

for stage in "${stages[@]}"; do
  case $stage in
    wikitext)
      wiki=$data/wikitext-2/train.txt
      pretrain softmax-512 1600 softmax key_value 512 128 8 "$wiki"
      pretrain key_value-512-128 1600 linformer key_value 512 128 8 "$wiki"
      pretrain key_value-512-64 1600 linformer key_value 512 64 8 "$wiki"
      pretrain key_value-512-256 1600 linformer key_value 512 256 8 "$wiki"
      pretrain layerwise-512-128 1600 linformer layerwise 512 128 8 "$wiki"
      ;;
    reviews) # WikiText-2 and, unlabelled, the training texts of SST-2 and IMDB
      unpack_reviews
      mkdir -p "$folder/text"
      tail -n +2 "$data/sst2/train.tsv" | cut -f1 >"$folder/text/sst2.txt"
      find "$reviews"/{train,val} -name '*.txt' | LC_ALL=C sort | xargs sed -e '$a\' >"$folder/text/imdb.txt"
      files=("$data/wikitext-2/train.txt" "$folder"/text/{sst2,imdb}.txt)
      pretrain reviews-softmax 2400 softmax key_value 512 128 8 "${files[@]}"
      pretrain reviews-linformer 2400 linformer key_value 512 128 8 "${files[@]}"
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
    *) echo "results.sh: unknown stage $stage" >&2 && exit 2 ;;
  esac
done
