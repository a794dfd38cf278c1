#include "nic/rtl/microcode.h"

#include <catch2/catch.hpp>

#include "nic/isa/opcode.h"

namespace tiara::nic::rtl {

TEST_CASE("every instruction begins with a row of its own, and no other opcode does") {
  const Microcode code = assemble_microcode();
  for (uint32_t opcode = 0; opcode < 256; ++opcode) {
    CAPTURE(opcode);
    CHECK((code.rows[opcode].is_instruction != 0) == (find_instruction(static_cast<uint8_t>(opcode)) != nullptr));
  }
}

TEST_CASE("every field of every row fits its bits") {
  const Microcode code = assemble_microcode();
  for (const Uop& row : code.rows) {
#define TIARA_UOP_CHECK(name, bits) CHECK(row.name < 1u << bits);
    TIARA_UOP_FIELDS(TIARA_UOP_CHECK)
#undef TIARA_UOP_CHECK
  }
}

TEST_CASE("rows follow rows that exist") {
  const Microcode code = assemble_microcode();
  for (size_t i = 0; i < code.rows.size(); ++i) {
    const Uop& row = code.rows[i];
    if (!code.is_used[i] || row.pc != kPcHold || row.unit == kUnitEnd) continue;
    CAPTURE(i, +row.next);
    CHECK(row.next != 0);
    CHECK(code.is_used[row.next]);
    if (row.is_fork != 0) {
      CHECK(row.next % 2 == 0);
      CHECK(code.is_used[row.next + 1]);
    }
  }
}

// The check unit compares what it is told to compare: a request must ask for the permission that it uses, and only
// requests that touch nothing of this node may go without an entry.
TEST_CASE("no request leaves without the permission that it uses") {
  const Microcode code = assemble_microcode();
  for (size_t i = 0; i < code.rows.size(); ++i) {
    const Uop& row = code.rows[i];
    if (!code.is_used[i] || row.unit != kUnitMemory || row.op == kOpCheck) continue;
    CAPTURE(i, +row.op);
    const auto wants = [&](uint8_t kind, uint8_t permission) {
      CHECK((row.kind == kind || (kind == kEntRegion && row.kind == kEntSource)));
      CHECK(row.permission == permission);
      CHECK(row.is_bounded == 1);
    };
    switch (row.op) {
      case kOpLoad: case kOpLine: case kOpGather: case kOpCopyFrom: wants(kEntRegion, kPermRead); break;
      case kOpStore: case kOpScatter: case kOpFill: case kOpCopyTo: wants(kEntRegion, kPermWrite); break;
      case kOpCas: case kOpFaa: case kOpSwp: wants(kEntRegion, kPermAtomic); break;
      case kOpElement: wants(kEntRegion, kPermBulk); break;
      case kOpPadLoad: case kOpPadStore: wants(kEntPad, kPermNone); break;
      case kOpPayloadLoad: wants(kEntPayload, kPermNone); break;
      case kOpEmit: wants(kEntReply, kPermNone); break;
      default:
        CHECK(row.kind == kEntNone);
        CHECK((row.op == kOpFence || (row.op >= kOpRemoteArgument && row.op <= kOpRemoteGather)));
    }
  }
}

// The core has sums sooner than results, and looks at operands to know whether a sum is zero: see stages Y and Z.
TEST_CASE("conditions and requests are about sums") {
  const Microcode code = assemble_microcode();
  for (size_t i = 0; i < code.rows.size(); ++i) {
    const Uop& row = code.rows[i];
    if (!code.is_used[i]) continue;
    CAPTURE(i);
    const bool adds = row.alu == kAluAdd || row.alu == kAluSub || row.alu == kAluInc;
    if (row.unit == kUnitMemory) CHECK(adds);
    if (row.condition != kCondAlways && row.condition != kCondBulk) CHECK(adds);
    if (row.condition == kCondFrame) CHECK((row.is_a_zero == 1 && row.shift == kShNone && row.alu != kAluSub));
    if (row.unit == kUnitSerial) CHECK(row.alu != kAluSub);  // its operand would come inverted
    if (row.sets_operand == 1) CHECK(row.is_flag_result == 0);  // what is written becomes the operand
  }
}

}  // namespace tiara::nic::rtl
