#include "nic/verifier/counters.h"

#include <algorithm>
#include <array>
#include <bit>

#include "nic/verifier/value_parts.h"

namespace tiara::nic {
namespace {

using Wide = __int128;

// "rd = rd + constant": the constant.
std::optional<int64_t> addend_of(const Instruction& i) {
  if (i.rd != i.rs1) return std::nullopt;
  if (i.opcode == Opcode::kAddi) return i.imm;
  if (i.opcode == Opcode::kSubi) return -int64_t{i.imm};
  return std::nullopt;
}

struct Motion {
  Wide least = 0;
  Wide most = 0;
  unsigned alignment_log2 = 63;
  bool is_counter = true;
};

// How often an instruction inside `loop` can run in one round of it: the product of the bounds of inner
// loops. At most kMaxLoopBound^3 < 2^60.
Wide runs_per_round(std::span<const Instruction> code, const Flow& flow, const LoopShape& loop, uint32_t pc) {
  Wide runs = 1;
  for (uint32_t inner = flow.loop_around(pc); flow.loops()[inner].begin != loop.begin;
       inner = flow.loops()[inner].parent) {
    runs *= code[flow.loops()[inner].begin].loop_bound();
  }
  return runs;
}

}  // namespace

std::vector<Counter> counters_of(std::span<const Instruction> code, const Flow& flow, const LoopShape& loop) {
  std::array<Motion, kRegisters> motions{};
  motions[code[loop.begin].rd].is_counter = false;  // the loop's own counter has a rule of its own
  for (uint32_t pc = loop.begin + 1; pc < loop.end; ++pc) {
    const uint16_t written = registers_written(code[pc]);
    if (written == 0) continue;
    Motion& motion = motions[code[pc].rd];
    const auto addend = addend_of(code[pc]);
    if (!addend) {
      motion.is_counter = false;
      continue;
    }
    const Wide total = *addend * runs_per_round(code, flow, loop, pc);
    (total < 0 ? motion.least : motion.most) += total;
    if (*addend != 0)
      motion.alignment_log2 =
          std::min<unsigned>(motion.alignment_log2, std::countr_zero(static_cast<uint64_t>(*addend)));
  }
  std::vector<Counter> counters;
  for (uint8_t reg = 0; reg < kRegisters; ++reg) {
    const Motion& motion = motions[reg];
    if (!motion.is_counter || motion.least < INT64_MIN || motion.most > INT64_MAX) continue;
    counters.push_back(
        {reg, static_cast<int64_t>(motion.least), static_cast<int64_t>(motion.most), motion.alignment_log2});
  }
  return counters;
}

AbstractValue after_rounds(const Counter& counter, const AbstractValue& entry, uint64_t rounds) {
  if (counter.least == 0 && counter.most == 0) return entry;
  ValueParts parts{.origin = entry.origin() | Origin::kInduction};
  const uint64_t above = ~uint64_t{0} << counter.alignment_log2;
  parts.bits = {entry.bits().value & ~above, entry.bits().unknown | above};
  // Sums that leave the word's range would have wrapped somewhere: then only the low bits are known.
  const Wide down = Wide{counter.least} * static_cast<int64_t>(rounds);
  const Wide up = Wide{counter.most} * static_cast<int64_t>(rounds);
  if (Wide{entry.umin()} + down >= 0 && Wide{entry.umax()} + up <= Wide{UINT64_MAX}) {
    parts.umin = static_cast<uint64_t>(Wide{entry.umin()} + down);
    parts.umax = static_cast<uint64_t>(Wide{entry.umax()} + up);
  }
  if (Wide{entry.smin()} + down >= INT64_MIN && Wide{entry.smax()} + up <= INT64_MAX) {
    parts.smin = static_cast<int64_t>(Wide{entry.smin()} + down);
    parts.smax = static_cast<int64_t>(Wide{entry.smax()} + up);
  }
  return parts.reduce_nonempty();
}

}  // namespace tiara::nic
