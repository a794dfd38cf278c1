// What each call of tiara_op.h becomes. One row a function; the instruction's own table says the
// rest.
#pragma once

#include <cstdint>
#include <string_view>

#include "nic/isa/opcode.h"

namespace tiara::nic::cc {

enum class IntrinsicKind : uint8_t {
  kInstruction,
  kLoopBegin,  // marks the trip count, bound and number of a loop that follows
  kLoopNext,   // the head of that loop: gives the index, or all ones at its end
  kReturn,     // with as many results as parameters
  kFail,
  kArgument,
};

struct Intrinsic {
  std::string_view name;
  IntrinsicKind kind = IntrinsicKind::kInstruction;
  Opcode opcode = Opcode::kRet;
  // A letter for each parameter:
  //   a t u d  a value for rs1, rs2, rs3, rd      p l  an offset in the scratchpad for rs1, rs2
  //   R r      a constant: region, second region  I    a constant: the immediate
  //   P        a constant: scratchpad offset of a line
  //   E        a constant: immediate << 8 | region
  std::string_view parameters;

  bool ends_operator() const {
    return kind == IntrinsicKind::kReturn || kind == IntrinsicKind::kFail;
  }
};

// nullptr: tiara_op.h has no such function.
const Intrinsic* find_intrinsic(std::string_view name);

}  // namespace tiara::nic::cc
