#include <catch2/catch.hpp>

#include <random>
#include <string>

#include "nic/asm/assembler.h"
#include "nic/asm/disassembler.h"

namespace tiara::nic {
namespace {

TEST_CASE("a disassembled program reads like the source") {
  const std::string source = R"(.operator walk
.version 2
.region pool rwa cacheable
.region peer a remote
.arg page 0 0xfffffffff
.arg base 0 4096 align 4096
.results 1
.scratchpad 64
.reply 4096
.steps 99

    li r2, -5
    loop r3, r1, 4 {
      ld8x r4, pool[r1 + r0.bits(9,9) << 3]
      bnei r4, -1, L6
      j L7
      faa r5, peer[r1 - 8], r4
L6:
    }
L7:
    ret 1
)";
  const auto program = assemble(source, "walk.tiara");
  REQUIRE(program);
  CHECK(disassemble(*program) == source);
}

TEST_CASE("any well-formed program survives disassembly and assembly, however wild its structure") {
  std::mt19937_64 random(11);
  for (int run = 0; run < 400; ++run) {
    Program program;
    program.name = "wild";
    program.regions = {{"a", Permission::kRead, false, false}, {"b", Permission::kReadWriteAtomic, true, true}};
    program.arguments = {{"x", random() % 10, UINT64_MAX - random() % 10, random() & random()}};
    program.results = random() % 5;
    program.scratchpad_bytes = static_cast<uint16_t>(random() % 4097);
    while (program.code.size() < 60) {
      const auto rows = all_instructions();
      const InstructionInfo& row = random() % 4 == 0 ? info(random() % 2 ? Opcode::kLoop : Opcode::kEndLoop)
                                                     : rows[random() % rows.size()];
      uint64_t word = (random() & random() & random() & ~uint64_t{0xff}) | static_cast<uint8_t>(row.opcode);
      if (row.opcode == Opcode::kLoop) word = (word & 0xffff) | uint64_t{1 | (random() % 12) << 20} << 32;
      if (row.opcode == Opcode::kEndLoop || row.format == Format::kNone) word &= 0xff;
      if (info(row.format).flags == FlagUse::kPops) word = (word & 0xffffffff1fffffff) & ~(uint64_t{0xffe0} << 32);
      if (const auto instruction = decode(word)) program.code.push_back(*instruction);
    }
    const std::string text = disassemble(program);
    const auto back = assemble(text, "wild.tiara");
    if (!back) FAIL(back.error().message << "\n" << text);
    if (*back != program) FAIL(text);
  }
}

}  // namespace
}  // namespace tiara::nic
