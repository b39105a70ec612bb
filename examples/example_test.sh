#!/bin/bash
# example_test.sh EXAMPLE PATTERN...: the example ends with exit code 0, and each pattern (an extended regular
# expression) matches a line of what it prints.
set -u
export TMPDIR="$TEST_TMPDIR"
export OMP_NUM_THREADS=1  # networks as small as these gain nothing from more
output=$("$1")
code=$?
echo "$output"
[[ $code -eq 0 ]] || { echo "FAILED: exit code $code"; exit 1; }
for pattern in "${@:2}"; do
  grep -qE -- "$pattern" <<<"$output" || { echo "FAILED: no line matches: $pattern"; exit 1; }
done
