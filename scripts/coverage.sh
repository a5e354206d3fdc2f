#!/usr/bin/env bash
# Line coverage of include/ by the unit tests, in percent: scripts/coverage.sh. Details: build/coverage/report.html.
. "$(dirname "$0")/common.sh"

scripts/install_dependencies.sh test coverage
cmake --preset coverage
cmake --build --preset coverage --parallel "$jobs"
find build/coverage -name '*.gcda' -delete
ctest --preset coverage --parallel "$jobs"
gcovr --root . --filter include/ --object-directory build/coverage --exclude-unreachable-branches --print-summary \
  --html-details build/coverage/report.html --txt
