#!/usr/bin/env bash
# A softmax model becomes a Linformer, is healed, and embeds texts: convert, distill and embed, as the README shows them;
# and it becomes one of transformers': export.
set -euo pipefail
pretrain=$1/pretrain convert=$1/convert distill=$1/distill embed=$1/embed export=$1/export source=$2 folder=$3
rm -rf "$folder" && mkdir -p "$folder"
"$pretrain" "$source/LICENSE" --mechanism softmax --steps 20 --warmup 2 --length 64 --batch 8 --learning-rate 1e-2 \
  --output "$folder/softmax"
grep -v '^$' "$source/LICENSE" >"$folder/texts.txt"

last() { # last <what> <folder>: of the last layer; fails where there is no number
  awk -v what="\"$1\":" '$1 == what { sub(",", "", $2); value = $2 }
    END { if (value !~ /^[0-9]/) exit 1; print value + 0 }' "$2/conversion.json"
}
# With windows of one token nothing is lost, whatever a text's length.
"$convert" "$folder/softmax" "$folder/texts.txt" --projection mean_pooling --projected-length 64 --output "$folder/same"
last relative_error "$folder/same" | awk '{ exit !($1 < 1e-5) }'
"$embed" "$folder/softmax" "$folder/texts.txt" --batch 1 >"$folder/softmax.jsonl"
"$embed" "$folder/same" "$folder/texts.txt" --threads 2 >"$folder/same.jsonl"
[ "$(wc -l <"$folder/softmax.jsonl")" = "$(wc -l <"$folder/texts.txt")" ]
paste -d '\n' "$folder/softmax.jsonl" "$folder/same.jsonl" | sed 's/[^[]*\[//; s/].*//' | awk -F, '
  NR % 2 { for (i = 1; i <= 64; ++i) a[i] = $i; next }
  { product = 0; for (i = 1; i <= 64; ++i) product += a[i] * $i; if (!(product > 0.9999 && product < 1.0001)) exit 1 }'

# Fewer rows cost something, of which healing takes a part away; the same command goes on where it was.
"$convert" "$folder/softmax" "$folder/texts.txt" --projected-length 8 --output "$folder/linformer" | tee "$folder/convert.txt"
grep -q "embeddings *1.0000 *0.0000" "$folder/convert.txt"
last relative_error "$folder/linformer" | awk '{ exit !($1 > 1e-4) }'
for _ in 1 2; do
  "$distill" "$folder/softmax" "$folder/linformer" "$folder/texts.txt" --validation 4 --steps 20 --batch 8 --warmup 2 \
    --learning-rate 1e-2 --evaluate-every 10 --output "$folder/healed" | tee "$folder/distill.txt"
  [ -e "$folder/first.txt" ] || cp "$folder/distill.txt" "$folder/first.txt"
done
grep -q "Goes on at step 20" "$folder/distill.txt"
before=$(sed -n 's/.*before: cosine of outputs \([0-9.]*\),.*/\1/p' "$folder/first.txt")
awk -v before="$before" -F'"state_cosine":' 'NF > 1 { sub(",.*", "", $2); after = $2 }
  END { exit !(before > 0 && after > before) }' "$folder/healed/log.jsonl"
[ "$(grep -c embedding_cosine "$folder/healed/log.jsonl")" = 2 ]
"$embed" "$folder/healed" "$folder/texts.txt" --numpy "$folder/healed.npy" --bf16
[ "$(wc -c <"$folder/healed.npy")" = $((128 + 4 * 64 * $(wc -l <"$folder/texts.txt"))) ]
"$distill" "$folder/softmax" "$folder/linformer" "$folder/texts.txt" --validation 4 --steps 2 --warmup 1 --batch 8 --train all \
  --layers 1 --output "$folder/healed_all"

# A masked-language-model head goes along, and its logits are matched as well.
grep -aq lm_head.dense.weight "$folder/linformer/model.safetensors"
grep -aq lm_head.dense.weight "$folder/healed/model.safetensors"
"$convert" "$folder/softmax" --projected-length 4 --start gaussian --output "$folder/gaussian"
for _ in 1 2; do
  "$distill" "$folder/softmax" "$folder/gaussian" "$folder/texts.txt" --validation 8 --steps 30 --batch 8 --warmup 2 \
    --train all --logits 1 --hidden-states 0 --embeddings 0 --learning-rate 1e-3 --evaluate-every 10 --output "$folder/by_logits" | tee "$folder/distill.txt"
  [ -e "$folder/logits.txt" ] || cp "$folder/distill.txt" "$folder/logits.txt"
done
grep -q "Goes on at step 30" "$folder/distill.txt"
before=$(sed -n 's/.*before: .*divergence of logits \([0-9.e-]*\)\.$/\1/p' "$folder/logits.txt")
awk -v before="$before" -F'"logits_divergence":' 'NF > 1 { sub("[,}].*", "", $2); after = $2 }
  END { exit !(after > 0 && after < before) }' "$folder/by_logits/log.jsonl"
grep -aq lm_head.dense.weight "$folder/by_logits/model.safetensors"
if grep -aq lm_head.dense.weight "$folder/healed_all/model.safetensors"; then
  echo "a head that has not seen the encoder that was healed" && exit 1
fi

# E and F fitted to some texts come closer on others, in every layer's heads; a Linformer grows.
for sharing in key_value none; do
  "$convert" "$folder/softmax" "$folder/texts.txt" --projected-length 8 --sharing $sharing --start fitted --fit-texts 8 \
    --fit-iterations 6 --texts 8 --output "$folder/fitted" >"$folder/fit.txt"
  grep -q "E and F are fitted to 8 texts" "$folder/fit.txt"
  awk -v sharing=$sharing '/before/ { table = 1; next } /Of 8 texts/ { table = 0 } table { ++fits; if (!($4 < $3)) exit 1 }
    END { exit !(fits == (sharing == "none" ? 4 : 2)) }' "$folder/fit.txt"
  grep -q '"embedding_cosine"' "$folder/fitted/conversion.json"
done
"$convert" "$folder/fitted" "$folder/texts.txt" --grow tiled --length 100 --texts 8 --output "$folder/grown"
last relative_error "$folder/grown" | awk '{ exit !($1 < 1e-5) }'
"$embed" "$folder/grown" "$folder/texts.txt" >/dev/null

# As transformers has it and back again it embeds to the same bits.
"$export" "$folder/softmax" --output "$folder/exported" | grep "a masked language model"
grep -q '"pad_token_id": 1' "$folder/exported/config.json" # that of byte tokens
"$convert" "$folder/exported" --mechanism softmax --output "$folder/back"
"$embed" "$folder/back" "$folder/texts.txt" --batch 1 | cmp - "$folder/softmax.jsonl"

# What a classifier's outputs are taken for goes along.
{ printf 'sentence\tlabel\n' && sed 's/\t/ /g; s/"//g' "$folder/texts.txt" | awk '{ print $0 "\t" (NR % 2 ? "odd" : "even") }'; } \
  >"$folder/labelled.tsv"
for kind in single multi; do
  "$1/finetune" "$folder/softmax" "$folder/labelled.tsv" $([ $kind = single ] || echo --multi-label) --labels odd even \
    --steps 2 --batch 4 --output "$folder/$kind"
  "$export" "$folder/$kind" --architecture roberta --output "$folder/${kind}_exported" | grep "a classifier"
  grep -q "\"problem_type\": \"${kind}_label_classification\"" "$folder/${kind}_exported/config.json"
  grep -q '"max_position_embeddings": 66' "$folder/${kind}_exported/config.json" # 64 behind the padding's id, 1
done

refuse() { # refuse <pattern> <program> <arguments>
  if "${@:2}" >"$folder/refused.txt" 2>&1; then
    echo "accepted: ${*:2}" && exit 1
  fi
  grep -q "$1" "$folder/refused.txt" || { cat "$folder/refused.txt" && exit 1; }
}
refuse "mechanism: expected softmax attention, as transformers has no other" "$export" "$folder/linformer" \
  --output "$folder/refused"
refuse "expected one of softmax attention, got a Linformer" "$convert" "$folder/linformer" --output "$folder/refused"
refuse "projected_length: expected between 1 and sequence_length 64, got 65" "$convert" "$folder/softmax" \
  --projected-length 65 --output "$folder/refused"
refuse "texts to fit to" "$convert" "$folder/softmax" --start fitted --output "$folder/refused"
refuse "sequence_length: expected at least the encoder's 64, got 10" "$convert" "$folder/linformer" --grow stretched \
  --length 10 --output "$folder/refused"
refuse "expected a Linformer with learned projections" "$distill" "$folder/softmax" "$folder/same" "$folder/texts.txt" \
  --validation 4 --output "$folder/refused"
refuse "expected a masked language model, for --logits" "$distill" "$folder/softmax" "$folder/single" \
  "$folder/texts.txt" --validation 4 --logits 1 --output "$folder/refused"
refuse "more than 500 texts" "$distill" "$folder/softmax" "$folder/linformer" "$folder/texts.txt" --validation 500 \
  --output "$folder/refused"
[ ! -e "$folder/refused" ]

# A run goes on with the model that it began with alone: another of the same shape is another run.
"$convert" "$folder/single" --projected-length 8 --output "$folder/linformer" # the same E and F, other weights
refuse "settings: expected" "$distill" "$folder/softmax" "$folder/linformer" "$folder/texts.txt" --validation 4 --steps 20 \
  --batch 8 --warmup 2 --learning-rate 1e-2 --evaluate-every 10 --output "$folder/healed"
cp -r "$folder/single" "$folder/other"
refuse "settings: expected" "$1/finetune" "$folder/other" "$folder/labelled.tsv" --labels odd even --steps 2 --batch 4 \
  --output "$folder/single"
refuse "classifier.json: expected what finetune writes beside a classifier" bash -c "rm '$folder/multi/classifier.json' &&
  '$export' '$folder/multi' --output '$folder/refused'"
refuse "expected another folder than the model's" "$convert" "$folder/softmax" --mechanism softmax --output "$folder/softmax"
refuse "excludes" "$convert" "$folder/fitted" --grow tiled --length 100 --start gaussian --output "$folder/refused"

# What is not read is told; lines may end as they do elsewhere.
refuse "length: expected at most the model's 64, got 65" "$embed" "$folder/softmax" "$folder/texts.txt" --length 65
"$embed" "$folder/softmax" "$folder/texts.txt" --length 10 --numpy "$folder/cut.npy" 2>"$folder/cut.txt"
grep -q "texts have more than 10 tokens and were cut there" "$folder/cut.txt"
cp -r "$folder/softmax" "$folder/pooled" && mkdir "$folder/pooled/1_Pooling"
echo '[{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]' \
  >"$folder/pooled/modules.json"
echo '{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}' >"$folder/pooled/1_Pooling/config.json"
"$embed" "$folder/pooled" "$folder/texts.txt" >/dev/null
echo '{"pooling_mode_cls_token": true}' >"$folder/pooled/1_Pooling/config.json"
refuse "pooling_mode_cls_token: expected the mean over tokens alone, got true" "$embed" "$folder/pooled" "$folder/texts.txt"
sed 's/$/\r/' "$folder/texts.txt" | "$embed" "$folder/softmax" --batch 1 2>/dev/null | cmp - "$folder/softmax.jsonl"
