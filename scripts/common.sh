# Sourced by the other scripts: they run from the project's root, stop at the first error, and build on all cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
jobs=$(getconf _NPROCESSORS_ONLN)

# Ninja where it is there, or where there is no make and install_dependencies.sh will bring it.
if command -v ninja >/dev/null || ! command -v make >/dev/null; then
  export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
fi

# The comment at the head of the calling script.
usage() { sed -n '2,/^[^#]/s/^# //p' "$0"; }
