#!/usr/bin/env bash
# Puts the headers of Eigen 5 into a folder, for tests/package: scripts/fetch_eigen5.sh [FOLDER], default build/eigen5.
# They travel in a wheel of the Python package index, which is often reachable where source hosts are not.
. "$(dirname "$0")/common.sh"

folder=${1:-build/eigen5}
if [ -e "$folder/share/eigen3/cmake/Eigen3Config.cmake" ]; then
  echo "Eigen 5: already in $folder"
  exit 0
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
  echo "Eigen 5: cannot be fetched, since this machine has no python3 with pip" >&2
  exit 1
fi

download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$download" eigency==5.0.1.1
(cd "$download" && cmake -E tar xf eigency-*.whl)
mkdir -p "$folder/include/eigen3" "$folder/share/eigen3/cmake"
cp -r "$download/eigency/eigen/." "$folder/include/eigen3/"

# The wheel has no CMake package: this one answers as Eigen's own does, to its major version only.
cat >"$folder/share/eigen3/cmake/Eigen3ConfigVersion.cmake" <<'CMAKE'
set(PACKAGE_VERSION 5.0.1)
if(PACKAGE_FIND_VERSION_MAJOR EQUAL 5 AND NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
CMAKE
cat >"$folder/share/eigen3/cmake/Eigen3Config.cmake" <<'CMAKE'
if(NOT TARGET Eigen3::Eigen)
  add_library(Eigen3::Eigen INTERFACE IMPORTED)
  set_target_properties(Eigen3::Eigen PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CURRENT_LIST_DIR}/../../../include/eigen3")
endif()
CMAKE
echo "Eigen 5: headers in $folder"
