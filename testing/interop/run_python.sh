#!/bin/sh
# run_python.sh <script> <binary>: runs the script with the binary and an empty folder.
set -eu
if [ -z "${HALFTONE_INTEROP_PYTHON:-}" ]; then
  echo "SKIPPED: HALFTONE_INTEROP_PYTHON names no python with testing/interop/requirements.txt installed"
  # Bazel knows no skipped tests; its result file does.
  cat >"$XML_OUTPUT_FILE" <<XML
<testsuites>
  <testsuite name="$1" tests="1" failures="0" errors="0" skipped="1">
    <testcase name="$1"><skipped/></testcase>
  </testsuite>
</testsuites>
XML
  exit 0
fi
mkdir "$TEST_TMPDIR/files"
exec "$HALFTONE_INTEROP_PYTHON" -W ignore "testing/interop/$1" "$2" "$TEST_TMPDIR/files"
