#!/usr/bin/env python3
"""Planted bugs: does the verification notice them?

    mutants.py BUILD [--only N,N...] CASES...     after `ninja -C BUILD tests/rtl/lockstep`

Each bug is one expression that became another. One Verilated core gets them all, and TIARA_MUTANT=N chooses one when it
starts. The lock step runs with each; where that sees no difference, and for the table cache and the NIC's other blocks,
the formal check runs on sources with that bug alone. Prints a table of what catches each. Exit status 1 when one
survives, or when something fails without any; 77 without Verilator.
"""
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

# (file, the expression, what it becomes, what it means)
MUTANTS = [
    ("check", "{1'b0, entry_size_i} >= end_i", "{1'b0, entry_size_i} + 1'b1 >= end_i",
     "a request may end one byte behind its region"),
    ("check", "entry_tenant_i == tenant_i", "1'b1", "the tenant is not compared"),
    ("check", "(permission_i & ~entry_permission_i) == '0", "(permission_i & 3'b011 & ~entry_permission_i) == '0",
     "atomics need no permission"),
    ("check", "is_aligned_8_i && offset_i[2:0] != '0", "is_aligned_8_i && offset_i[1:0] != '0",
     "atomics need alignment to 4 bytes only"),
    ("check", "offset_i[63:AddrW] == '0 && length_i[63:AddrW] == '0", "length_i[63:AddrW] == '0",
     "the offset's upper bits are ignored"),
    ("check", "!c1_is_charged_q || (!c1_left_q[32] && (c1_length_q >> 32) == '0)", "1'b1",
     "the budget of bytes is not enforced"),
    ("check", "offset_i[AddrW-1:0] + base", "offset_i[AddrW-1:0] + entry_base_i",
     "the base is added where there is no entry"),
    ("check", "advance && c1_valid_q && c1_is_request_q && fault == '0", "advance && c1_valid_q && c1_is_request_q",
     "a request leaves in spite of its fault"),
    ("ready", "write_q + 1'b1", "write_q + (CtxW+1)'(!pop_i)", "a context that comes as another leaves is lost"),
    ("serial", "!total[64]", "total[64]", "division keeps the wrong remainder"),
    ("serial", "word_q[63] || count_q[6]", "word_q[63]", "no leading one is looked for for ever"),
    ("core", "r_retry || (!r_sleeps_q && !r_ends_q)", "r_retry || !r_sleeps_q", "a program that ended runs on"),
    ("core", "16'(e_is_signed) << e_sign[5:2]", "16'(e_is_signed) << 4'd15",
     "the sign is taken from the uppermost four bits"),
    ("shift", "{8{low_group[i]}} & below_bit", "{8{low_group[i]}} & (below_bit << 1 | 8'd1)",
     "one bit too many is cleared"),
    ("pad", "{1'b0, place} < bytes_i", "{1'b0, place} <= bytes_i", "a store into the scratchpad is a byte too long"),
    ("pad", "from[3] ? word_next : word", "word", "an access across two words stays in one"),
    ("core", "(z_is_signed_q && z_sign_a_q != z_sign_b_q) ? z_sign_a_q : !z_carry_q", "!z_carry_q",
     "signed comparisons are unsigned"),
    ("core", "PcW'(e_imm[31:20]) + PcW'(2)", "PcW'(e_imm[31:20]) + PcW'(1)", "a skipped loop ends at its last word"),
    ("core", "y_pops_q > {1'b0, y_depth_q}", "1'b0", "a branch may leave more loops than there are"),
    ("core", "y_u_q.pc == tiara_pkg::PcEndLoop && y_depth_q == 3'd0", "1'b0", "a loop may end that was not begun"),
    ("core", "sign && answer[7]", "sign", "loads without sign extend one"),
    ("core", "r_frees_q || (r_is_memory_q && check_ready)", "!r_valid_q || r_goes",
     "an answer takes the port that W uses"),
    ("core", "in_first && in_is_start && !w_valid_q", "in_first && in_is_start && ans_ready",
     "a start overwrites the state that W writes"),
    ("core", "(!ser_valid && !pad_valid && in_is_answer) ? in_fault_i : 4'd0", "4'd0", "a fault of memory is lost"),
    ("core", "f_pc >= {1'b0, f_bound[StoreW:0]}", "f_pc > {1'b0, f_bound[StoreW:0]}",
     "the word behind a program runs"),
    ("core", "r_steps_q[31:1] == '0 && (r_advances_q || !r_steps_q[0])", "1'b0", "the budget of steps is not enforced"),
    ("core", "!y_is_bad_q && ser_ready", "ser_ready",
     "an opcode that is none starts the serial unit"),
    ("core", "e_u.kind[0] ? e_word_q[31:28] : e_word_q[27:24]", "e_word_q[27:24]",
     "a copy's source is checked as its destination"),
    ("core", "{e_ctx_q, e_u.kind[1:0]}", "{CtxW'(0), e_u.kind[1:0]}", "all contexts share one scratchpad bound"),
    ("core", "line_q[in_ctx_i]", "6'd0", "a line always goes to the scratchpad's start"),
    ("core", "z_is_serial && !z_has_serial_q", "1'b0", "who found the serial unit busy sleeps for ever"),
    ("cache", "else if (!is_on) begin", "else if (1'b0) begin", "what was read before a flush is served after it"),
    ("cache", "s_is_word_q && s_is_on_q && writes_q == '0", "s_is_word_q && s_is_on_q",
     "a load that overtakes a write is kept"),
    ("cache", "is_write || !is_on || (s_valid_q && s_is_write_q)", "!is_on",
     "a load that is under way is kept though a write came"),
    ("cache", "is_on && !(we && index == req_addr_i[IndexW+2:3])", "is_on",
     "a word that is being written counts as read"),
    ("cache", "!sweeps_q && !flush_i && !is_moving_i", "!sweeps_q && !flush_i",
     "words are served while a bulk write moves"),
    ("ingress", "is_in_q ? !skips_q : !is_full_q[write_q]", "is_in_q ? !skips_q : 1'b1",
     "a frame overwrites one that waits"),
    ("ingress", "ends && b_is_ours_q && is_length_good && is_sum_good", "ends && b_is_ours_q && is_length_good",
     "a frame with a wrong sum is kept"),
    ("front", "is_newer && !is_running_i[slot] && !is_sending_i[slot]", "is_newer && !is_sending_i[slot]",
     "a later number takes the slot of a request that runs"),
    ("front", "seq > row_seq", "seq != row_seq", "an older number runs again"),
    ("front", "(!is_done_i[slot] && is_here)", "1'b0", "a piece that comes again is taken again"),
    ("operators", "!owned_q[block] && !is_bad_q", "!is_bad_q", "a load overwrites an operator's code"),
    ("operators", "is_taken_q[data_operator] && !in_use) begin", "is_taken_q[data_operator]) begin",
     "an operator that runs is reclaimed"),
    ("dispatch", "head == tails_q[chosen]", "1'b1", "only the first that waits is kept"),
    ("dispatch", "any && any_free && !push_i", "any && !push_i", "a request starts without a free context"),
    ("finish", "end_valid_i && end_is_last_i && state_q == Idle", "end_valid_i && end_is_last_i",
     "an end is taken while another's reply is made"),
    ("finish", "state_q == Idle && !(end_valid_i && end_is_last_i)", "state_q == Idle",
     "a refusal is taken together with an end, and lost"),
    ("egress", "if (come_q == lines)", "if (asked_q == lines)", "a reply leaves before its bytes have come"),
    ("egress", "replay_ready_o = !push_i", "replay_ready_o = 1'b1", "what ends and what is asked again take one place"),
    ("bus", "(!aw_valid_q || aw_ready_i) && (!w_valid_q || w_ready_i)", "!aw_valid_q || aw_ready_i",
     "a write's bytes are overwritten when its address was taken first"),
    ("bus", "ar_free && !core_rd_valid_i && !mover_rd_valid_i", "ar_free && !core_rd_valid_i",
     "a read of the packets is taken with the mover's, and lost"),
    ("memory", "!(two_q[wr_done_id_i] && !waits_q[wr_done_id_i]) && !at_fails", "!at_fails",
     "a store across two lines is answered when one half is written"),
    ("memory", "!b_has_answer || (may_load && !is_taken && !m_loads_answer)", "1'b1",
     "a write's completion is lost while another answer waits"),
    ("memory", "at_addr_q[AddrW-1:6] : address[AddrW-1:6] + (AddrW-6)'(half_q)",
     "at_addr_q[AddrW-1:6] : address[AddrW-1:6]",
     "a load across two lines reads the first one twice"),
    ("memory", "req_valid_i && is_atomic && may_write && is_quiet", "req_valid_i && is_atomic && may_write",
     "an atomic begins while a write is under way"),
    ("memory", "HasExclusive && b_is_atomic && wr_done_is_okay_i", "1'b0",
     "an atomic that memory did not perform counts as done"),
    ("memory", "(64'hffff_ffff_ffff_ffff >> (7'd64 - fill_bytes)) << fill_first",
     "64'hffff_ffff_ffff_ffff << fill_first",
     "a fill goes on to the end of its last line"),
    ("mover", "i[LineW-1:0] > a_high_q", "i[LineW-1:0] > a_high_q + 1'b1", "a move writes a byte behind its end"),
    ("mover", "q_from > q_to[LineW-1:0] && q_lines != '0", "1'b0", "no line is read ahead of the first write"),
    ("mover", "(SlotW+1)'(1 << SlotW)", "(SlotW+1)'((1 << SlotW) + 1)", "a place of the ring is asked for twice"),
    ("core", "r_retry || (!r_sleeps_q && !r_ends_q)", "(!r_sleeps_q && !r_ends_q)",
     "who was turned away is not put back"),
    ("core", "w_back_q || (ans_go && ans_wakes_q)", "w_back_q || (ans_go && ans_wakes_q && !d_valid_q)",
     "who is answered while another is issued does not wake"),
]
RTL = pathlib.Path(__file__).resolve().parents[2] / "nic/rtl"
CORE = ("ready", "shift", "serial", "pad", "check", "core")
FORMAL_FRAMES = {"core": "14", "progress": "40", "cache": "14", "ingress": "12", "front": "36", "operators": "20",
                 "dispatch": "16", "dispatch_full": "20", "finish": "16", "egress": "20", "memory": "8", "bus": "8",
                 "mover": "12"}
FORMAL_ALONE = set(FORMAL_FRAMES) - {"core", "progress", "dispatch_full"}  # the lock step has none of these
CHOICE = '  import "DPI-C" function int tiara_mutant();\n  int mutant;\n  initial mutant = tiara_mutant();\n'
CHOICE_CC = '''#include <cstdlib>
extern "C" int tiara_mutant() { const char* n = getenv("TIARA_MUTANT"); return n == nullptr ? 0 : atoi(n); }
'''


def replace_once(text, old, new, name):
    if text.count(old) != 1:
        raise SystemExit(f"mutants.py: {name}: '{old}' stands there {text.count(old)} times; change the list")
    return text.replace(old, new)


def write_sources(out, only=None):
    """All bugs and the choice among them into the core's sources; or all sources with one bug."""
    out.mkdir(parents=True, exist_ok=True)
    for name in CORE if only is None else (*CORE, *FORMAL_ALONE, "hash", "siphash", "wire", "counts"):
        text = (RTL / f"tiara_{name}.sv").read_text()
        for number, (where, old, new, _) in enumerate(MUTANTS, 1):
            if where != name:
                continue
            if only is None:
                text = replace_once(text, old, f"(mutant == {number} ? ({new}) : ({old}))", f"{name} {number}")
            elif only == number:
                text = replace_once(text, old, new, f"{name} {number}")
        if only is None:
            text = replace_once(text, "\n);\n", "\n);\n" + CHOICE, name)
        (out / f"tiara_{name}.sv").write_text(text)


def lockstep(program, cases, number):
    """None: no difference; else how it was seen."""
    try:
        # Two CPU seconds without a bug; a core that hangs says so itself, after four million cycles, unless it is the
        # bench that waits. Without a bug there is no limit: a slow machine is no difference.
        done = subprocess.run([program, "--instructions", "20000", *cases], capture_output=True, text=True,
                              timeout=600 if number else None, env={**os.environ, "TIARA_MUTANT": str(number)})
    except subprocess.TimeoutExpired:
        return "lock step: does not end"
    if done.returncode == 0:
        return None
    said = done.stdout + done.stderr
    for line in said.splitlines():
        if "Assertion failed" in line:
            return "lock step: property `" + line.split("Assertion failed in ")[-1].split(":")[0].split(".")[-1] + "`"
    if "does not end" in said:
        return "lock step: does not end"
    watched = [line.split(": ", 1)[-1] for line in said.splitlines() if line.startswith("cycle ")]
    return f"lock step: the host saw {watched[0]}" if watched else "lock step: difference"


def formal(build, number):
    """The same of the bounded checks of the part that has the bug."""
    where = MUTANTS[number - 1][0] if MUTANTS[number - 1][0] in FORMAL_ALONE else "core"
    with tempfile.TemporaryDirectory() as scratch:
        write_sources(pathlib.Path(scratch), number)
        for what in {"dispatch": (where, "dispatch_full"), "core": (where, "progress")}.get(where, (where,)):
            done = subprocess.run([RTL / "formal/run.sh", build / "nic/rtl", what, FORMAL_FRAMES[what], "900"],
                                  capture_output=True, text=True, env={**os.environ, "TIARA_RTL": scratch})
            if done.returncode == 1:
                name, _, frame = done.stdout.strip().split("/")[-1].partition(" fails ")
                return f"formal: property `{name}`, {frame}"
    return None


def build_program(build, scratch):
    """The lock step with a core that has all bugs."""
    write_sources(scratch / "rtl")
    for name in ("tiara_pkg.sv", "tiara_rom.svh"):
        shutil.copy(build / "nic/rtl" / name, scratch / name)
    sources = [scratch / "rtl" / f"tiara_{name}.sv" for name in CORE]
    subprocess.run([RTL / "dv/verilate.sh", scratch / "model.a", scratch / "tiara_core_model.h", "model_core", scratch,
                    "tiara_core", "Vtiara_core", "--assert -DTIARA_PROPERTIES -Wno-UNOPTFLAT",
                    scratch / "tiara_pkg.sv", *sources],
                   check=True)
    root = subprocess.run(["verilator", "--getenv", "VERILATOR_ROOT"], check=True, capture_output=True,
                          text=True).stdout.strip()
    compile_ = ["c++", "-std=c++23", "-O1", "-I", str(RTL.parents[1])]
    for folder in (scratch, build / "nic/rtl", pathlib.Path(root) / "include", pathlib.Path(root) / "include/vltstd"):
        compile_ += ["-isystem", str(folder)]
    (scratch / "choice.cc").write_text(CHOICE_CC)
    subprocess.run([*compile_, "-c", RTL / "dv/core_pins.cc", "-o", scratch / "pins.o"], check=True)
    subprocess.run([*compile_, "-c", scratch / "choice.cc", "-o", scratch / "choice.o"], check=True)
    # The build's own link, with these in front: what they define is taken from them.
    link = shlex.split(subprocess.run(["ninja", "-C", build, "-t", "commands", "tests/rtl/lockstep"], check=True,
                                      capture_output=True, text=True).stdout.strip().splitlines()[-1])
    at = link.index("tests/rtl/lockstep")
    link[at:at + 1] = [str(scratch / "lockstep"), str(scratch / "pins.o"), str(scratch / "choice.o"),
                       str(scratch / "model.a")]
    subprocess.run(link, check=True, cwd=build)
    return scratch / "lockstep"


def run(build, chosen, cases):
    survivors = 0
    with tempfile.TemporaryDirectory() as scratch:
        needs_lockstep = any(MUTANTS[number - 1][0] not in FORMAL_ALONE for number in chosen)
        program = build_program(build, pathlib.Path(scratch)) if needs_lockstep else None
        if program is not None and (seen := lockstep(program, cases, 0)) is not None:
            print(f"without a bug: {seen}", file=sys.stderr)
            return 1
        for number in chosen:
            where, _, _, meaning = MUTANTS[number - 1]
            seen = None if where in FORMAL_ALONE else lockstep(program, cases, number)
            seen = seen or formal(build, number)
            survivors += seen is None
            print(f"| {number} | `{where}` | {meaning} | {seen or 'NOTHING'} |", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} caught")
    return 1 if survivors else 0


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 64
    if shutil.which("verilator") is None:
        print("mutants.py: verilator is not installed")
        return 77
    chosen, cases = list(range(1, len(MUTANTS) + 1)), arguments[1:]
    if cases and cases[0] == "--only":
        chosen, cases = [int(number) for number in cases[1].split(",")], cases[2:]
    return run(pathlib.Path(arguments[0]).resolve(), chosen, cases)


sys.exit(main(sys.argv[1:]))
