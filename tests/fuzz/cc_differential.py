#!/usr/bin/env python3
"""Random C operators, run twice: compiled by `tiara cc` and run by `tiara exec`, and compiled for this machine against
a model of tiara_op.h. Status, results, reply and memory must be the same.

One seed gives one sequence of programs. A long run: tests/fuzz/cc_differential.py --tiara build/apps/tiara/tiara
--header nic/cc --programs 2000 --seed 7
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

REGION_BYTES = 4096
PAD_BYTES = 128

MODEL = r"""
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tiara_op.h"
static unsigned char memory[4096], pad[128], reply[1 << 20];
static u64 reply_bytes, trips_of[1024], index_of[1024], argument[8];
u64 subject(u64, u64, u64);
static void end(const char *status, int code, int n, u64 a, u64 b, u64 c, u64 d) {
  u64 r[4] = {a, b, c, d};
  printf("%s %d", status, code);
  for (int i = 0; i < 4; ++i) printf(" %llu", i < n ? r[i] : 0ull);
  printf(" ");
  for (u64 i = 0; i < reply_bytes; ++i) printf("%02x", reply[i]);
  printf("\n");
  FILE *f = fopen("native.out", "wb");
  fwrite(memory, 1, sizeof memory, f);
  fclose(f);
  exit(0);
}
static u64 load(const unsigned char *at, int bytes) { u64 v = 0; memcpy(&v, at, bytes); return v; }
static void store(unsigned char *at, u64 v, int bytes) { memcpy(at, &v, bytes); }
void tiara_loop_begin(u64 trips, u64 bound, u64 id) {
  if (trips > bound) end("fault", 7, 0, 0, 0, 0, 0);
  trips_of[id] = trips;
  index_of[id] = 0;
}
u64 tiara_loop_next(u64 id) { return index_of[id] < trips_of[id] ? index_of[id]++ : ~0ull; }
u64 tiara_popcnt(u64 v) { return __builtin_popcountll(v); }
u64 tiara_ctz(u64 v) { return v ? __builtin_ctzll(v) : 64; }
u64 tiara_clz(u64 v) { return v ? __builtin_clzll(v) : 64; }
u64 tiara_ld1(u64 r, u64 o) { return load(memory + o, 1); }
u64 tiara_ld2(u64 r, u64 o) { return load(memory + o, 2); }
u64 tiara_ld4(u64 r, u64 o) { return load(memory + o, 4); }
u64 tiara_ld8(u64 r, u64 o) { return load(memory + o, 8); }
u64 tiara_lds1(u64 r, u64 o) { return (s8)load(memory + o, 1); }
u64 tiara_lds2(u64 r, u64 o) { return (s16)load(memory + o, 2); }
u64 tiara_lds4(u64 r, u64 o) { return (s32)load(memory + o, 4); }
void tiara_st1(u64 r, u64 o, u64 v) { store(memory + o, v, 1); }
void tiara_st2(u64 r, u64 o, u64 v) { store(memory + o, v, 2); }
void tiara_st4(u64 r, u64 o, u64 v) { store(memory + o, v, 4); }
void tiara_st8(u64 r, u64 o, u64 v) { store(memory + o, v, 8); }
u64 tiara_cas(u64 r, u64 o, u64 e, u64 d) {
  u64 v = load(memory + o, 8);
  if (v == e) store(memory + o, d, 8);
  return v;
}
u64 tiara_faa(u64 r, u64 o, u64 a) { u64 v = load(memory + o, 8); store(memory + o, v + a, 8); return v; }
u64 tiara_swp(u64 r, u64 o, u64 n) { u64 v = load(memory + o, 8); store(memory + o, n, 8); return v; }
u64 tiara_pad_ld1(u64 o) { return load(pad + o, 1); }
u64 tiara_pad_ld4(u64 o) { return load(pad + o, 4); }
u64 tiara_pad_ld8(u64 o) { return load(pad + o, 8); }
void tiara_pad_st1(u64 o, u64 v) { store(pad + o, v, 1); }
void tiara_pad_st4(u64 o, u64 v) { store(pad + o, v, 4); }
void tiara_pad_st8(u64 o, u64 v) { store(pad + o, v, 8); }
void tiara_ldline(u64 p, u64 r, u64 o) { memcpy(pad + p, memory + o, 64); }
void tiara_emit(u64 v) { memcpy(reply + reply_bytes, &v, 8); reply_bytes += 8; }
void tiara_gather(u64 r, u64 o, u64 n) { memcpy(reply + reply_bytes, memory + o, n); reply_bytes += n; }
void tiara_fill(u64 r, u64 o, u64 n, u64 v) { memset(memory + o, (int)v, n); }
void tiara_copy(u64 r, u64 o, u64 s, u64 p, u64 n) { memmove(memory + o, memory + p, n); }
void tiara_wait(void) {}
void tiara_ret0(void) { end("ok", 0, 0, 0, 0, 0, 0); __builtin_unreachable(); }
void tiara_ret2(u64 a, u64 b) { end("ok", 0, 2, a, b, 0, 0); __builtin_unreachable(); }
void tiara_ret4(u64 a, u64 b, u64 c, u64 d) { end("ok", 0, 4, a, b, c, d); __builtin_unreachable(); }
void tiara_fail(u64 c) { end("failed", (int)c, 0, 0, 0, 0, 0); __builtin_unreachable(); }
int main(int argc, char **argv) {
  FILE *f = fopen("region.in", "rb");
  if (fread(memory, 1, sizeof memory, f) != sizeof memory) return 1;
  for (int i = 1; i < argc; ++i) argument[i - 1] = strtoull(argv[i], 0, 0);
  end("ok", 0, 1, subject(argument[0], argument[1], argument[2]), 0, 0, 0);
}
"""


class Generator:
    """Programs that cannot fault by construction: offsets are masked, loops bounded, shifts below 64."""

    def __init__(self, rng):
        self.rng = rng
        self.loops = 0
        self.depth = 0
        self.has_array = rng.random() < 0.4
        self.has_pad = rng.random() < 0.5
        self.indices = []

    def pick(self, *choices):
        return self.rng.choice(choices)

    def name(self):
        return self.pick(*(["a", "b", "c", "v0", "v1", "v2", "v3", "v4", "w0", "w1", "s0"] + self.indices))

    def constant(self):
        return self.pick("0", "1", "2", "7", "8", "63", "64", "255", "4095", "0xffff", "0x7fffffff", "0xffffffffull",
                         "0x123456789abcdefull", "~0ull", "0x8000000000000000ull", str(self.rng.randrange(1 << 16)))

    def expression(self, depth=3):
        roll = self.rng.random()
        if depth == 0 or roll < 0.2:
            return self.name() if self.rng.random() < 0.75 else self.constant()
        x, y = self.expression(depth - 1), self.expression(depth - 1)
        if roll < 0.55:
            return f"({x} {self.pick('+', '-', '*', '&', '|', '^')} {y})"
        if roll < 0.65:
            amount = self.pick(str(self.rng.randrange(64)), f"({y} & 63)")
            return f"((u64)({x}) {self.pick('<<', '>>')} {amount})"
        if roll < 0.69:
            return f"(u64)((s64)({x}) >> {self.rng.randrange(64)})"
        if roll < 0.73:
            return f"((u64)({x}) {self.pick('/', '%')} {self.pick('((u64)(' + y + ') | 1)', '8ull', '10ull')})"
        if roll < 0.80:
            return f"({self.condition(depth - 1)} ? (u64)({x}) : (u64)({y}))"
        if roll < 0.85:
            return f"(u64)({self.pick('u8', 'u16', 'u32', 's8', 's16', 's32')})({x})"
        if roll < 0.89:
            return f"tiara_{self.pick('popcnt', 'ctz', 'clz')}({x})"
        if roll < 0.92:
            low = self.rng.randrange(56)
            return f"((u64)({x}) >> {low} & {(1 << self.rng.randrange(1, 12)) - 1})"
        if roll < 0.95:
            return f"(u64)({self.condition(depth - 1)})"
        return self.load(depth - 1)

    def load(self, depth):
        roll = self.rng.random()
        if self.has_array and roll < 0.3:
            return f"array[{self.expression(depth)} & 7]"
        if self.has_pad and roll < 0.5:
            return f"tiara_pad_ld8({self.expression(depth)} & 120)"
        kind, mask = self.pick(("ld1", 4095), ("ld2", 4094), ("ld4", 4092), ("ld8", 4088), ("lds1", 4095),
                               ("lds2", 4094), ("lds4", 4092), ("ld8", 4088), ("ld8", 4088))
        shape = self.rng.random()
        if shape < 0.4:  # a table's index
            bits = self.rng.randrange(0, 40)
            base = self.rng.randrange(0, 64) * 8
            return f"tiara_{kind}(data, {base} + (({self.expression(depth)}) >> {bits} & 127) * 8)"
        if shape < 0.6:
            return f"tiara_{kind}(data, (u64)({self.name()} & 0x7f8) + (u64)({self.name()} & 0x7f8))"
        return f"tiara_{kind}(data, {self.expression(depth)} & {mask})"

    def condition(self, depth=2):
        x, y = self.expression(depth), self.expression(depth)
        cast = self.pick("u64", "u64", "s64", "u32", "s32")
        roll = self.rng.random()
        if roll < 0.15:
            return f"((u64)({x}) & {1 << self.rng.randrange(64)}ull)"
        if roll < 0.25:
            return f"((u64)({x}) == 0)"
        return f"(({cast})({x}) {self.pick('<', '<=', '>', '>=', '==', '!=')} ({cast})({y}))"

    def statement(self, budget):
        roll = self.rng.random()
        target = self.pick("a", "b", "c", "v0", "v1", "v2", "v3", "v4", "w0", "w1", "s0")
        if roll < 0.42 or budget <= 0:
            return f"{target} {self.pick('=', '=', '+=', '^=', '-=')} {self.expression()};"
        if roll < 0.50:
            kind, mask = self.pick(("st1", 4095), ("st2", 4094), ("st4", 4092), ("st8", 4088))
            return f"tiara_{kind}(data, {self.expression(1)} & {mask}, {self.expression(2)});"
        if roll < 0.54:
            return self.pick(f"{target} = tiara_cas(data, {self.expression(1)} & 4088, {self.expression(1)}, "
                             f"{self.expression(1)});",
                             f"{target} = tiara_faa(data, {self.expression(1)} & 4088, {self.expression(1)});",
                             f"tiara_swp(data, {self.expression(1)} & 4088, {self.expression(1)});")
        if roll < 0.58 and self.has_array:
            return f"array[{self.expression(1)} & 7] = {self.expression(2)};"
        if roll < 0.60 and self.has_pad:
            return self.pick(f"tiara_pad_st8({self.expression(1)} & 120, {self.expression(2)});",
                             f"tiara_pad_st4({self.expression(1)} & 120, {self.expression(2)});",
                             f"tiara_ldline({self.pick(0, 64)}, data, {self.expression(1)} & 4032);")
        if roll < 0.65:
            return self.pick(f"tiara_emit({self.expression(2)});",
                             f"tiara_gather(data, {self.expression(1)} & 2047, {self.expression(1)} & 31);",
                             f"tiara_fill(data, {self.expression(1)} & 2047, {self.expression(1)} & 31, "
                             f"{self.name()}); tiara_wait();",
                             f"tiara_copy(data, {self.expression(1)} & 2047, data, {self.expression(1)} & 2047, "
                             f"{self.expression(1)} & 31); tiara_wait();")
        if roll < 0.80:
            text = f"if ({self.condition()}) {self.block(budget - 1)}"
            if self.rng.random() < 0.5:
                text += f" else {self.block(budget - 1)}"
            return text
        if roll < 0.92 and self.depth < 3:
            return self.loop(budget)
        if roll < 0.96 and self.depth > 0:
            return f"if ({self.condition()}) {self.pick('break', 'continue')};"
        if roll < 0.975:
            return f"if ({self.condition()}) {self.end()}"
        return f"if ({self.condition()}) {target} = {self.expression()};"

    def end(self):
        return self.pick(f"return {self.expression(2)};", f"tiara_fail({self.rng.randrange(100)});", "tiara_ret0();",
                         f"tiara_ret2({self.name()}, {self.expression(1)});",
                         f"tiara_ret4({self.name()}, {self.name()}, {self.name()}, {self.constant()});")

    def loop(self, budget):
        self.loops += 1
        index = f"i{self.loops}"
        trips = self.expression(1)
        self.depth += 1
        self.indices.append(index)
        body = self.block(budget - 1)
        self.indices.pop()
        self.depth -= 1
        if self.rng.random() < 0.1:
            return f"TIARA_LOOP({index}, {self.rng.randrange(5)}, 8) {body}"
        return f"TIARA_LOOP({index}, ({trips}) & 7, 8) {body}"

    def block(self, budget):
        inner = " ".join(self.statement(budget) for _ in range(self.rng.randrange(1, 5)))
        return "{ " + inner + " }"

    def program(self):
        body = "\n  ".join(self.statement(4) for _ in range(self.rng.randrange(3, 12)))
        array = "u64 array[8] = {0};" if self.has_array else ""
        pad = " ".join(f"tiara_pad_st8({offset}, a);" for offset in range(0, PAD_BYTES, 8)) if self.has_pad else ""
        return f"""#include "tiara_op.h"
TIARA_OPERATOR(subject, 1, .reply_bytes = 1 << 20, .scratchpad_bytes = {PAD_BYTES});
TIARA_REGION(0, data, TIARA_READ | TIARA_WRITE | TIARA_ATOMIC);
TIARA_ARGUMENT(0, a, 0, ~0ull, 0);
TIARA_ARGUMENT(1, b, 0, 0xffffffff, 0);
TIARA_ARGUMENT(2, c, 0, ~0ull, 0);
u64 subject(u64 a, u64 b, u64 c) {{
  u64 v0 = 0, v1 = 1, v2 = a, v3 = 3, v4 = b;
  u32 w0 = 5, w1 = 0;
  s64 s0 = -1;
  {array}
  {pad}
  {body}
  return v0 ^ v1 ^ v2 ^ v3 ^ v4 ^ w0 ^ w1 ^ s0 ^ a ^ b ^ c;
}}
"""


def run(command, folder):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def native_command(options, flags):
    return [options.clang, "-w", "-std=gnu11", *flags, f"-I{options.header}"]


def try_once(options, seed, folder):
    """None: all the same; otherwise what was different."""
    rng = random.Random(seed)
    with open(os.path.join(folder, "subject.c"), "w") as file:
        file.write(Generator(rng).program())
    tiara = run([options.tiara, "cc", "subject.c", "-o", "subject.tiara", "--clang", options.clang], folder)
    if tiara.returncode != 0:
        return "tiara cc: " + tiara.stderr
    native = run([*native_command(options, ["-O1"]), "subject.c", "model.o", "-o", "native"], folder)
    if native.returncode != 0:
        return "native: " + native.stderr
    for _ in range(options.inputs):
        with open(os.path.join(folder, "region.in"), "wb") as file:
            file.write(bytes(rng.choice([0, 0, 1, 255, rng.randrange(256)]) for _ in range(REGION_BYTES)))
        values = [rng.choice([0, 1, 5, 1 << 63, (1 << 64) - 1, rng.getrandbits(64)]),
                  rng.getrandbits(32) >> rng.randrange(33), rng.getrandbits(64) >> rng.randrange(65)]
        expected = run(["./native", *map(str, values)], folder)
        command = [options.tiara, "exec", "subject.tiara", "--json", "--region", "data=region.in",
                   "--save", "data=tiara.out"]
        for value in values:
            command += ["--arg", str(value)]
        actual = run(command, folder)
        if not actual.stdout.startswith("{"):
            return "tiara exec: " + actual.stdout + actual.stderr
        report = json.loads(actual.stdout)
        line = " ".join(map(str, [report["status"], report["code"], *report["results"], report["reply"]])).strip()
        if line != expected.stdout.strip():
            return f"arguments {values}\n  native: {expected.stdout.strip()}\n  tiara:  {line}"
        memories = []
        for name in ("native.out", "tiara.out"):
            with open(os.path.join(folder, name), "rb") as file:
                memories.append(file.read())
        if memories[0] != memories[1]:
            return f"arguments {values}: memory differs"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiara", required=True)
    parser.add_argument("--header", required=True, help="the folder of tiara_op.h")
    parser.add_argument("--clang", default="clang-14")
    parser.add_argument("--programs", type=int, default=12)
    parser.add_argument("--inputs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="a folder for the first program that fails")
    options = parser.parse_args()
    options.tiara, options.header = os.path.abspath(options.tiara), os.path.abspath(options.header)
    if shutil.which(options.clang) is None:
        print(f"{options.clang} is not installed")
        return 77
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "model.c"), "w") as file:
            file.write(MODEL)
        model = run([*native_command(options, ["-O1"]), "-c", "model.c", "-o", "model.o"], folder)
        if model.returncode != 0:
            print(model.stderr)
            return 1
        for seed in range(options.seed * 1000003, options.seed * 1000003 + options.programs):
            difference = try_once(options, seed, folder)
            if difference is None:
                continue
            failures += 1
            print(f"program {seed}: {difference}")
            if options.keep:
                shutil.copytree(folder, os.path.join(options.keep, str(seed)), dirs_exist_ok=True)
    print(f"{options.programs} programs from seed {options.seed}, {failures} different")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
