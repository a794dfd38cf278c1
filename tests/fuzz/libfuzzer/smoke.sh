#!/usr/bin/env bash
# A fixed number of runs from a fixed seed, beginning with the kept corpus: smoke.sh EXECUTABLE CORPUS RUNS
set -euo pipefail
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
# Leaks are looked for by tracing, which containers forbid.
"$1" -seed=1 -runs="$3" -max_len=4096 -detect_leaks=0 -print_final_stats=1 -artifact_prefix="$found/" "$found" "$2"
