#!/bin/sh
# Writes files with Halftone and checks them in Python.
set -eu
if [ -z "${HALFTONE_INTEROP_PYTHON:-}" ]; then
  echo "SKIPPED: HALFTONE_INTEROP_PYTHON names no python with testing/interop/requirements.txt installed"
  # Bazel knows no skipped tests; its result file does.
  cat >"$XML_OUTPUT_FILE" <<XML
<testsuites>
  <testsuite name="file_formats_test" tests="1" failures="0" errors="0" skipped="1">
    <testcase name="file_formats_test"><skipped/></testcase>
  </testsuite>
</testsuites>
XML
  exit 0
fi
io/interop_writer "$TEST_TMPDIR"
exec "$HALFTONE_INTEROP_PYTHON" testing/interop/file_formats.py "$TEST_TMPDIR"
