#!/usr/bin/env python3
"""Plants small bugs into the verifier and the engines, one at a time, and shows which suite catches each.

    tests/fuzz/planted_bugs.py [--work DIR] [--only NAME,NAME] [--list]

Copies the tracked files of this checkout into DIR (default: a temporary folder that is removed), builds the suites
there, and for each bug of BUGS changes one place, rebuilds, runs every suite with its default seed, and puts the
place back. Prints a table for docs/testing.md. Exit status 1 when a suite fails without any bug, when a place is not
found, or when a bug is caught by nothing. Run by hand: it took 40 minutes on two cores that did much other work.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

# What is run: the executable and its arguments.
SUITES = {
    "conformance": ("tests/conformance/conformance", sorted((ROOT / "tests/conformance").glob("*.data"))),
    "unit verifier": ("tests/unit/nic/verifier/unit_nic_verifier", []),  # the adversarial suite is part of it
    "unit engine": ("tests/unit/nic/engine/unit_nic_engine", []),
    "engine_difference": ("tests/fuzz/engine_difference", []),
    "verifier_soundness": ("tests/fuzz/verifier_soundness", []),
}
LIMIT_S = 300  # a suite that is not done by then hangs: caught, too


class Bug(NamedTuple):
    name: str
    what: str
    path: str
    old: str
    new: str


V, E = "nic/verifier/", "nic/engine/"
BUGS = [
    Bug("join", "the join of two paths forgets the larger bound of one", V + "domain.cc",
        "value.umax_ = std::max(a.umax_, b.umax_);", "value.umax_ = std::min(a.umax_, b.umax_);"),
    Bug("defined", "a register written on one path counts as written", V + "state.cc",
        "into.defined &= from.defined;", "into.defined |= from.defined;"),
    Bug("written", "a scratchpad byte written on one path counts as written", V + "state.cc",
        "  into.written.intersect(from.written);\n", ""),
    Bug("immediate", "the immediate of a scratchpad access is ignored", V + "precondition.cc",
        "abstract::add(state.registers[p.reg], displacement)", "state.registers[p.reg]"),
    Bug("width", "the width of a scratchpad access is ignored", V + "precondition.cc",
        "uint64_t bytes = p.bytes;", "uint64_t bytes = 1;"),
    Bug("list", "the length of an offset list is ignored", V + "precondition.cc", "    bytes *= count;\n", ""),
    Bug("wrap", "an interval whose upper end wraps is kept", V + "transfer.cc",
        "&high);\n  if (low_wraps == high_wraps) {  // all",
        "&high);\n  if (low_wraps == high_wraps || !low_wraps) {  // all"),
    Bug("shift", "a shift by an unknown amount is bounded by the least one", V + "transfer.cc",
        "parts.umax = a.umax() << most;", "parts.umax = a.umax() << least;"),
    Bug("divide", "a quotient by a divisor that may be 0 is bounded as if it were not", V + "transfer.cc",
        "return b.contains(0) ? join(quotient, by_zero) : quotient;", "return quotient;"),
    Bug("signed", "a signed comparison bounds the unsigned value", V + "relation.cc",
        "left.smax = std::min(left.smax, b.smax() - slack);",
        "left.umax = std::min(left.umax, static_cast<uint64_t>(b.smax() - slack));"),
    Bug("inner-loop", "a counter in an inner loop grows once for each outer round", V + "counters.cc",
        "    runs *= code[flow.loops()[inner].begin].loop_bound();\n", "    static_cast<void>(code);\n"),
    Bug("pops", "a branch may leave loops without popping their frames", V + "flow.cc",
        "if (left != code[pc].pops()) {", "if (left < code[pc].pops()) {"),
    Bug("in-flight", "operations in flight are counted for one round of a loop", V + "bounds.cc",
        "a.may_skip_wait ? saturating_product(a.started, n) : 0,", "a.may_skip_wait ? a.started : 0,"),
    Bug("copy-source", "the region that a copy reads needs no permission", V + "precondition.cc",
        "  if (i.opcode == Opcode::kCopy) append_region(program, pc, i.source_region(), Permission::kRead, out);\n",
        ""),
    Bug("jit-bound", "the compiled bounds check lets one byte too many pass", E + "jit_memory.cc",
        "emit(Inst::kIdCmp, offset_of(address), count);\n    fault_if(CondCode::kUnsignedGE",
        "emit(Inst::kIdCmp, offset_of(address), count);\n    fault_if(CondCode::kUnsignedGT"),
    Bug("jit-extend", "a compiled signed load extends with zeros", E + "jit_memory.cc",
        "a_.movsx(to, from); break;", "a_.movzx(to, from); break;"),
    Bug("jit-count", "compiled stores are not counted", E + "jit_memory.cc", "  ++pending_->stores;\n", ""),
    Bug("jit-align", "compiled atomics are not checked for alignment", E + "jit_memory.cc",
        "  check_alignment(where, 8);\n", ""),
    Bug("jit-remainder", "the compiled remainder by 0 is whatever was in the register", E + "jit_arithmetic.cc",
        "  a_.mov(rdx, rax);\n  a_.mov(rax, -1);", "  a_.mov(rax, -1);"),
    Bug("jit-signed", "the compiled signed minimum compares unsigned", E + "jit_arithmetic.cc",
        "case Opcode::kMins: return choose(i, b, CondCode::kSignedLT);",
        "case Opcode::kMins: return choose(i, b, CondCode::kUnsignedLT);"),
    Bug("jit-field", "a wide bit field is cut at the wrong end", E + "jit_arithmetic.cc",
        "a_.shl(to, 64 - lsb - width);", "a_.shl(to, 64 - width);"),
    Bug("shift-modulo", "the interpreter shifts modulo 32", E + "interpret.h",
        "TIARA_BINARY(Shl, a << (b & 63))", "TIARA_BINARY(Shl, a << (b & 31))"),
    Bug("loop-bound", "the interpreter faults at the last trip count that is allowed", E + "interpret.h",
        "if (trips > i.loop_bound())", "if (trips >= i.loop_bound())"),
    Bug("cas", "the interpreter's compare-and-swap gives the new value", E + "interpret.h",
        "                   r[i.rd] = expected)", "                   r[i.rd] = r[i.rs3])"),
    Bug("overflow", "a bounds check of both engines overflows", E + "memory.h",
        "return length <= size && offset <= size - length;", "return offset + length <= size;"),
    Bug("reply", "a gather may go past what is left of the reply", E + "memory.cc",
        "if (length > reply.size() - reply_bytes) return Fault::kReplyBounds;\n  if (!is_inside",
        "if (length > reply.size()) return Fault::kReplyBounds;\n  if (!is_inside"),
    Bug("remote-align", "remote words need no alignment", E + "memory.cc",
        "  if (offset % 8 != 0) return Fault::kMisaligned;\n  return port",
        "  static_cast<void>(offset);\n  return port"),
]


def copy_tree(to):
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True).stdout.split(b"\0")
    to.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "--parents", "--no-dereference", "--update", "-t", to, *filter(None, names)], cwd=ROOT,
                   check=True)


def build(tree):
    targets = [executable for executable, _ in SUITES.values()]
    done = subprocess.run(["ninja", "-C", tree / "build", *targets], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout[-2000:]


def catchers(tree):
    """The suites that fail, each with how."""
    caught = []
    for name, (executable, arguments) in SUITES.items():
        try:
            done = subprocess.run([tree / "build" / executable, *arguments], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            caught.append(name + " (hangs)")
            continue
        if done.returncode != 0:
            caught.append(name + (" (crashes)" if done.returncode < 0 else ""))
    return caught


def plant(tree, bug):
    path = tree / bug.path
    text = path.read_text()
    if text.count(bug.old) != 1:
        sys.exit(f"{bug.name}: {bug.path} has the place {text.count(bug.old)} times; the list is out of date")
    path.write_text(text.replace(bug.old, bug.new))
    try:
        is_built, output = build(tree)
        if not is_built:
            sys.exit(f"{bug.name} does not build:\n{output}")
        return catchers(tree)
    finally:
        path.write_text(text)


def run(tree, bugs):
    copy_tree(tree)
    if not (tree / "build/build.ninja").exists():
        subprocess.run(["meson", "setup", tree / "build", tree, "-Dbuildtype=debugoptimized", "-Ddebug=false"],
                       check=True, stdout=subprocess.DEVNULL)
    is_built, output = build(tree)
    if not is_built:
        sys.exit(f"does not build without a bug:\n{output}")
    if wrong := catchers(tree):
        sys.exit(f"without any bug these fail: {', '.join(wrong)}")
    missed = 0
    print("| bug | what it does | file | caught by |\n|---|---|---|---|")
    for bug in bugs:
        caught = plant(tree, bug)
        missed += not caught
        print(f"| {bug.name} | {bug.what} | `{bug.path}` | {', '.join(caught) or '**nothing**'} |", flush=True)
    print(f"{len(bugs)} bugs planted, {len(bugs) - missed} caught", flush=True)
    return 1 if missed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--work", type=Path, help="keep the copy and its build here, for the next time")
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--list", action="store_true", help="only print the names and check that the places exist")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [bug.name for bug in BUGS]
    bugs = [bug for bug in BUGS if bug.name in wanted]
    if len(bugs) != len(set(wanted)):
        parser.error("no bug of that name; see --list")
    if options.list:
        stale = [bug for bug in bugs if (ROOT / bug.path).read_text().count(bug.old) != 1]
        for bug in bugs:
            print(f"{bug.name}: {bug.what}{' (the place is not there any more)' if bug in stale else ''}")
        return 1 if stale else 0
    if options.work:
        return run(options.work.resolve(), bugs)
    with tempfile.TemporaryDirectory(prefix="tiara-planted-") as folder:
        return run(Path(folder), bugs)


if __name__ == "__main__":
    sys.exit(main())
