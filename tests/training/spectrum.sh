#!/usr/bin/env bash
# How low-rank a softmax model's attention is on some texts, and the conversion that this advises: spectrum, then convert.
set -euo pipefail
pretrain=$1/pretrain spectrum=$1/spectrum convert=$1/convert source=$2 folder=$3
rm -rf "$folder" && mkdir -p "$folder"
"$pretrain" "$source/LICENSE" --mechanism softmax --steps 2 --warmup 1 --length 64 --batch 8 --output "$folder/softmax"
grep -v '^$' "$source/LICENSE" >"$folder/texts.txt"

# value <file> <expression of json>
value() { python3 -c 'import json, sys; json = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"; }
check() { [ "$(value "$1" "$2")" = True ] || { echo "$1: not $2" && exit 1; }; }
refuse() { # refuse <pattern> <program> <arguments>
  if "${@:2}" >"$folder/refused.txt" 2>&1; then
    echo "accepted: ${*:2}" && exit 1
  fi
  grep -q -- "$1" "$folder/refused.txt" || { cat "$folder/refused.txt" && exit 1; }
}

"$spectrum" "$folder/softmax" "$source/LICENSE" --break blank_line --texts 3 --ranks 1 16 \
  --output "$folder/spectrum.json" | tee "$folder/spectrum.txt"
grep -q "of 3 texts, [0-9]* tokens" "$folder/spectrum.txt"
check "$folder/spectrum.json" 'len(json["layers"]) == 2 and json["projected_lengths"] == [2, 4, 8, 16, 32]'
for layer in 0 1; do
  its='json["layers"]['$layer']'
  check "$folder/spectrum.json" "len($its['cumulative']) == 64 and $its['cumulative'] == sorted($its['cumulative'])"
  check "$folder/spectrum.json" "$its['cumulative'][-1] == 1 and $its['output_error'][0] == 1 and $its['output_error'][-1] == 0"
  check "$folder/spectrum.json" "len($its['heads']) == 2 and len($its['heads'][1]['cumulative']) == 2"
  # A layer's share is the mean of its heads'.
  check "$folder/spectrum.json" "abs(sum(head['cumulative'][1] for head in $its['heads']) / 2 - $its['cumulative'][15]) < 2e-6"
done

# convert takes the advice as it is, whatever shares its projections: k by layer, by layer and head, or one.
for sharing in key_value none layerwise; do
  for criterion in output probabilities; do
    "$spectrum" "$folder/softmax" "$folder/texts.txt" --texts 4 --projection mean_pooling --sharing $sharing --keep 0.9 \
      --criterion $criterion --output "$folder/advice.json"
    "$convert" "$folder/softmax" --advice "$folder/advice.json" --output "$folder/linformer"
    check "$folder/linformer/config.json" "json['sharing'] == '$sharing' and json['projection'] == 'mean_pooling'"
    [ "$(value "$folder/linformer/config.json" 'json["projected_length"]')" = \
      "$(value "$folder/advice.json" 'json["advice"]["projected_length"]')" ]
  done
done
# The table's last column: k = n keeps all but rounding, and is the only one that was tried, or was not.
k_of_layers() { # k_of_layers <projected length tried>
  "$spectrum" "$folder/softmax" "$folder/texts.txt" --texts 1 --projection mean_pooling --projected-lengths "$1" \
    --keep 0.9999 --output "$folder/tried.json" | sed -n 's/^ *[01]  *[0-9]*  *[0-9]*  *//p' | paste -s -d ,
}
[ "$(k_of_layers 64)" = 64,64 ]
[ "$(k_of_layers 1)" = "none tried,none tried" ]
# Advice on fitted E and F is to fit them, in the same way.
"$spectrum" "$folder/softmax" "$folder/texts.txt" --texts 4 --start fitted --fit-texts 5 --fit-iterations 3 --ridge 0.01 \
  --projected-lengths 8 --keep 0.01 --output "$folder/fitted.json"
refuse "texts to fit to" "$convert" "$folder/softmax" --advice "$folder/fitted.json" --output "$folder/refused"
"$convert" "$folder/softmax" "$folder/texts.txt" --advice "$folder/fitted.json" --texts 4 --output "$folder/fitted" |
  tee "$folder/fitted.txt"
grep -q "k by what E and F keep, started as fitted" "$folder/fitted.txt"
grep -q "E and F are fitted to 5 texts" "$folder/fitted.txt"
check "$folder/fitted/conversion.json" 'json["fit"]["ridge"] == 0.01 and json["fit"]["iterations"] == 3'
check "$folder/fitted/conversion.json" 'all(fit["ended_by"] in ("iterations", "tolerance") for fit in json["fit"]["fits"])'
check "$folder/fitted/conversion.json" 'json["advice"]["same_model"]'
# Another model of the same shape is told, one of another shape refused.
"$pretrain" "$source/LICENSE" --mechanism softmax --steps 1 --warmup 1 --length 64 --batch 8 --seed 5 \
  --output "$folder/other"
"$convert" "$folder/other" "$folder/texts.txt" --advice "$folder/fitted.json" --output "$folder/from_other" |
  grep "computed for another model"
sed 's/"heads":2/"heads":4/' "$folder/fitted.json" >"$folder/heads.json"
refuse "heads.json: heads: expected 2, the model's, got 4" "$convert" "$folder/softmax" "$folder/texts.txt" \
  --advice "$folder/heads.json" --output "$folder/refused"
# All is kept by k = n alone.
"$spectrum" "$folder/softmax" "$folder/texts.txt" --texts 4 --projection mean_pooling --keep 1 --output "$folder/all.json"
check "$folder/all.json" 'json["advice"]["projected_length"] == [64, 64]'
"$convert" "$folder/softmax" "$folder/texts.txt" --advice "$folder/all.json" --output "$folder/same"
check "$folder/same/conversion.json" 'json["cost"]["layers"][-1]["relative_error"] < 1e-5'

: >"$folder/empty.txt"
echo '{"advice": {"sequence_length": 64, "projected_length": [0.5]}}' >"$folder/fraction.json"
refuse "empty.txt: expected texts, got 0" "$spectrum" "$folder/softmax" "$folder/empty.txt" --output "$folder/refused"
refuse "expected one of softmax attention, got a Linformer" "$spectrum" "$folder/linformer" "$folder/texts.txt" \
  --output "$folder/refused"
refuse "--length: expected at most the model's 64, got 65" "$spectrum" "$folder/softmax" "$folder/texts.txt" --length 65 \
  --output "$folder/refused"
refuse "--ranks: expected at most n = 64, got 128" "$spectrum" "$folder/softmax" "$folder/texts.txt" --ranks 128 \
  --output "$folder/refused"
refuse "projected_length: expected between 1 and sequence_length 64, got 65" "$spectrum" "$folder/softmax" \
  "$folder/texts.txt" --projected-lengths 65 --output "$folder/refused"
refuse "the field advice" "$convert" "$folder/softmax" --advice "$folder/same/config.json" --output "$folder/refused"
refuse "projected_length: expected whole numbers" "$convert" "$folder/softmax" --advice "$folder/fraction.json" \
  --output "$folder/refused"
refuse "excludes" "$convert" "$folder/softmax" --advice "$folder/all.json" --length 32 --output "$folder/refused"
refuse "excludes" "$convert" "$folder/softmax" --advice "$folder/all.json" --ridge 1 --output "$folder/refused"
[ ! -e "$folder/refused" ]
