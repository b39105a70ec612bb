#!/bin/bash
# The table: float16 weights take half the memory, the outputs stay close; and bad input is one line.
set -u
fail() {
  echo "FAILED: $*"
  exit 1
}

table=$("$1" --width=256 --batch=3 --rounds=2 --threads=1) || fail "exit code $?"
ratio=$(awk '/^weights, MiB/ {print $NF}' <<<"$table")
awk -v r="$ratio" 'BEGIN {exit !(r > 0.49 && r <= 0.505)}' || fail "weights: $table"
difference=$(sed -nE 's/^largest difference of the outputs: ([^,]*),.*/\1/p' <<<"$table")
awk -v d="$difference" 'BEGIN {exit !(d > 0 && d < 0.01)}' || fail "difference: $table"
grep -q '^forward, ms' <<<"$table" || fail "no time: $table"

expect_error() {
  local expected=$1
  shift
  local message
  message=$("$@" 2>&1 >/dev/null) && fail "$* succeeded"
  [[ $message == *"$expected"* && $(wc -l <<<"$message") -eq 1 ]] || fail "$*: $message"
}
expect_error '--width is 0; expected 1 to 65536' "$1" --width=0
expect_error 'unknown flag --widht' "$1" --widht=8
expect_error 'no-such-file.pth' "$1" --width=64 --weights=no-such-file.pth
echo "# not weights" >"$TEST_TMPDIR/text.pth"
expect_error 'text.pth' "$1" --width=64 --weights="$TEST_TMPDIR/text.pth"
