#!/usr/bin/env bash
# Measures this library beside PyTorch, ONNX Runtime and OpenVINO: bench/peers/run.sh [arguments of peers.py…]
# A training step beside PyTorch's: bench/peers/run.sh --training [arguments of training.py…]
# A whole encoder in inference: bench/peers/run.sh --encoder [arguments of encoders.py…]
# MiniLM in inference: bench/peers/run.sh --encoder --model build/minilm --n 128,512,4096 --batch 1,32
# Makes a virtual environment in build/peers, compiles the library without flags, runs, prints the table.
cd "$(dirname "$0")/../.." && . scripts/common.sh

scripts/install_dependencies.sh build
folder=build/peers
mkdir -p "$folder"
if [ ! -x "$folder/venv/bin/python" ]; then python3 -m venv "$folder/venv"; fi
"$folder/venv/bin/pip" install --quiet --requirement bench/peers/requirements.txt

cmake -S . -B "$folder/cmake" -DCMAKE_BUILD_TYPE=Release -DLINFORMER_BUILD_TESTS=OFF -DLINFORMER_BUILD_EXAMPLES=OFF \
  -DLINFORMER_BUILD_BENCHMARKS=OFF -DLINFORMER_BUILD_PEERS=ON
cmake --build "$folder/cmake" --target linformer_peer linformer_training_peer linformer_encoder_peer

if [ "${1:-}" = --training ]; then
  shift
  exec "$folder/venv/bin/python" bench/peers/training.py \
    --library "$folder/cmake/bench/peers/liblinformer_training_peer.so" --output "$folder/training.json" "$@"
fi
if [ "${1:-}" = --encoder ]; then
  shift
  exec "$folder/venv/bin/python" bench/peers/encoders.py \
    --library "$folder/cmake/bench/peers/liblinformer_encoder_peer.so" --output "$folder/encoders.json" "$@"
fi
"$folder/venv/bin/python" bench/peers/peers.py --library "$folder/cmake/bench/peers/liblinformer_peer.so" \
  --output "$folder/peers.json" "$@"
"$folder/venv/bin/python" bench/peers/report.py "$folder/peers.json"
