#!/bin/sh
# synth/count.sh GENERATED-FOLDER xcup|ecp5 [CONTEXTS] [OUT]: what the core takes on UltraScale+ or ECP5, by yosys.
# GENERATED-FOLDER is where tiara_pkg.sv and tiara_rom.svh are (build/nic/rtl). Counts only: no open tool times these.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
generated=$1; target=$2; contexts=${3:-32}; out=${4:-$target-$contexts.stat}
sources="$generated/tiara_pkg.sv"
for part in ready shift serial pad check core; do sources="$sources $here/tiara_$part.sv"; done
case $target in
  xcup) synthesis="synth_xilinx -family xcup -flatten -nosrl -noiopad -abc9 -top tiara_core" ;;
  ecp5) synthesis="synth_ecp5 -abc9 -top tiara_core" ;;
  *) echo "count.sh: '$target' is neither xcup nor ecp5" >&2; exit 64 ;;
esac
yosys -q -p "read_verilog -sv -I $generated $sources; chparam -set Contexts $contexts tiara_core
  $synthesis; tee -o $out stat" >"$out.log"
sed -n '/=== tiara_core/,$p' "$out"
