#include <catch2/catch.hpp>

#include <random>

#include "nic/isa/instruction.h"

namespace tiara::nic {
namespace {

TEST_CASE("every decodable word encodes back to itself") {
  std::mt19937_64 random(1);
  int decoded_count = 0;
  for (const InstructionInfo& row : all_instructions()) {
    for (int i = 0; i < 20000; ++i) {
      // Thin out the high bits so that reserved fields are often zero.
      const uint64_t word = (random() & random() & random() & ~uint64_t{0xff}) | static_cast<uint8_t>(row.opcode);
      const auto instruction = decode(word);
      if (!instruction) continue;
      ++decoded_count;
      REQUIRE(encode(*instruction) == word);
      REQUIRE(instruction->opcode == row.opcode);
    }
  }
  CHECK(decoded_count > 10000);
}

TEST_CASE("any 64 bits decode or are refused, and nothing else happens") {
  std::mt19937_64 random(2);
  for (int i = 0; i < 200000; ++i) {
    const uint64_t word = random();
    const auto instruction = decode(word);
    if (instruction) REQUIRE(encode(*instruction) == word);
  }
  CHECK(decode(0).error() == DecodeError::kUnknownOpcode);
  CHECK(decode(UINT64_MAX).error() == DecodeError::kUnknownOpcode);
}

TEST_CASE("a reserved field that is not zero is refused") {
  CHECK(decode(0x03).has_value());           // wait
  CHECK(decode(0x03 | 1u << 8).error() == DecodeError::kReservedField);
  CHECK(decode(0x03 | 1u << 28).error() == DecodeError::kBadFlags);
  CHECK(decode(0x03 | uint64_t{1} << 32).error() == DecodeError::kBadImmediate);
}

TEST_CASE("immediates have the limits that the manual states") {
  const auto with = [](Opcode opcode, int32_t imm) { return decode(encode({.opcode = opcode, .imm = imm})); };
  CHECK(with(Opcode::kShli, 63));
  CHECK_FALSE(with(Opcode::kShli, 64));
  CHECK(with(Opcode::kBfx, pack_bits(1, 63)));
  CHECK_FALSE(with(Opcode::kBfx, pack_bits(2, 63)));
  CHECK_FALSE(with(Opcode::kBfx, pack_bits(2, 0)));
  CHECK(with(Opcode::kLd8x, pack_bits(9, 9, 7)));
  CHECK_FALSE(with(Opcode::kBfx, pack_bits(9, 9, 3)));
  CHECK(with(Opcode::kJump, 1));
  CHECK_FALSE(with(Opcode::kJump, 0));
  CHECK_FALSE(with(Opcode::kJump, -1));
  CHECK_FALSE(with(Opcode::kJump, kMaxInstructions + 1));
  CHECK(with(Opcode::kBeqi, pack_branch(1, -32768)));
  CHECK_FALSE(with(Opcode::kBeqi, pack_branch(0, 1)));
  CHECK(with(Opcode::kBseti, pack_branch(1, 63)));
  CHECK_FALSE(with(Opcode::kBseti, pack_branch(1, 64)));
  CHECK(with(Opcode::kLoop, pack_loop(kMaxLoopBound, 4095)));
  CHECK_FALSE(with(Opcode::kLoop, pack_loop(0, 1)));
  CHECK(with(Opcode::kLdLine, pack_line(4032, -64)));
  CHECK_FALSE(with(Opcode::kLdLine, pack_line(32, 0)));
  CHECK_FALSE(with(Opcode::kLdLine, pack_line(4096, 0)));
  CHECK_FALSE(with(Opcode::kGatherS, 0));
  CHECK(with(Opcode::kGatherS, kMaxElementBytes));
  CHECK_FALSE(with(Opcode::kRet, 5));
  CHECK(with(Opcode::kFail, 0xffff));
  CHECK_FALSE(with(Opcode::kFail, 0x10000));
}

TEST_CASE("an absolute address has neither a base register nor a negative offset") {
  CHECK(decode(encode({.opcode = Opcode::kLd8, .flags = 1, .imm = 8})));
  CHECK_FALSE(decode(encode({.opcode = Opcode::kLd8, .rs1 = 1, .flags = 1, .imm = 8})));
  CHECK_FALSE(decode(encode({.opcode = Opcode::kLd8, .flags = 1, .imm = -8})));
  CHECK_FALSE(decode(encode({.opcode = Opcode::kLd8, .flags = 2, .imm = 8})));
  CHECK_FALSE(decode(encode({.opcode = Opcode::kSpLd8, .flags = 1, .imm = 4096})));
}

TEST_CASE("packed immediates come back as they went in") {
  const Instruction branch{.opcode = Opcode::kBltui, .imm = pack_branch(700, -5)};
  CHECK(branch.displacement() == 700);
  CHECK(branch.compare_value() == -5);
  const Instruction loop{.opcode = Opcode::kLoop, .imm = pack_loop(0xfffff, 0xfff)};
  CHECK(loop.loop_bound() == 0xfffff);
  CHECK(loop.body_length() == 0xfff);
  const Instruction line{.opcode = Opcode::kLdLine, .imm = pack_line(64, -128)};
  CHECK(line.pad_offset() == 64);
  CHECK(line.line_displacement() == -128);
  const Instruction indexed{.opcode = Opcode::kLd8x, .imm = pack_bits(12, 9, 3)};
  CHECK(indexed.lsb() == 12);
  CHECK(indexed.width() == 9);
  CHECK(indexed.scale() == 3);
  CHECK(indexed.width_mask() == 0x1ff);
}

TEST_CASE("register sets follow the format") {
  const Instruction cas{.opcode = Opcode::kCas, .rd = 4, .rs1 = 1, .rs2 = 2, .rs3 = 3};
  CHECK(registers_read(cas) == 0b1110);
  CHECK(registers_written(cas) == 1u << 4);
  const Instruction absolute{.opcode = Opcode::kLd8, .rd = 4, .flags = 1};
  CHECK(registers_read(absolute) == 0);
  const Instruction remote_cas{.opcode = Opcode::kRCas, .rd = 4, .rs1 = 1, .rs2 = 2, .rs3 = 3};
  CHECK(registers_read(remote_cas) == 0b11110);
  CHECK(registers_read({.opcode = Opcode::kRet, .imm = 2}) == 0b11);
}

TEST_CASE("mnemonics are unique and findable") {
  for (const InstructionInfo& row : all_instructions()) {
    CHECK(find_instruction(row.mnemonic) == &row);
    CHECK(&info(row.opcode) == &row);
  }
  CHECK(find_instruction("nonsense") == nullptr);
}

}  // namespace
}  // namespace tiara::nic
