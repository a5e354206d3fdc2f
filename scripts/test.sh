#!/usr/bin/env bash
# Builds and runs every test, after installing what is missing: scripts/test.sh [PRESET… | --all] [-- arguments of ctest]
# Presets: release (the default), debug, clang, sanitizers; --all is release, clang and sanitizers.
. "$(dirname "$0")/common.sh"

presets=()
while [ $# -gt 0 ]; do
  case $1 in
    --all) presets+=(release clang sanitizers) ;;
    --help) usage && exit ;;
    --) shift && break ;;
    *) presets+=("$1") ;;
  esac
  shift
done
[ ${#presets[@]} -gt 0 ] || presets=(release)

tasks=(test bench)
[[ " ${presets[*]} " == *" clang "* ]] && tasks+=(clang)
scripts/install_dependencies.sh "${tasks[@]}"
scripts/fetch_eigen5.sh build/eigen5 || echo "Goes on without Eigen 5: its test will be skipped."

for preset in "${presets[@]}"; do
  echo "== $preset: configure"
  cmake --preset "$preset"
  echo "== $preset: build"
  cmake --build --preset "$preset" --parallel "$jobs"
  echo "== $preset: test"
  ctest --preset "$preset" --parallel "$jobs" --output-on-failure "$@"
done
