#!/usr/bin/env bash
# Compiles the parts that the libFuzzer targets reach, instrumented, and the targets.
#   build.sh CLANG++ SOURCE_ROOT OUTPUT_FOLDER DEPFILE TARGET... -- SOURCE...      (sources relative to the root)
set -euo pipefail
cxx=$1 root=$2 out=$3 depfile=$4
shift 4
targets=()
while [ "$1" != -- ]; do targets+=("$1"); shift; done
shift
objects=$out/libfuzzer.objects
mkdir -p "$objects"
# libstdc++ 12's own std::stable_sort uses what C++17 deprecated, which clang says.
flags=(-std=c++23 -D_GNU_SOURCE -O1 -g1 -fno-strict-aliasing -fno-omit-frame-pointer -I "$root" -pthread
       -Wno-deprecated-declarations)
export root objects cxx
export flags_text="${flags[*]}"
compile() {  # SOURCE
  # shellcheck disable=SC2086  # the flags have no spaces in them
  $cxx $flags_text -fsanitize=fuzzer-no-link,address -MMD -c "$root/$1" -o "$objects/${1//\//_}.o"
}
export -f compile
printf '%s\n' "$@" | xargs -P 2 -I{} bash -c 'compile {}'
for target in "${targets[@]}"; do compile "tests/fuzz/libfuzzer/$target.cc"; done
shared=()
for source in "$@"; do shared+=("$objects/${source//\//_}.o"); done
for target in "${targets[@]}"; do
  # shellcheck disable=SC2086
  $cxx $flags_text -fsanitize=fuzzer,address "$objects/tests_fuzz_libfuzzer_$target.cc.o" "${shared[@]}" \
    -lasmjit -lxxhash -luring -l:libssl.a -l:libcrypto.a -o "$out/libfuzzer_$target"
done
# One rule for ninja: the first target depends on every header that was read.
{
  printf '%s:' "$out/libfuzzer_${targets[0]}"
  cat "$objects"/*.d | sed -e 's/^[^ ]*: *//' -e 's/\\$//' | tr -s ' \n' '\n' | sort -u | tr '\n' ' '
  echo
} >"$depfile"
