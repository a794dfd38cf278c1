#include <catch2/catch.hpp>

#include <string>

#include "nic/asm/assembler.h"

namespace tiara::nic {
namespace {

constexpr std::string_view kHeader = ".operator t\n.region pool rwa cacheable\n.region peer ra remote\n";

Program must_assemble(const std::string& body) {
  auto program = assemble(std::string(kHeader) + body, "t.tiara");
  if (!program) FAIL(program.error().message);
  return *program;
}

// The message without "t.tiara:LINE:", where LINE counts from the body's first line.
std::string error_of(const std::string& body) {
  auto program = assemble(std::string(kHeader) + body, "t.tiara");
  REQUIRE_FALSE(program);
  return program.error().message;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST_CASE("every example of the instruction table assembles to its own instruction") {
  for (const InstructionInfo& row : all_instructions()) {
    std::string line(row.example);
    if (row.opcode == Opcode::kLoop) line += "\n}";
    if (row.opcode == Opcode::kEndLoop) line = "loop r5, r6, 1 {\n}";
    const Program program = must_assemble(line + "\ndone: ret 0\n");
    const size_t at = row.opcode == Opcode::kEndLoop ? 1 : 0;
    INFO(row.mnemonic);
    CHECK(program.code[at].opcode == row.opcode);
  }
}

TEST_CASE("directives fill the program's declarations") {
  const auto program = assemble(R"(
; a comment
.operator walk      ; another
.version 7
.region pool rw
.region space ra cacheable
.arg first 0 0xf_ffff
.arg offset 0 4096 align 64
.arg odd 0 1 << 20 zero 6
.results 2
.scratchpad 128
.reply 2 * 4096
.steps 1000 + 24
ret
)", "walk.tiara");
  REQUIRE(program);
  CHECK(program->name == "walk");
  CHECK(program->version == 7);
  REQUIRE(program->regions.size() == 2);
  CHECK(program->regions[0] == RegionDeclaration{"pool", Permission::kReadWrite, false, false});
  CHECK(program->regions[1].is_cacheable);
  CHECK(program->regions[1].permission == Permission{5});
  REQUIRE(program->arguments.size() == 3);
  CHECK(program->arguments[0] == ArgumentContract{"first", 0, 0xfffff, 0});
  CHECK(program->arguments[1].known_zero == 63);
  CHECK(program->arguments[2] == ArgumentContract{"odd", 0, 1 << 20, 6});
  CHECK(program->scratchpad_bytes == 128);
  CHECK(program->declared == DeclaredBounds{1024, 8192});
  CHECK(program->code == std::vector<Instruction>{{.opcode = Opcode::kRet, .imm = 2}});
}

TEST_CASE("a constant operand chooses the immediate form") {
  const Program program = must_assemble(R"(.arg a 0 9
.const STEP 5
.reg sum r7
add sum, a, STEP
add sum, a, sum
sub sum, a, -3
beq sum, STEP + 1, out
beq sum, a, out
out: ret 0
)");
  CHECK(program.code[0] == Instruction{.opcode = Opcode::kAddi, .rd = 7, .imm = 5});
  CHECK(program.code[1] == Instruction{.opcode = Opcode::kAdd, .rd = 7, .rs2 = 7});
  CHECK(program.code[2] == Instruction{.opcode = Opcode::kSubi, .rd = 7, .imm = -3});
  CHECK(program.code[3] == Instruction{.opcode = Opcode::kBeqi, .rs1 = 7, .imm = pack_branch(2, 6)});
  CHECK(program.code[4] == Instruction{.opcode = Opcode::kBeq, .rs1 = 7, .imm = 1});
}

TEST_CASE("li takes any 64-bit constant") {
  const Program program = must_assemble("li r1, -1\nli r2, 0xffffffff\nli r3, 0x123456789abcdef0\nret 0\n");
  REQUIRE(program.code.size() == 6);
  CHECK(program.code[0] == Instruction{.opcode = Opcode::kLi, .rd = 1, .imm = -1});
  CHECK(program.code[1] == Instruction{.opcode = Opcode::kLi, .rd = 2, .imm = -1});
  CHECK(program.code[2] == Instruction{.opcode = Opcode::kLih, .rd = 2, .imm = 0});
  CHECK(program.code[4] == Instruction{.opcode = Opcode::kLih, .rd = 3, .imm = 0x12345678});
}

TEST_CASE("addresses have a base, an offset or both") {
  const Program program = must_assemble(R"(.scratchpad 64
ld8 r1, pool[64]
ld8 r1, pool[r2]
ld8 r1, pool[r2 - 8]
ld8x r1, pool[r2 + r3.bits(12, 9) << 3]
ldline [0], pool[r2 + 64]
spst4 [r1 + 4], r2
rcas r4, peer@r2[16], r3
copy pool[r1], pool[r2], r3
ret 0
)");
  CHECK(program.code[0] == Instruction{.opcode = Opcode::kLd8, .rd = 1, .flags = 1, .imm = 64});
  CHECK(program.code[1] == Instruction{.opcode = Opcode::kLd8, .rd = 1, .rs1 = 2});
  CHECK(program.code[2] == Instruction{.opcode = Opcode::kLd8, .rd = 1, .rs1 = 2, .imm = -8});
  CHECK(program.code[3] ==
        Instruction{.opcode = Opcode::kLd8x, .rd = 1, .rs1 = 2, .rs2 = 3, .imm = pack_bits(12, 9, 3)});
  CHECK(program.code[4] == Instruction{.opcode = Opcode::kLdLine, .rs1 = 2, .imm = pack_line(0, 64)});
  CHECK(program.code[5] == Instruction{.opcode = Opcode::kSpSt4, .rs1 = 1, .rs2 = 2, .imm = 4});
  CHECK(program.code[6] ==
        Instruction{.opcode = Opcode::kRCas, .rd = 4, .rs2 = 2, .rs3 = 3, .region = 1, .flags = 1, .imm = 16});
  CHECK(program.code[7] == Instruction{.opcode = Opcode::kCopy, .rs1 = 1, .rs2 = 2, .rs3 = 3});
}

TEST_CASE("loops, breaks and continues become forward branches that pop frames") {
  const Program program = must_assemble(R"(
  loop r1, r2, 10 {        ; 0
    loop r3, r4, 5 {       ; 1
      break if eq r3, 2    ; 2 -> 7, pops 1
      continue if ne r3, r1; 3 -> 6
      break 2              ; 4 -> 9, pops 2
      continue 2           ; 5 -> 8, pops 1
    }                      ; 6
    j over                 ; 7 -> 9, pops 1
  }                        ; 8
over:
  ret 0                    ; 9
)");
  const auto& code = program.code;
  REQUIRE(code.size() == 10);
  CHECK(code[0] == Instruction{.opcode = Opcode::kLoop, .rd = 1, .rs1 = 2, .imm = pack_loop(10, 7)});
  CHECK(code[1] == Instruction{.opcode = Opcode::kLoop, .rd = 3, .rs1 = 4, .imm = pack_loop(5, 4)});
  CHECK(code[2] == Instruction{.opcode = Opcode::kBeqi, .rs1 = 3, .flags = 1, .imm = pack_branch(5, 2)});
  CHECK(code[3] == Instruction{.opcode = Opcode::kBne, .rs1 = 3, .rs2 = 1, .imm = 3});
  CHECK(code[4] == Instruction{.opcode = Opcode::kJump, .flags = 2, .imm = 5});
  CHECK(code[5] == Instruction{.opcode = Opcode::kJump, .flags = 1, .imm = 3});
  CHECK(code[7] == Instruction{.opcode = Opcode::kJump, .flags = 1, .imm = 2});
}

TEST_CASE("an error names file, line, column and what was expected") {
  CHECK(error_of("add r1, 7, r2\n") ==
        "t.tiara:4:9: expected a register (r0 to r15 or a name for one), found '7'");
  CHECK(error_of("\n  ld8 r1 pool[r2]\n") == "t.tiara:5:10: expected ',', found 'pool'");
  CHECK(error_of("ld8 r1, heap[r2]\n") == "t.tiara:4:9: expected the name of a declared region, found 'heap'");
  CHECK(error_of("frob r1\n") == "t.tiara:4:1: unknown instruction 'frob'");
  CHECK(error_of("j nowhere\nret 0\n") == "t.tiara:4:3: label 'nowhere' is not defined");
}

TEST_CASE("what has no meaning is refused") {
  CHECK(contains(error_of("back: li r1, 0\nj back\nret 0\n"), "forward"));
  CHECK(contains(error_of("j end\nend:\n"), "no instruction"));
  CHECK(contains(error_of("j in\nloop r1, r2, 4 {\nin: wait\n}\nret 0\n"), "inside a loop"));
  CHECK(contains(error_of("loop r1, r2, 4 {\nret 0\n"), "no '}'"));
  CHECK(contains(error_of("}\n"), "without a loop"));
  CHECK(contains(error_of("break\n"), "no loop"));
  CHECK(contains(error_of("loop r1, r2, 4 {\nbreak 2\n}\nret 0"), "only 1 loops"));
  CHECK(contains(error_of("loop r1, r2, 0 {\n}\nret 0\n"), "at least 1"));
  CHECK(contains(error_of("loop r1, r2, 1 << 20 {\n}\nret 0\n"), "above"));
  CHECK(contains(error_of("x: wait\nx: ret 0\n"), "twice"));
  CHECK(contains(error_of("li r1, 0x1_0000_0000_0000_0000\n"), "not a number"));
  CHECK(contains(error_of("addi r1, r2, 0x80000000\n"), "32 bits"));
  CHECK(contains(error_of("beq r1, 40000, x\nx: ret 0\n"), "16 bits"));
  CHECK(contains(error_of("shl r1, r2, 64\n"), "immediate out of range"));
  CHECK(contains(error_of("ldline [32], pool[r1]\n"), "immediate out of range"));
  CHECK(contains(error_of("bfx r1, r2, 60, 9\n"), "immediate out of range"));
  CHECK(contains(error_of("ret 0 ret\n"), "end of the line"));
  CHECK(contains(error_of("ret 5\n"), "immediate out of range"));
  CHECK(contains(error_of("wait $\n"), "no meaning"));
  CHECK(contains(error_of(".frob 1\n"), "unknown directive"));
  CHECK(contains(error_of(".region bad rx\n"), "permissions"));
  CHECK(contains(error_of(".region pool r\nret 0\n"), "declared twice"));
  CHECK(contains(error_of(".arg r3 0 1\n"), "already has a meaning"));
  CHECK(contains(error_of(".arg a 5 1\n"), "above its maximum"));
  CHECK(contains(error_of(".arg a 0 1 align 3\n"), "power of two"));
  CHECK(contains(error_of(".word 0\n"), "unknown opcode"));
  CHECK(contains(error_of("endloop\n"), "unknown instruction"));
  CHECK(contains(error_of(""), "no instructions"));
  CHECK_FALSE(assemble("ret 0\n", "t"));
  CHECK_FALSE(assemble("", "t"));
}

}  // namespace
}  // namespace tiara::nic
