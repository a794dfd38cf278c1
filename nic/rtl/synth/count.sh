#!/bin/sh
# synth/count.sh GENERATED-FOLDER xcup|ecp5 [CONTEXTS [SECONDS [CORES]]]: what the core takes on UltraScale+ or ECP5, by
# yosys; with CORES, what the whole NIC with so many of them does, in groups. GENERATED-FOLDER is where tiara_pkg.sv and
# tiara_rom.svh are (build/nic/rtl). Counts only: no open tool times these.
#
# Each block is synthesized for itself, with the parameters that it has there, its parts as black boxes, and counted as
# often as it stands in the design: the hierarchy is kept, nothing is optimised across it. -abc9 is not used: with it and
# -flatten yosys 0.23 did not finish. SECONDS (1200) is for a block; exit status 124 when one takes longer.
# TIARA_KEEP=FOLDER keeps each block's counts there, and takes what is there already: blocks with the same parameters are
# the same in other configurations. Use a new folder when a source has changed.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
generated=$1; target=$2; contexts=${3:-32}; seconds=${4:-1200}; cores=${5:-}
top=tiara_core; size="-set Contexts $contexts"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
keep=${TIARA_KEEP:-$out}
mkdir -p "$keep"
sources="$generated/tiara_pkg.sv"
for part in ready shift serial pad check core; do sources="$sources $here/tiara_$part.sv"; done
if [ -n "$cores" ]; then
  top=tiara_nic; size="$size -set Cores $cores"
  for part in wire cache mover hash siphash ingress operators front dispatch cores counts moves memory finish egress bus nic
  do sources="$sources $here/tiara_$part.sv"; done
fi
case $target in
  xcup) synthesis="synth_xilinx -family xcup -nosrl -noiopad" ;;
  ecp5) synthesis="synth_ecp5 -noflatten" ;;
  *) echo "count.sh: '$target' is neither xcup nor ecp5" >&2; exit 64 ;;
esac
yosys -q -p "read_verilog -sv -I $generated $sources; chparam $size $top; hierarchy -top $top; proc
  write_rtlil $out/design; tee -q -o $out/hierarchy stat -top $top" >"$out/screen" 2>&1 || { tail "$out/screen" >&2; exit 1; }
sed -n 's/^module //p' "$out/design" >"$out/blocks"
while read -r block; do
  file=$keep/$target-$(printf %s "$block" | tr -c 'A-Za-z0-9_\n' _)
  if [ "$block" = "\\$top" ]; then file=$file-$contexts-${cores:-1}; fi   # its name does not have its parameters
  if [ ! -e "$file" ]; then
    {
      echo "read_rtlil $out/design"
      grep -vxF -- "$block" "$out/blocks" | sed 's/^/blackbox /'
      printf 'hierarchy -top %s\n%s -top %s\ntee -q -o %s stat\n' "$block" "$synthesis" "$block" "$out/stat"
    } >"$out/block.ys"
    timeout "$seconds" yosys -q "$out/block.ys" >"$out/screen" 2>&1 || {
      status=$?
      if [ $status = 124 ]; then echo "count.sh: no result for $block on $target in $seconds s" >&2; else tail "$out/screen" >&2; fi
      exit $status
    }
    mv "$out/stat" "$file"
  fi
  # As often as it stands there: each line of the hierarchy says how often within the line that it is under.
  BLOCK=$block awk '
    /design hierarchy/ { inside = 1; next }
    inside && NF == 2 && ($1 ~ /tiara_/) {
      match($0, /[^ ]/); depth = RSTART; times[depth] = $2
      for (d = depth - 1; d > 0 && !(d in times); d--) { }
      within[depth] = $2 * (d > 0 ? within[d] : 1)
      for (e in times) if (e + 0 > depth) delete times[e]
      bare = $1; sub(/^\\/, "", bare); wanted = ENVIRON["BLOCK"]; sub(/^\\/, "", wanted)
      if (bare == wanted) sum += within[depth]
    }
    END { print "times", sum + 0 }' "$out/hierarchy" >>"$out/counts"
  printf '%s\n' "$block" | sed 's/.*tiara_\([a-z]*\).*/block \1/' >>"$out/counts"
  awk '/^=== / { inside = 1 } inside && NF == 2 && $2 ~ /^[0-9]+$/ { print "cell", $1, $2 }' "$file" >>"$out/counts"
done <"$out/blocks"
awk -v what="$target, $contexts contexts${cores:+, $cores cores}" '
  function group(block) {
    if (block ~ /^(core|ready|shift|serial|pad|check)$/) return "1 cores"
    if (block == "cache") return "2 table cache"
    if (block ~ /^(ingress|front|hash|operators|siphash|finish|egress)$/) return "5 packet side"
    if (block ~ /^(memory|counts|moves|mover|bus)$/) return "4 memory side"
    if (block ~ /^(dispatch|cores)$/) return "3 dispatcher, turns of cores"
    return "6 registers, slots, host port"
  }
  function add(g, name, count) { n[g, name] += count; n["7 all", name] += count }
  $1 == "times" { times = $2 }
  $1 == "block" { g = group($2); groups[g] = groups["7 all"] = 1 }
  $1 == "cell" {
    c = $3 * times
    if ($2 ~ /^LUT[1-6]$/ || $2 == "INV") add(g, "lut", c)
    else if ($2 ~ /^(FD[RCPS]E|TRELLIS_FF)$/) add(g, "ff", c)
    else if ($2 ~ /^RAM(32M16|64M8|256X1D|512X1S)$/) add(g, "mem", 8 * c)
    else if ($2 ~ /^RAM(32M|64M|128X1D|256X1S)$/) add(g, "mem", 4 * c)
    else if ($2 ~ /^RAM(128X1S|64X1D|32X1D)$/) add(g, "mem", 2 * c)
    else if ($2 ~ /^RAM(64X1S|32X1S)$/) add(g, "mem", c)
    else if ($2 ~ /^RAM[0-9]/) { print "count.sh: it is not known how many LUTs a " $2 " is" >"/dev/stderr"; exit 1 }
    else add(g, $2, c)
  }
  END {
    for (i = 1; i <= 7; i++) for (g in groups) if (substr(g, 1, 1) == i) {
      printf "%s: %s: ", what, substr(g, 3)
      if (what ~ /^xcup/)
        printf "%d LUT + %d LUT as memory, %d FF, %d RAMB36, %d RAMB18\n", n[g, "lut"], n[g, "mem"], n[g, "ff"],
          n[g, "RAMB36E2"], n[g, "RAMB18E2"]
      else
        printf "%d LUT4, %d CCU2C, %d DPR16X4, %d FF, %d DP16KD, %d MULT18\n", n[g, "lut"], n[g, "CCU2C"],
          n[g, "TRELLIS_DPR16X4"], n[g, "ff"], n[g, "DP16KD"], n[g, "MULT18X18D"]
    }
  }' "$out/counts"
