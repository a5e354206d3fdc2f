#!/usr/bin/env bash
# Installs what is missing for a task, and nothing else: scripts/install_dependencies.sh [TASK…]
# Tasks: build test bench plots (these four without an argument) references clang aarch64 coverage lint docs.
# Where it may not install, it says what to install.
. "$(dirname "$0")/common.sh"

tasks=("$@")
[ $# -gt 0 ] || tasks=(build test bench plots)

missing=()      # Debian packages
need() {        # need <package> <command that succeeds if it is there>…
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
any_of() {      # any_of <program>…
  local program
  for program in "$@"; do command -v "$program" && return; done
  return 1
}
cmake_finds() { # cmake_finds <CMake package>: asks CMake itself, so that any place it would search counts
  local probe status=0
  probe=$(mktemp -d)
  printf 'cmake_minimum_required(VERSION 3.20)\nproject(probe CXX)\nfind_package(%s REQUIRED NO_MODULE)\n' "$1" \
    >"$probe/CMakeLists.txt"
  cmake -S "$probe" -B "$probe/build" || status=$?
  rm -rf "$probe"
  return "$status"
}
cxx_finds() { echo "#include <$1>" | "$(any_of c++ g++ clang++)" -x c++ -fsyntax-only -; }
python_has() { any_of python3 && { python3 -c "import $1" || /usr/bin/python3 -c "import $1"; }; }

need g++ any_of c++ g++ clang++
need cmake any_of cmake
need ninja-build any_of ninja make
need libeigen3-dev cmake_finds Eigen3
for task in "${tasks[@]}"; do
  case $task in
    build) ;;
    test)
      need catch2 cmake_finds Catch2
      need libcli11-dev cmake_finds CLI11
      need nlohmann-json3-dev cmake_finds nlohmann_json
      need libsentencepiece-dev cxx_finds sentencepiece_trainer.h
      need libutf8proc-dev cxx_finds utf8proc.h
      need libopenmpi-dev any_of mpicxx mpic++
      need openmpi-bin any_of mpirun
      ;;
    bench) need libbenchmark-dev cmake_finds benchmark ;;
    references) # other libraries' products, measured beside ours
      need libopenblas-dev cmake_finds OpenBLAS
      need libdnnl-dev cxx_finds dnnl.hpp
      ;;
    plots)
      need python3 any_of python3
      need python3-matplotlib python_has matplotlib
      ;;
    clang) need clang any_of clang++ ;;
    aarch64) # the preset of that name
      need g++-aarch64-linux-gnu any_of aarch64-linux-gnu-g++ aarch64-linux-gnu-g++-12
      need qemu-user any_of qemu-aarch64
      ;;
    coverage) need gcovr any_of gcovr ;;
    lint)
      need clang-format any_of clang-format
      need clang-tidy any_of clang-tidy
      ;;
    docs) need doxygen any_of doxygen ;;
    *)
      echo "unknown task '$task'; known: build test bench plots references clang coverage lint docs" >&2
      exit 2
      ;;
  esac
done

if [ ${#missing[@]} -eq 0 ]; then
  echo "Dependencies (${tasks[*]}): all there."
  exit 0
fi
echo "Dependencies (${tasks[*]}): missing ${missing[*]}"

as_root=()
if ! command -v apt-get >/dev/null; then
  reason="this machine has no apt-get"
elif [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
  reason="apt-get needs root, and sudo is missing or asks for a password"
else
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  reason=""
  echo "Installing them with apt-get …"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    reason="apt-get failed"
fi
if [ -z "$reason" ]; then
  echo "Installed: ${missing[*]}"
  exit 0
fi

# The same packages under the names of other package managers.
fedora() { sed 's/\bg++/gcc-c++/; s/libeigen3-dev/eigen3-devel/; s/\bcatch2\b/catch-devel/; s/libbenchmark-dev/google-benchmark-devel/; s/libcli11-dev/cli11-devel/; s/nlohmann-json3-dev/json-devel/; s/libsentencepiece-dev/sentencepiece-devel/; s/libutf8proc-dev/utf8proc-devel/; s/libopenmpi-dev/openmpi-devel/; s/openmpi-bin/openmpi/; s/libopenblas-dev/openblas-devel/; s/libdnnl-dev/onednn-devel/; s/clang-format clang-tidy/clang-tools-extra/'; }
homebrew() { sed 's/\bg++/gcc/; s/ninja-build/ninja/; s/libeigen3-dev/eigen/; s/libbenchmark-dev/google-benchmark/; s/libcli11-dev/cli11/; s/nlohmann-json3-dev/nlohmann-json/; s/libsentencepiece-dev/sentencepiece/; s/libutf8proc-dev/utf8proc/; s/libopenmpi-dev/open-mpi/; s/openmpi-bin/open-mpi/; s/libopenblas-dev/openblas/; s/libdnnl-dev/onednn/; s/clang-format clang-tidy/llvm/; s/python3-matplotlib/python-matplotlib/'; }
cat >&2 <<MESSAGE

Cannot install them: $reason. Please install them yourself and start again:
  Debian, Ubuntu: sudo apt-get install ${missing[*]}
  Fedora:         sudo dnf install $(fedora <<<"${missing[*]}")
  macOS:          brew install $(homebrew <<<"${missing[*]}")
Packages in a folder of your own are found through the environment variable CMAKE_PREFIX_PATH. With a network, CMake can
download Eigen, Catch2, Google Benchmark and CLI11 by itself: cmake -B build -DLINFORMER_FETCH_DEPENDENCIES=ON
MESSAGE
exit 1
