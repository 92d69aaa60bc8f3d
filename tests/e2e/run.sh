#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh [name...]: runs tests/e2e/<name>.test.mjs, or all of them, against the
# program in $BAILIFF (default build/release/bailiff). Needs Node 18 or later.
# The last line is "e2e: N passed, N failed".
cd "$(dirname "$0")" || exit 1
if ! [ node_modules/.package-lock.json -nt package-lock.json ]; then
    npm ci --ignore-scripts --no-audit --no-fund --silent >&2 || {
        echo "e2e: npm ci failed" >&2
        echo "e2e: 0 passed, 1 failed"
        exit 1
    }
    touch node_modules/.package-lock.json
fi
exec node report.mjs "$@"
