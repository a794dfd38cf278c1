#!/bin/sh
# synth/place.sh GENERATED-FOLDER [CONTEXTS [SEED...]]: the small configuration (synth/place.sv) placed and routed on
# an iCE40 HX8K, one line a seed (1 2 3): logic cells, block RAMs, the clock after routing. GENERATED-FOLDER is where
# tiara_pkg.sv and tiara_rom.svh are (build/nic/rtl). Two CPU minutes a seed. Needs yosys and nextpnr-ice40.
# The mapper gets the delays of another part (-device u): it counts wires for next to nothing on this one, and spends
# levels of LUTs to shorten carry chains. In u's table a level costs about eight carries, as it does here when routed.
# TIARA_SECONDS: how long each tool may take (1500). TIARA_ROUTE: where nextpnr's report goes, with critical paths.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
generated=$1; contexts=${2:-2}
[ $# -gt 2 ] && shift 2 || set -- 1 2 3
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
sources="$generated/tiara_pkg.sv"
for part in ready shift serial pad check core; do sources="$sources $here/tiara_$part.sv"; done
timeout "${TIARA_SECONDS:-1500}" yosys -q -l "$out/log" -p "read_verilog -sv -I $generated $sources $here/synth/place.sv
  chparam -set Contexts $contexts place
  synth_ice40 -abc9 -device u -top place -json $out/place.json" >"$out/screen" 2>&1 || {
  status=$?; tail "$out/screen" "$out/log" >&2; exit $status; }
for seed; do
  timeout "${TIARA_SECONDS:-1500}" nextpnr-ice40 --hx8k --package ct256 --json "$out/place.json" --freq 110 \
    --seed "$seed" --timing-allow-fail -q -l "$out/route" >"$out/screen" 2>&1 || {
    status=$?; tail "$out/screen" "$out/route" >&2; exit $status; }
  [ -z "${TIARA_ROUTE:-}" ] || cp "$out/route" "$TIARA_ROUTE"
  # Only the last clock counts: earlier ones are estimates before routing.
  awk -v seed="$seed" '/ICESTORM_LC:/ { cells = $3 $4 } /ICESTORM_RAM:/ { rams = $3 $4 }
    /Max frequency/ { for (i = 1; i < NF; i++) if ($(i + 1) == "MHz") { clock = $i; break } }
    END { print "seed " seed ": " cells " logic cells, " rams " block RAMs, " clock " MHz" }' "$out/route"
done
