#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <random>

#include "nic/cc/emit.h"

using namespace tiara::nic;
using namespace tiara::nic::cc;

TEST_CASE("copies made one after the other give what copies all at once would") {
  std::mt19937 random(3);
  for (int round = 0; round < 5000; ++round) {
    std::array<uint64_t, 8> before, expected, actual;
    for (size_t i = 0; i < before.size(); ++i) before[i] = 100 + i;
    expected = actual = before;
    std::array<Register, 8> targets{0, 1, 2, 3, 4, 5, 6, 7};
    std::shuffle(targets.begin(), targets.end(), random);
    std::vector<Copy> copies;
    for (size_t i = 0; i < 1 + random() % 8; ++i) {
      Copy copy{.to = targets[i]};
      if (random() % 4 == 0)
        copy.constant = static_cast<int64_t>(random() % 50);
      else
        copy.from = static_cast<Register>(random() % 8);
      expected[copy.to] =
          copy.from == kNoRegister ? static_cast<uint64_t>(copy.constant) : before[copy.from];
      copies.push_back(copy);
    }
    for (const MachineInstruction& instruction : in_sequence(copies)) {
      if (instruction.is_constant)
        actual[instruction.rd] = static_cast<uint64_t>(instruction.imm);
      else if (instruction.opcode == Opcode::kMov)
        actual[instruction.rd] = actual[instruction.in[kRs1]];
      else
        actual[instruction.rd] = actual[instruction.in[kRs1]] ^ actual[instruction.in[kRs2]];
    }
    REQUIRE(actual == expected);
  }
}

TEST_CASE("two registers change places in three instructions and no other register") {
  const auto code = in_sequence({{.to = 1, .from = 2}, {.to = 2, .from = 1}});
  CHECK(code.size() == 3);
}
