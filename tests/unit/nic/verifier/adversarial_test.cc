// The known holes of the published verifier, one test each. Every program here does what a one-pass verifier
// lets through, and must be rejected for the right reason. Region accesses are checked by the engines
// whatever their address; what must be proved is the scratchpad, the bounds and the shape, so the attacks aim
// at those.
#include "tests/unit/nic/verifier/programs.h"

namespace tiara::nic {
using namespace testing;

namespace {
// A scratchpad that is all written, so that only its bounds are in question.
const std::string kFilled = "li r15, 0\nldline [0], pool[r15]\nldline [64], pool[r15 + 64]\n";

Instruction jump(uint32_t displacement, uint8_t pops = 0) {
  return {.opcode = Opcode::kJump, .flags = pops, .imm = static_cast<int32_t>(displacement)};
}
}  // namespace

TEST_CASE("a mask that a branch skips does not bound the address") {
  const Rejection rejection =
      rejected(kFilled + "beq n, 0, use\nand any, any, 0x38\nuse:\nspld8 r2, [any]\nret 0\n");
  CHECK(rejection.requirement == Requirement::kScratchpadInside);
  CHECK(rejection.instruction == 5);
  accepted(kFilled + "and any, any, 0x38\nbeq n, 0, use\nli r3, 1\nuse:\nspld8 r2, [any]\nret 0\n");
}

TEST_CASE("a mask in one arm does not bound the other arm") {
  CHECK(rejected(
            kFilled +
            "beq n, 0, other\nand r3, any, 0x38\nj use\nother:\nmov r3, any\nuse:\nspld8 r2, [r3]\nret 0\n")
            .requirement == Requirement::kScratchpadInside);
}

TEST_CASE("a pointer that grows in a loop leaves the scratchpad in a later round") {
  const Rejection rejection =
      rejected(kFilled + "li r3, 0\nloop r2, n, 17 {\nspld8 r4, [r3]\nadd r3, r3, 8\n}\nret 0\n");
  CHECK(rejection.requirement == Requirement::kScratchpadInside);
  CHECK(rejection.instruction == 5);
  accepted(kFilled + "li r3, 0\nloop r2, n, 16 {\nspld8 r4, [r3]\nadd r3, r3, 8\n}\nret 0\n");
}

TEST_CASE("a pointer that doubles in a loop is not bounded by its first rounds") {
  CHECK(rejected(kFilled + "li r3, 1\nloop r2, n, 64 {\nspld1 r4, [r3]\nadd r3, r3, r3\n}\nret 0\n")
            .requirement == Requirement::kScratchpadInside);
}

TEST_CASE("a pointer that grows only in an inner loop grows over all rounds of the outer one") {
  CHECK(rejected(kFilled + "li r3, 0\nli r6, 4\nloop r2, r6, 4 {\nloop r5, r6, 4 {\nspld8 r4, [r3]\nadd r3, "
                           "r3, 16\n}\n}\nret 0\n")
            .requirement == Requirement::kScratchpadInside);
}

TEST_CASE("the immediate of an access counts") {
  CHECK(rejected(kFilled + "and r3, any, 0x78\nspld8 r2, [r3 + 8]\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
  CHECK(rejected(kFilled + "spld8 r2, [n - 1]\nret 0\n").requirement == Requirement::kScratchpadInside);
}

TEST_CASE("the width of an access counts") {
  CHECK(rejected(kFilled + "and r3, any, 0x7f\nspld8 r2, [r3]\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
  accepted(kFilled + "and r3, any, 0x7f\nspld1 r2, [r3]\nret 0\n");
  CHECK(rejected("spst8 [124], any\nret 0\n").requirement == Requirement::kScratchpadInside);
  CHECK(rejected("ldline [128], pool[n]\nret 0\n").requirement == Requirement::kScratchpadInside);
}

TEST_CASE("the length of a copy counts") {
  CHECK(rejected("copy pool[n], pool[n], any\nret 0\n").requirement == Requirement::kByteBound);
  CHECK(rejected("gather pool[0], any\nret 0\n").requirement == Requirement::kReplyBound);
  CHECK(rejected("gathers pool[n], any, any, 8\nret 0\n").requirement == Requirement::kReplyBound);
  // 2^61 elements of 8 bytes: the product must not wrap to a small number.
  CHECK(rejected("li r2, 1\nshl r2, r2, 61\ngathers pool[n], n, r2, 8\nret 0\n").requirement ==
        Requirement::kReplyBound);
}

TEST_CASE("the length of a list counts") {
  CHECK(rejected(kFilled + "gatherl pool[n], [n], any, 8\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
  CHECK(rejected(kFilled + "li r2, 64\nli r3, 9\ngatherl pool[n], [r2], r3, 8\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
  CHECK(rejected("ldline [0], pool[n]\nli r2, 0\nli r3, 9\ngatherl pool[n], [r2], r3, 8\nret 0\n")
            .requirement == Requirement::kScratchpadDefined);
  // An empty list at an offset outside faults as any other.
  CHECK(rejected(kFilled + "li r2, 200\nli r3, 0\ngatherl pool[n], [r2], r3, 8\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
  // 2^61 + 1 entries of 8 bytes are not 8 bytes.
  CHECK(rejected(kFilled +
                 "li r2, 0\nli r3, 1\nshl r3, r3, 61\nadd r3, r3, 1\ngatherl pool[n], [r2], r3, 8\nret 0\n")
            .requirement == Requirement::kScratchpadInside);
  accepted(kFilled + "li r2, 64\nli r3, 8\ngatherl pool[n], [r2], r3, 8\nret 0\n");
}

TEST_CASE("operations in flight are counted over all rounds of a loop") {
  CHECK(rejected("li r3, 8\nloop r2, any, 2000 {\nfill pool[0], r3, n\n}\nret 0\n").requirement ==
        Requirement::kInFlightBound);
  accepted("li r3, 8\nloop r2, any, 2000 {\nfill pool[0], r3, n\nwait\n}\nret 0\n");
}

TEST_CASE("steps are counted over all rounds of all loops") {
  CHECK(rejected("loop r2, any, 5000 {\nloop r3, any, 5000 {\nwait\n}\n}\nret 0\n").requirement ==
        Requirement::kStepBound);
}

TEST_CASE("execution cannot fall off the end") {
  Program program = program_of("wait\nret 0\n");
  program.code.pop_back();
  CHECK(rejected(program).requirement == Requirement::kEveryPathEnds);
  Program loop = program_of("loop r2, n, 4 {\nwait\n}\nret 0\n");
  loop.code.pop_back();
  CHECK(rejected(loop).requirement == Requirement::kEveryPathEnds);
  Program after = program_of("beq n, 0, end\nret 0\nend:\nret 0\n");
  after.code.pop_back();
  CHECK(rejected(after).requirement == Requirement::kBranchInside);
}

TEST_CASE("a branch cannot land outside the code") {
  Program program = program_of("wait\nret 0\n");
  program.code[0] = jump(2);
  CHECK(rejected(program).requirement == Requirement::kBranchInside);
}

TEST_CASE("no word is the second half of an instruction") {
  // The published set has two-word instructions that a branch can enter in the middle. Here every word is a
  // whole instruction, and a 64-bit constant is two of them: landing on its second half merges into what the
  // register holds, which must then be defined on that path too.
  Program program = program_of("beq n, 0, end\nli r5, 0x1234_5678_9abc_def0\nend:\nret 0\n");
  REQUIRE(program.code[2].opcode == Opcode::kLih);
  program.code[0].imm = pack_branch(2, 0);
  const Rejection rejection = rejected(program);
  CHECK(rejection.requirement == Requirement::kRegisterDefined);
  CHECK(rejection.instruction == 2);
}

TEST_CASE("a branch must pop the frames of the loops that it leaves") {
  Program program = program_of("loop r2, n, 4 {\nbreak\n}\nret 0\n");
  program.code[1].flags = 0;  // a stale frame would be left behind
  CHECK(rejected(program).requirement == Requirement::kBranchPops);
  program.code[1].flags = 2;  // one that does not exist would be popped
  CHECK(rejected(program).requirement == Requirement::kBranchPops);
  Program straight = program_of("j end\nend:\nret 0\n");
  straight.code[0].flags = 1;
  CHECK(rejected(straight).requirement == Requirement::kBranchPops);
}

TEST_CASE("a loop's body cannot be entered from outside") {
  Program program = program_of("wait\nloop r2, n, 4 {\nwait\n}\nret 0\n");
  program.code[0] = jump(2);
  CHECK(rejected(program).requirement == Requirement::kBranchNotIntoLoop);
  program.code[0] = jump(3);  // the endloop, without its frame
  CHECK(rejected(program).requirement == Requirement::kBranchNotIntoLoop);
  Program sibling = program_of("loop r2, n, 4 {\nwait\n}\nloop r2, n, 4 {\nwait\n}\nret 0\n");
  sibling.code[1] = jump(3, 1);  // same depth, another loop
  CHECK(rejected(sibling).requirement == Requirement::kBranchNotIntoLoop);
}

TEST_CASE("loops nest properly and not too deeply") {
  Program program = program_of("loop r2, n, 4 {\nloop r3, n, 4 {\nwait\n}\n}\nret 0\n");
  Program crossed = program;
  crossed.code[0].imm = pack_loop(4, 2);  // the outer loop ends at the inner one's endloop
  CHECK(rejected(crossed).requirement == Requirement::kLoopClosed);
  Program open = program;
  open.code[1].imm = pack_loop(4, 3);
  CHECK(rejected(open).requirement == Requirement::kLoopClosed);
  Program stray = program_of("wait\nret 0\n");
  stray.code[0] = {.opcode = Opcode::kEndLoop};
  CHECK(rejected(stray).requirement == Requirement::kLoopClosed);
  Program deep;
  deep.name = "deep";
  deep.arguments = {{.name = "n", .max = 2}};
  for (int body = 8; body >= 0; body -= 2) {  // five loops, each the whole body of the one around it
    deep.code.push_back({.opcode = Opcode::kLoop, .rd = 1, .imm = pack_loop(2, static_cast<uint32_t>(body))});
  }
  deep.code.insert(deep.code.end(), 5, {.opcode = Opcode::kEndLoop});
  deep.code.push_back({.opcode = Opcode::kRet});
  CHECK(rejected(deep).requirement == Requirement::kLoopDepth);
}

TEST_CASE("an interval that wraps is no interval") {
  // n - 1 is 2^64 - 1 for n = 0: an upper bound of 99 would be a lie.
  CHECK(rejected(kFilled + "sub r2, n, 1\nspld1 r3, [r2]\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
  // any + 8 is below 8 for some large any: testing the sum does not bound the summand.
  CHECK(rejected(kFilled + "add r2, any, 64\nbgeu r2, 64, out\nspld1 r3, [any]\nout:\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
  // A product of two bounded numbers may wrap when their bounds' product does.
  CHECK(rejected(kFilled + "shr r2, any, 16\nmul r2, r2, r2\nadd r2, r2, n\nspld1 r3, [r2]\nret 0\n")
            .requirement == Requirement::kScratchpadInside);
}

TEST_CASE("a signed comparison does not bound an unsigned address") {
  CHECK(rejected(kFilled + "bges any, 64, out\nspld1 r3, [any]\nout:\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
  accepted(kFilled + "bges any, 64, out\nblts any, 0, out\nspld1 r3, [any]\nout:\nret 0\n");
}

TEST_CASE("a branch back to a loop's end keeps what every way there has in common, no more") {
  CHECK(rejected(kFilled + R"(
  li r3, 0
  loop r2, n, 8 {
    spld1 r4, [r3]
    beq n, 7, next
    and r3, any, 0x3f
    continue
next:
    mov r3, any
  }
  ret 0
)")
            .requirement == Requirement::kScratchpadInside);
}

TEST_CASE("a register that only one round writes is not written in the first") {
  CHECK(rejected("loop r2, n, 8 {\nbeq r2, 0, first\nmov r4, r3\nfirst:\nli r3, 1\n}\nret 0\n").requirement ==
        Requirement::kRegisterDefined);
}

TEST_CASE("a register written in a loop's body is not written when the loop is skipped") {
  CHECK(rejected("loop r2, n, 8 {\nli r3, 1\n}\nmov r4, r3\nret 0\n").requirement ==
        Requirement::kRegisterDefined);
  accepted("max n, n, 1\nloop r2, n, 8 {\nli r3, 1\n}\nmov r4, r3\nret 0\n");
}

TEST_CASE("a body that overwrites the trip count does not run longer") {
  const Analysis analysis = accepted("loop r2, n, 8 {\nmov n, any\n}\nret 0\n");
  CHECK(analysis.bounds.steps == 1 + 8 * 2 + 1);
}

TEST_CASE("a body that overwrites its counter gets it back with the next round") {
  accepted(kFilled + "loop r2, n, 128 {\nspld1 r3, [r2]\nmov r2, any\n}\nret 0\n");
}

TEST_CASE("words from memory are not trusted") {
  const Rejection rejection = rejected(kFilled + "ld8 r2, pool[0]\nspld1 r3, [r2]\nret 0\n");
  CHECK(rejection.requirement == Requirement::kScratchpadInside);
  CHECK(rejection.state == "r2 = any value (from memory)");
}

TEST_CASE("what another node or a client says bounds nothing") {
  CHECK(rejected(kFilled + "rld8 r2, peer@n[0]\nspld1 r3, [r2]\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
  CHECK(rejected(kFilled + "plld8 r2, [0]\nspld1 r3, [r2]\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
  CHECK(rejected(kFilled + "faa r2, pool[0], n\nspld1 r3, [r2]\nret 0\n").requirement ==
        Requirement::kScratchpadInside);
}

TEST_CASE("an offset far outside the scratchpad is rejected, not followed") {
  CHECK(rejected("li r2, 0x7fff_fff8\nspst8 [r2], n\nret 0\n").requirement == Requirement::kScratchpadInside);
  CHECK(rejected("li r2, -8\nspst8 [r2], n\nret 0\n").requirement == Requirement::kScratchpadInside);
  CHECK(rejected("li r2, -8\nspld8 r3, [r2]\nret 0\n").requirement == Requirement::kScratchpadInside);
}

TEST_CASE("no code that is malformed is looked at further") {
  Program program = program_of("ret 0\n");
  program.code[0].rd = 3;  // a reserved field
  CHECK(rejected(program).requirement == Requirement::kWellFormed);
  program.code.clear();
  CHECK(rejected(program).requirement == Requirement::kWellFormed);
}

}  // namespace tiara::nic
