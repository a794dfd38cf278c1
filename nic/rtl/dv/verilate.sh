#!/bin/sh
# verilate.sh OUT.a OUT.h FOLDER INCLUDE-FOLDER TOP CLASS PARAMETERS SOURCE...: a module as a C++ library. FOLDER is for
# what is built on the way, relative to INCLUDE-FOLDER; PARAMETERS are options of Verilator's (-G...), or nothing.
set -eu
out=$1; header=$2; folder=$3; include=$4; top=$5; class=$6; parameters=$7; shift 7
model=$include/$folder
mkdir -p "$model"
# shellcheck disable=SC2086 # parameters are words
verilator --cc -O3 --x-assign fast --x-initial fast --no-timing -Wall -Wno-UNUSEDPARAM -Wno-UNUSEDSIGNAL \
  "-I$include" "-I$(dirname "$0")/../formal" --Mdir "$model" --top-module "$top" --prefix "$class" $parameters --build -j 1 \
  -CFLAGS "-O1 -std=c++17 -w" "$@" >"$model/log" 2>&1 || { cat "$model/log" >&2; exit 1; }
root=$(verilator --getenv VERILATOR_ROOT)
for each in verilated verilated_threads; do
  c++ -O1 -std=c++17 -w -I"$root/include" -I"$root/include/vltstd" -c "$root/include/$each.cpp" -o "$model/$each.o"
done
rm -f "$out"
ar rcs "$out" "$model"/*.o
echo "#include \"$folder/$class.h\"" >"$header"
