#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh [name...]: runs tests/fault/<name>.test.mjs, or all of them, against the
# program in $BAILIFF with the library in $SHIM (default: of build/release).
# The last line is "fault: N passed, N failed".
here=$(cd "$(dirname "$0")" && pwd)
export SUITE=fault SUITE_DIR="$here" FILE_MS=1800000
exec "$here/../e2e/run.sh" "$@"
