# What the tests of binaries share: sourced first, and `finish` last.
set -u
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/test.XXXXXX")  # a folder of the test's own
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# was_refused CODE EXPECTED STATUS ARGUMENTS...: a binary that was called with these ended with STATUS, which is to be
# CODE, and left exactly one line in $work/stderr, which holds EXPECTED.
was_refused() {
  local code=$1 expected=$2 status=$3
  shift 3
  [[ $status -eq $code ]] || fail "exit code $status, expected $code: $*"
  [[ $(wc -l <"$work/stderr") -eq 1 ]] || fail "not one line for: $*: $(cat "$work/stderr")"
  grep -qF -- "$expected" "$work/stderr" || fail "expected \"$expected\" for: $*, got: $(cat "$work/stderr")"
}

finish() {
  [[ $failures -eq 0 ]] && echo PASSED
  exit $((failures > 0))
}
