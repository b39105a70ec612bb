#!/bin/sh
# Writes files with Halftone and checks them in Python.
set -eu
if [ -z "${HALFTONE_INTEROP_PYTHON:-}" ]; then
  echo "SKIPPED: HALFTONE_INTEROP_PYTHON names no python with testing/interop/requirements.txt installed"
  exit 0
fi
io/interop_writer "$TEST_TMPDIR"
exec "$HALFTONE_INTEROP_PYTHON" testing/interop/file_formats.py "$TEST_TMPDIR"
