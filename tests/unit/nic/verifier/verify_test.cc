// What is accepted, what is proved of it, and what is rejected with which reason.
#include "tests/unit/nic/verifier/programs.h"

namespace tiara::nic {
using namespace testing;

namespace {
const AbstractValue& value_at(const Analysis& analysis, uint32_t pc, uint8_t reg) {
  REQUIRE(analysis.states.at(pc).has_value());
  REQUIRE(analysis.states[pc]->is_defined(reg));
  return analysis.states[pc]->registers[reg];
}
bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE("arguments start with their contracts") {
  auto program = assemble(".operator t\n.arg a 0x1000 0xffff align 4096\nret 0\n", "t");
  REQUIRE(program);
  const Analysis analysis = accepted(*program);
  const AbstractValue& a = value_at(analysis, 0, 0);
  CHECK(a.umin() == 0x1000);
  CHECK(a.umax() == 0xf000);
  CHECK(a.alignment_log2() == 12);
}

TEST_CASE("branches narrow both registers on both sides") {
  const Analysis analysis = accepted("bltu any, n, below\nret 0\nbelow:\nret 0\n");
  CHECK(value_at(analysis, 2, 1).umax() == 99);
  CHECK(value_at(analysis, 2, 0).umin() == 1);
}

TEST_CASE("a loop's counter is below its trip count inside and equal to it after") {
  const Analysis analysis = accepted("loop r2, n, 64 {\nmov r3, r2\n}\nmov r4, r2\nret 0\n");
  CHECK(value_at(analysis, 1, 2).umax() == 63);
  CHECK(value_at(analysis, 3, 2).umax() == 64);
  CHECK(value_at(analysis, 1, 0).umin() == 1);   // the body runs only for a count above 0
  CHECK(value_at(analysis, 1, 0).umax() == 64);  // and not above the bound
  CHECK(analysis.facts[0].most_trips == 64);
  CHECK_FALSE(analysis.facts[0].is_trip_count_proved);
}

TEST_CASE("a cursor that moves by constants is bounded without widening") {
  const Analysis analysis = accepted(R"(
  li r3, 64
  loop r2, n, 10 {
    beq any, 5, skip
    add r3, r3, 8
skip:
    mov r4, r3
  }
  ret 0
)");
  CHECK(value_at(analysis, 2, 3).umin() == 64);
  CHECK(value_at(analysis, 2, 3).umax() == 64 + 9 * 8);
  CHECK(value_at(analysis, 2, 3).alignment_log2() == 3);
  CHECK(value_at(analysis, 6, 3).umax() == 64 + 10 * 8);
}

TEST_CASE("a cursor of an inner loop is bounded by both loops") {
  const Analysis analysis = accepted(R"(
  li r3, 0
  li r5, 4
  loop r2, r5, 4 {
    loop r4, r5, 8 {
      add r3, r3, 2
    }
  }
  ret 0
)");
  // The inner loop counts with its declared bound.
  CHECK(value_at(analysis, 7, 3).umax() <= 4 * 8 * 2);
}

TEST_CASE("an inner loop keeps what it does not write, however often the outer one comes round") {
  const Analysis analysis = accepted(R"(
  li r3, 4
  loop r2, n, 4 {
    loop r4, n, 3 {
      spst1 [r3], n
      ld8 r5, pool[r3]
    }
    add r3, r3, 2
    remu n, any, 4
  }
  ret 0
)");
  CHECK(value_at(analysis, 3, 3).umax() == 4 + 3 * 2);
}

TEST_CASE("what a loop only masks stays masked") {
  const Analysis analysis = accepted(R"(
  li r3, 0
  loop r2, n, 64 {
    ld8 r4, pool[r3]
    and r3, r4, 0xff8
  }
  ret 0
)");
  CHECK(value_at(analysis, 2, 3).umax() == 0xff8);
  CHECK(value_at(analysis, 2, 3).alignment_log2() == 3);
}

TEST_CASE("values that grow without bound in a loop end as any value") {
  const Analysis analysis = accepted("li r3, 1\nloop r2, n, 64 {\nmul r3, r3, any\n}\nret 0\n");
  CHECK(value_at(analysis, 4, 3).umax() == UINT64_MAX);
}

TEST_CASE("an access with known range says from which region size on it is safe") {
  const Analysis analysis =
      accepted("ld8 r2, pool[8]\nand r3, any, 0xfff\nld4 r4, pool[r3 + 16]\nld8 r5, pool[any]\nret 0\n");
  CHECK(analysis.facts[0].extent == 16);
  CHECK(analysis.facts[2].extent == 0xfff + 16 + 4);
  CHECK(analysis.facts[3].extent == UINT64_MAX);
}

TEST_CASE("alignment of atomics and lines is proved where it can be") {
  const Analysis analysis = accepted(R"(
  shl r2, n, 3
  faa r3, pool[r2 + 8], n
  faa r3, pool[any], n
  shl r4, n, 6
  ldline [64], pool[r4]
  ret 0
)");
  CHECK(analysis.facts[1].is_aligned);
  CHECK_FALSE(analysis.facts[2].is_aligned);
  CHECK(analysis.facts[4].is_aligned);
}

TEST_CASE("scratchpad bytes may be read once they are written on every path") {
  accepted("spst8 [0], any\nspld4 r2, [4]\nret 0\n");
  accepted("ldline [0], pool[n]\nand r2, any, 0x38\nspld8 r3, [r2]\nret 0\n");
  const Rejection half = rejected("beq n, 0, over\nspst8 [0], any\nover:\nspld8 r2, [0]\nret 0\n");
  CHECK(half.requirement == Requirement::kScratchpadDefined);
  CHECK(half.instruction == 2);
  const Rejection next = rejected("spst8 [0], any\nspld8 r2, [4]\nret 0\n");
  CHECK(next.requirement == Requirement::kScratchpadDefined);
  CHECK(contains(next.detail, "byte 8 "));
}

TEST_CASE("a region is used as it is declared") {
  CHECK(rejected("st8 table[0], any\nret 0\n").requirement == Requirement::kRegionPermission);
  CHECK(rejected("faa r2, table[0], any\nret 0\n").requirement == Requirement::kRegionPermission);
  CHECK(rejected("copy table[n], pool[n], n\nret 0\n").requirement == Requirement::kRegionPermission);
  CHECK(rejected("ld8 r2, peer[0]\nret 0\n").requirement == Requirement::kRegionLocal);
  CHECK(rejected("rld8 r2, pool@n[0]\nret 0\n").requirement == Requirement::kRegionRemote);
  Program undeclared = program_of("ld8 r2, pool[0]\nret 0\n");
  undeclared.code[0].region = 9;
  CHECK(rejected(undeclared).requirement == Requirement::kRegionDeclared);
  accepted("copy pool[n], table[n], n\nret 0\n");
}

TEST_CASE("results are those that are declared") {
  auto program = assemble(".operator t\n.results 1\nli r0, 1\nli r1, 1\nret 2\n", "t");
  REQUIRE(program);
  CHECK(rejected(*program).requirement == Requirement::kResultsDeclared);
  CHECK(rejected("ret 3\n").requirement == Requirement::kRegisterDefined);  // r2 is not written
}

TEST_CASE("declared bounds are proved or the program is rejected") {
  auto steps = assemble(".operator t\n.arg n 0 100\n.steps 100\nloop r1, n, 100 {\n}\nret 0\n", "t");
  REQUIRE(steps);
  CHECK(rejected(*steps).requirement == Requirement::kStepBound);
  auto reply =
      assemble(".operator t\n.arg n 0 100\n.region pool r\n.reply 64\ngather pool[0], n\nret 0\n", "t");
  REQUIRE(reply);
  const Rejection rejection = rejected(*reply);
  CHECK(rejection.requirement == Requirement::kReplyBound);
  CHECK(contains(rejection.detail, "up to 100 reply bytes"));
}

TEST_CASE("a rejection names instruction, requirement, state and cure in words") {
  const Rejection rejection = rejected("and r2, any, 0xff\nspld8 r3, [r2 + 8]\nret 0\n");
  CHECK(to_string(rejection, "spld8 r3, [r2 + 8]") ==
        "instruction 1 (spld8 r3, [r2 + 8]): access that may leave the scratchpad: 8 bytes at r2 + 8 of a "
        "scratchpad "
        "of 128; r2 = [0, 255] (from argument); bound the offset on every path to here: mask it, take its "
        "min, or "
        "compare it");
}

TEST_CASE("an explanation shows each instruction with what is known") {
  const Program program = program_of("loop r2, n, 64 {\nld8 r3, pool[r2]\n}\nret 0\n");
  const std::string text = explain(program, accepted(program));
  CHECK(contains(text, "r2 = [0, 63]"));
  CHECK(contains(text, "at most 64 rounds"));
  CHECK(contains(text, "within the first 71 bytes"));
  CHECK(contains(text, "steps              130"));
}

TEST_CASE("verification work is a few walks over the code, whatever the nesting") {
  std::string body;
  for (int i = 0; i < 8; ++i) {
    body += "loop r4, n, 8 {\nloop r5, n, 8 {\nloop r6, n, 8 {\nloop r7, n, 2 {\n";
    for (int j = 0; j < 100; ++j)
      body += "add r8, any, " + std::to_string(j) + "\nld8 any, pool[r8]\nxor n, n, any\nand n, n, 7\n";
    body += "}\n}\n}\n}\n";
  }
  const Program program = program_of(body + "ret 0\n");
  CHECK(program.code.size() > 3000);
  CHECK(accepted(program).work < 16 * program.code.size());
}

TEST_CASE("a program that takes too long to verify is refused by the budget") {
  VerifierLimits limits;
  limits.max_work = 4;
  const Program program = program_of("li r3, 1\nloop r2, n, 64 {\nmul r3, r3, any\n}\nret 0\n");
  CHECK(rejected(program, limits).requirement == Requirement::kAnalysisBudget);
}

TEST_CASE("the node's limits hold whatever the program declares") {
  CHECK(rejected("loop r2, any, 100000 {\nloop r3, any, 100000 {\n}\n}\nret 0\n").requirement ==
        Requirement::kStepBound);
  CHECK(rejected("fill pool[0], any, n\nret 0\n").requirement == Requirement::kByteBound);
  CHECK(rejected("loop r2, any, 5000 {\nrld8 r3, peer@n[0]\n}\nret 0\n").requirement ==
        Requirement::kRemoteBound);
}

}  // namespace tiara::nic
