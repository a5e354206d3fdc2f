#!/usr/bin/env bash
# Shows O(n) against O(n^2) on this machine: scripts/bench.sh [--full] [arguments of the benchmark…]
# Installs what is missing, builds, measures, prints the table and writes the plots to build/bench. The quick grid takes
# about two minutes; --full is the whole grid of the paper.
. "$(dirname "$0")/common.sh"

grid=quick
if [ "${1:-}" = --help ]; then usage && exit; fi
if [ "${1:-}" = --full ]; then grid=full && shift; fi

scripts/install_dependencies.sh bench
scripts/install_dependencies.sh plots || echo "Goes on without plots."

echo "== build"
cmake -S . -B build/bench -DCMAKE_BUILD_TYPE=Release -DLINFORMER_BUILD_TESTS=OFF -DLINFORMER_BUILD_EXAMPLES=OFF
cmake --build build/bench --parallel "$jobs" --target attention_benchmark

echo "== measure ($grid grid)"
build/bench/bench/attention_benchmark --grid=$grid --benchmark_out=build/bench/attention.json --benchmark_out_format=json "$@"

echo "== report"
"$(python_of_plots)" scripts/report.py build/bench/attention.json --output build/bench
