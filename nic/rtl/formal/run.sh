#!/bin/sh
# formal/run.sh GENERATED-FOLDER WHAT [FRAMES [SECONDS]]: the properties of formal/*.svh on the core, the table cache or a
# block of the NIC (ingress, front, operators, dispatch, dispatch_full, finish, egress, memory, bus, mover), all of WHAT's
# together, for FRAMES cycles from reset (core 20, cache 30, else 40 or less), by yosys and ABC. `progress`: the core under
# a memory that answers, no context is stuck; `serial`: its serial unit, a job ends. GENERATED-FOLDER is where
# tiara_pkg.sv and tiara_rom.svh are; TIARA_RTL names another folder with the sources; TIARA_KEEP one for what is made.
# Exit status 0: none fails within that depth; 1: one does; 2: no answer in SECONDS (300); 77: no yosys.
#
# Small parameters, the same logic. Core: 2 contexts. What programs, registers, the shifter, the adder and the region
# table give is cut and driven with arbitrary values: every program, even one that no verifier saw, and every table is a
# special case. Memory is arbitrary as far as the assumptions in core_properties.svh go. Cache: 2 contexts, 2 words, 2 bits.
# The NIC's blocks: 2 clients with 2 slots each, 2 cores with 2 contexts each, 2 classes, 2 operators, 4 blocks of code.
# dispatch_full: one core, so that more requests can wait than there are contexts.
# Checksums, tags and sums are cut: any frame may be found right or wrong. Memory: 2 contexts, any mover.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
generated=$1; what=$2; seconds=${4:-300}; defines="-D TIARA_PROPERTIES"; dropped=""
command -v yosys >/dev/null && command -v yosys-abc >/dev/null || { echo "formal: yosys is not installed"; exit 77; }
if [ -n "${TIARA_KEEP:-}" ]; then out=$TIARA_KEEP; mkdir -p "$out"; else out=$(mktemp -d); trap 'rm -rf "$out"' EXIT; fi
source=${TIARA_RTL:-$here}
sources="$generated/tiara_pkg.sv"
case $what in
  core|progress)
    frames=${3:-20}; top=tiara_core
    # All of the core's others are proved without the assumptions that progress needs.
    if [ $what = progress ]; then defines="$defines -D TIARA_PROGRESS"; dropped="delete t:\$assert n:*_in_time %d"; fi
    for part in ready shift serial pad check core; do sources="$sources $source/tiara_$part.sv"; done
    parameters="-set Contexts 2 -set StoreW 3 -set AddrW 32 -set DomainW 1 -set TenantW 2 -set PadW 4"
    cut="cutpoint tiara_core/d_word tiara_core/e_a tiara_core/e_b tiara_core/x_shifted tiara_core/y_sum tiara_core/y_carry
      cutpoint tiara_core/r_entry_q tiara_core/ser_data tiara_core/pad_data" ;;
  serial)
    frames=${3:-76}; top=tiara_serial; parameters="-set Contexts 2"; defines="-D TIARA_SERIAL_PROPERTIES"
    sources="$sources $source/tiara_serial.sv"
    cut="cutpoint tiara_serial/base tiara_serial/total" ;;
  cache)
    frames=${3:-30}; top=tiara_cache
    sources="$sources $source/tiara_cache.sv"
    parameters="-set Contexts 2 -set AddrW 6 -set IndexW 1 -set DataW 2"
    cut="" ;;
  ingress)
    frames=${3:-40}; top=tiara_ingress; parameters=""
    cut="cutpoint tiara_ingress/sum tiara_ingress/total tiara_ingress/is_ours tiara_ingress/is_header_sum_good" ;;
  egress)
    frames=${3:-40}; top=tiara_egress; parameters="-set ClientW 1 -set SlotW 1 -set AddrW 24"; cut="" ;;
  dispatch|dispatch_full)
    frames=${3:-40}; top=tiara_dispatch; cores=2
    if [ "$what" = dispatch_full ]; then cores=1; fi
    parameters="-set Cores $cores -set Contexts 2 -set StoreW 3 -set AddrW 14 -set OperatorW 1 -set DomainW 1 -set TenantW 1"
    parameters="$parameters -set SlotsW 2 -set ClassW 1"; cut="" ;;
  front)
    frames=${3:-40}; top=tiara_front
    sources="$sources $source/tiara_hash.sv"
    parameters="-set ClientW 1 -set SlotW 1 -set AddrW 24 -set OperatorW 1 -set SpaceW 1 -set DomainW 1 -set TenantW 1"
    cut="cutpoint tiara_front/hash tiara_front/hash_valid" ;;
  finish)
    frames=${3:-40}; top=tiara_finish
    sources="$sources $source/tiara_hash.sv"
    parameters="-set IdW 2 -set SlotsW 2 -set StoreW 3 -set OperatorW 1"
    cut="cutpoint tiara_finish/hash tiara_finish/hash_valid" ;;
  operators)
    frames=${3:-40}; top=tiara_operators
    sources="$sources $source/tiara_siphash.sv"
    parameters="-set StoreW 7 -set OperatorW 1 -set UseW 2"
    cut="cutpoint tiara_operators/sip_ready tiara_operators/sip_valid tiara_operators/sip_tag" ;;
  bus)
    frames=${3:-40}; top=tiara_bus; parameters="-set AddrW 12 -set IdW 2 -set TagW 2"; cut="" ;;
  mover)
    frames=${3:-24}; top=tiara_mover; cut=""
    parameters="-set AddrW 4 -set LineW 2 -set SlotW 2 -set QueueW 1 -set IdW 1" ;;
  memory)
    frames=${3:-20}; top=tiara_memory
    sources="$sources $here/formal/any_moves.sv $source/tiara_counts.sv"
    parameters="-set AddrW 21 -set IdW 1 -set SlotsW 1"; cut="" ;;
  *) echo "run.sh: '$what' is nothing that has properties" >&2; exit 64 ;;
esac
case $what in core|progress|serial|cache) ;; *) sources="$sources $source/tiara_wire.sv $source/tiara_${what%_full}.sv" ;; esac
[ -z "$parameters" ] || parameters="chparam $parameters $top"
yosys -q -l "$out/log" -p "
  read_verilog -formal -sv $defines -I $here/formal -I $generated $sources
  $parameters
  hierarchy -check -top $top; proc; flatten; opt -keepdc
  $cut
  opt_clean; delete t:\$cover; delete -output
  $dropped
  memory -nordff; async2sync; opt -full; setundef -undriven -anyseq
  techmap; opt -fast; dffunmap; abc -g AND -fast; opt_clean
  tee -q -o $out/names select -list t:\$assert
  write_aiger -symbols -B -zinit -vmap $out/$top.vmap $out/$top.aig" >"$out/screen" 2>&1 || { tail "$out/screen" >&2; exit 2; }
timeout "$((seconds + 30))" yosys-abc -c "read_aiger $out/$top.aig; fold; strash; bmc3 -v -F $frames -T $seconds; print_status" \
  >"$out/bmc.log" 2>&1 || true
if grep -aq 'was asserted' "$out/bmc.log"; then
  number=$(grep -aoE 'Output [0-9]+ of' "$out/bmc.log" | head -1 | cut -d' ' -f2)
  frame=$(grep -aoE 'in frame [0-9]+' "$out/bmc.log" | head -1)
  echo "$(sed -n "$((number + 1))p" "$out/names") fails $frame"; exit 1
fi
# "No output asserted in N frames": done; anything else is no answer.
grep -aoE 'No output asserted in [0-9]+ frames' "$out/bmc.log" | tail -1 | grep -q "in $frames frames" || {
  tail -3 "$out/bmc.log"; exit 2; }
echo "$what: none of $(wc -l <"$out/names") properties fails within $frames cycles"
