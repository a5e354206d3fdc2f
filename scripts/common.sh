# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts: they run from the project's root, stop at the first error, and build on all cores, or on
# $JOBS of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}

# Ninja where it is there, or where there is no make and install_dependencies.sh will bring it.
if command -v ninja >/dev/null || ! command -v make >/dev/null; then
  export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
fi

# The comment at the head of the calling script. usage [PATH], from the root, of a script that lies elsewhere
usage() { sed -n '2,/^[^#]/s/^# //p' "${1:-scripts/$(basename "$0")}"; }

# The Python that has matplotlib, where one has; else any.
python_of_plots() {
  if ! python3 -c 'import matplotlib' 2>/dev/null && /usr/bin/python3 -c 'import matplotlib' 2>/dev/null; then
    echo /usr/bin/python3
  else
    echo python3
  fi
}
