#!/usr/bin/env bash
# clang-format on every source, then clang-tidy on every header with the committed .clang-tidy: scripts/lint.sh
# One header or more: scripts/lint.sh include/linformer/core/batch.hpp …
. "$(dirname "$0")/common.sh"

scripts/install_dependencies.sh test lint clang
status=0
if [ $# -eq 0 ]; then
  echo "== clang-format"
  find include tests bench examples -name '*.hpp' -print0 -o -name '*.cpp' -print0 | xargs -0 clang-format --dry-run -Werror || status=1
  mapfile -t headers < <(find include -name '*.hpp' | sort)
else
  headers=("$@")
fi

echo "== clang-tidy"
# tests/headers generates a source for every header; each is checked with that header alone in view.
cmake --preset clang -DLINFORMER_BUILD_BENCHMARKS=OFF >/dev/null
printf '%s\n' "${headers[@]}" | xargs -P "$jobs" -I{} sh -c '
  header=$1
  clang-tidy --quiet -p build/clang --header-filter="/$header\$" "build/clang/tests/headers/${header#include/}.cpp" 2>/dev/null &&
    echo "clean: $header" || { echo "NOT clean: $header"; exit 1; }' sh {} || status=1
exit $status
