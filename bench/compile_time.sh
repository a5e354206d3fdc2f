#!/usr/bin/env bash
# What a program pays for the headers: bench/compile_time.sh [--repetitions=R] [REVISION]
# Compiles the twenty-line example, and an empty program that includes <Eigen/Dense> alone, R times (5) in turns with
# -std=c++20 -O2, and prints seconds and the compiler's peak memory. With a git revision, its example against its own
# headers takes turns too, and the ratio of the tree to it is printed. The compiler is $CXX, or else c++.
cd "$(dirname "$0")/.." && . scripts/common.sh

repetitions=5
revision=
for argument in "$@"; do
  case $argument in
    --help) usage bench/compile_time.sh && exit ;;
    --repetitions=*) repetitions=${argument#*=} ;;
    -*) echo "compile_time.sh: unknown option '$argument'; see --help" >&2 && exit 2 ;;
    *) revision=$argument ;;
  esac
done
if ! [[ $repetitions =~ ^[1-9][0-9]*$ ]]; then
  echo "compile_time.sh: --repetitions: expected a positive whole number, got '$repetitions'" >&2
  exit 2
fi

scripts/install_dependencies.sh build
compiler=${CXX:-c++}
export CCACHE_DISABLE=1 # where the compiler's name leads to ccache
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Where Eigen lies, as CMake finds it.
mkdir "$folder/probe"
cat >"$folder/probe/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.20)
project(probe LANGUAGES NONE)
find_package(Eigen3 REQUIRED NO_MODULE)
get_target_property(folders Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
list(JOIN folders "\n" lines)
file(WRITE "${CMAKE_BINARY_DIR}/eigen" "${lines}\n")
CMAKE
cmake -S "$folder/probe" -B "$folder/probe/build" >/dev/null
eigen=()
while IFS= read -r directory; do eigen+=(-isystem "$directory"); done <"$folder/probe/build/eigen"

printf '#include <Eigen/Dense>\nint main() {}\n' >"$folder/eigen.cpp"
labels=("Eigen/Dense alone" "example, tree")
sources=("$folder/eigen.cpp" examples/attention.cpp)
includes=("$folder" include)
if [ -n "$revision" ]; then
  if ! git rev-parse --verify --quiet "$revision^{commit}" >/dev/null; then
    echo "compile_time.sh: no such revision: '$revision'" >&2
    exit 2
  fi
  mkdir "$folder/revision"
  git archive "$revision^{commit}" include examples/attention.cpp | tar -x -C "$folder/revision"
  labels+=("example, $revision")
  sources+=("$folder/revision/examples/attention.cpp")
  includes+=("$folder/revision/include")
fi

# measured COMMAND…: runs it and prints seconds elapsed, seconds of the processor, peak memory in KiB.
if /usr/bin/time -f '%e %U %S %M' true 2>/dev/null; then
  measured() {
    /usr/bin/time -o "$folder/time" -f '%e %U %S %M' "$@" && awk '{ print $1, $2 + $3, $4 }' "$folder/time"
  }
else
  measured() {
    python3 - "$@" <<'PYTHON'
import resource, subprocess, sys, time
begin = time.monotonic()
status = subprocess.call(sys.argv[1:])
elapsed = time.monotonic() - begin
used = resource.getrusage(resource.RUSAGE_CHILDREN)
unit = 1024 if sys.platform == "darwin" else 1
print(f"{elapsed:.2f} {used.ru_utime + used.ru_stime:.2f} {used.ru_maxrss // unit}")
sys.exit(status)
PYTHON
  }
fi

echo "$("$compiler" --version | head -n 1), -std=c++20 -O2, $repetitions repetitions"
for ((repetition = 0; repetition < repetitions; ++repetition)); do
  for i in "${!labels[@]}"; do
    measured "$compiler" -std=c++20 -O2 -I"${includes[i]}" "${eigen[@]}" -c "${sources[i]}" -o "$folder/object.o" \
      >>"$folder/measured.$i"
  done
done

# column INDEX COLUMN: its values in ascending order.
column() { cut -d' ' -f"$2" "$folder/measured.$1" | sort -n; }
best() { column "$@" | head -n 1; }
median() { column "$@" | awk '{ value[NR] = $1 } END { print (value[int((NR + 1) / 2)] + value[int(NR / 2) + 1]) / 2 }'; }
row() { printf '%-28s %10s %10s %10s %10s %8s\n' "$@"; }
row "" "best, s" "median, s" "CPU best" "CPU median" "MiB"
for i in "${!labels[@]}"; do
  numbers=$(printf '%.2f ' "$(best "$i" 1)" "$(median "$i" 1)" "$(best "$i" 2)" "$(median "$i" 2)")
  # shellcheck disable=SC2086 # four columns
  row "${labels[i]}" $numbers "$(($(column "$i" 3 | tail -n 1) / 1024))"
done
if [ -n "$revision" ]; then
  ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }
  row "tree / $revision" "$(ratio "$(best 1 1)" "$(best 2 1)")" "$(ratio "$(median 1 1)" "$(median 2 1)")" \
    "$(ratio "$(best 1 2)" "$(best 2 2)")" "$(ratio "$(median 1 2)" "$(median 2 2)")" \
    "$(ratio "$(column 1 3 | tail -n 1)" "$(column 2 3 | tail -n 1)")"
fi
