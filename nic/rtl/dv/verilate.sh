#!/bin/sh
# verilate.sh OUT.a OUT.h MODEL-FOLDER INCLUDE-FOLDER SOURCE...: the core as a C++ library.
set -eu
out=$1; header=$2; model=$3; include=$4; shift 4
mkdir -p "$model"
verilator --cc -O3 --x-assign fast --x-initial fast --no-timing -Wall -Wno-UNUSEDPARAM -Wno-UNUSEDSIGNAL \
  "-I$include" --Mdir "$model" --top-module tiara_core --build -j 1 \
  -CFLAGS "-O1 -std=c++17 -w" "$@" >"$model/log" 2>&1 || { cat "$model/log" >&2; exit 1; }
root=$(verilator --getenv VERILATOR_ROOT)
for each in verilated verilated_threads; do
  c++ -O1 -std=c++17 -w -I"$root/include" -I"$root/include/vltstd" -c "$root/include/$each.cpp" -o "$model/$each.o"
done
rm -f "$out"
ar rcs "$out" "$model"/*.o
echo '#include "model/Vtiara_core.h"' >"$header"
