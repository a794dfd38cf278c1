#!/bin/sh
# synth/count.sh GENERATED-FOLDER xcup|ecp5 [CONTEXTS [SECONDS [CORES]]]: what the core takes on UltraScale+ or ECP5, by
# yosys; with CORES, what the whole NIC with so many of them does.
# GENERATED-FOLDER is where tiara_pkg.sv and tiara_rom.svh are (build/nic/rtl). Counts only: no open tool times these.
# The hierarchy is kept and -abc9 is not used: with -flatten and -abc9 yosys 0.23 did not finish.
# After SECONDS (1200) it gives up with exit status 124. One line: what is in the core, its parts included.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
generated=$1; target=$2; contexts=${3:-32}; seconds=${4:-1200}; cores=${5:-}
top=tiara_core; size="-set Contexts $contexts"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
sources="$generated/tiara_pkg.sv"
for part in ready shift serial pad check core; do sources="$sources $here/tiara_$part.sv"; done
if [ -n "$cores" ]; then
  top=tiara_nic; size="$size -set Cores $cores"
  for part in wire cache mover hash siphash ingress operators front dispatch cores counts moves memory finish egress bus nic
  do sources="$sources $here/tiara_$part.sv"; done
fi
case $target in
  xcup) synthesis="synth_xilinx -family xcup -nosrl -noiopad -top $top" ;;
  ecp5) synthesis="synth_ecp5 -noflatten -top $top" ;;
  *) echo "count.sh: '$target' is neither xcup nor ecp5" >&2; exit 64 ;;
esac
timeout "$seconds" yosys -q -l "$out/log" -p "read_verilog -sv -I $generated $sources
  chparam $size $top; $synthesis; tee -q -o $out/stat stat -top $top" >"$out/screen" 2>&1 || {
  status=$?
  [ $status = 124 ] && echo "count.sh: no result for $target, $contexts contexts in $seconds s" >&2 || tail "$out/screen" >&2
  exit $status
}
# The last table is the whole hierarchy's.
awk -v what="$target, $contexts contexts${cores:+, $cores cores}:" '
  /design hierarchy/ { counting = 1; next }
  counting && NF == 2 && $2 ~ /^[0-9]+$/ { n[$1] = $2 }
  END {
    lut = n["LUT1"] + n["LUT2"] + n["LUT3"] + n["LUT4"] + n["LUT5"] + n["LUT6"] + n["INV"]
    ff = n["FDRE"] + n["FDCE"] + n["FDPE"] + n["FDSE"] + n["TRELLIS_FF"]
    if (n["RAM32M16"] + n["RAMB36E2"] + n["CARRY8"] + n["FDRE"] > 0)
      printf "%s %d LUT + %d RAM32M16 + %d RAM64M8 + %d RAM32M + %d RAM64M, %d CARRY8/%d CARRY4, %d FF, %d RAMB36, %d RAMB18\n", what, lut,
        n["RAM32M16"], n["RAM64M8"], n["RAM32M"], n["RAM64M"], n["CARRY8"], n["CARRY4"], ff, n["RAMB36E2"], n["RAMB18E2"]
    else
      printf "%s %d LUT4, %d CCU2C, %d PFUMX, %d L6MUX21, %d TRELLIS_DPR16X4, %d FF, %d DP16KD\n", what, n["LUT4"], n["CCU2C"],
        n["PFUMX"], n["L6MUX21"], n["TRELLIS_DPR16X4"], ff, n["DP16KD"]
  }' "$out/stat"
[ -z "${TIARA_STAT:-}" ] || cp "$out/stat" "$TIARA_STAT"
