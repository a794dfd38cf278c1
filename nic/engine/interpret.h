// The interpreter's loop, open to observers: soundness tests look at every register before every instruction.
//
// Safe for ANY well-formed program, verified or not: whatever a wrong program does ends in a fault. Only trusted
// callers run unverified ones (tests that show what the verifier spares the engines).
#pragma once

#include <algorithm>
#include <array>
#include <bit>

#include "nic/engine/memory.h"
#include "nic/isa/program.h"

namespace tiara::nic {

using Registers = std::array<uint64_t, kRegisters>;

struct NoObserver {
  void operator()(uint32_t, const Registers&) const noexcept {}
};

struct LoopFrame {
  uint64_t index;
  uint64_t trip_count;
  uint32_t body;        // pc of the first instruction of the body
  uint32_t rd;
};

// x / 0 is all ones and x mod 0 is x: a divider that cannot fault is a smaller circuit.
constexpr uint64_t divide(uint64_t a, uint64_t b) { return b == 0 ? UINT64_MAX : a / b; }
constexpr uint64_t remainder(uint64_t a, uint64_t b) { return b == 0 ? a : a % b; }

constexpr int64_t as_signed(uint64_t value) { return static_cast<int64_t>(value); }
constexpr uint64_t shift_right_signed(uint64_t value, uint64_t by) {
  return static_cast<uint64_t>(as_signed(value) >> (by & 63));
}
constexpr uint64_t extract_signed(uint64_t value, uint32_t lsb, uint32_t width) {
  return shift_right_signed(value << (64 - lsb - width), 64 - width);
}

template <typename T>
Fault load_region(const RegionTable& regions, const Instruction& instruction, uint64_t offset, uint64_t& out) noexcept {
  const Region& region = regions[instruction.region];
  const Fault fault = check_access(region, Permission::kRead, offset, sizeof(T));
  // Signed types are sign-extended, unsigned ones zero-extended.
  if (fault == Fault::kNone) [[likely]] out = static_cast<uint64_t>(load_from<T>(region.base + offset));
  return fault;
}

template <typename T>
Fault store_region(const RegionTable& regions, const Instruction& instruction, uint64_t offset,
                   uint64_t value) noexcept {
  const Region& region = regions[instruction.region];
  const Fault fault = check_access(region, Permission::kWrite, offset, sizeof(T));
  if (fault == Fault::kNone) [[likely]] store_to(region.base + offset, static_cast<T>(value));
  return fault;
}

template <typename T>
Fault load_scratchpad(std::span<const std::byte> scratchpad, uint64_t offset, uint64_t& out) noexcept {
  if (!is_inside(offset, sizeof(T), scratchpad.size())) [[unlikely]] return Fault::kScratchpadBounds;
  out = load_from<T>(scratchpad.data() + offset);
  return Fault::kNone;
}

template <typename T>
Fault store_scratchpad(std::span<std::byte> scratchpad, uint64_t offset, uint64_t value) noexcept {
  if (!is_inside(offset, sizeof(T), scratchpad.size())) [[unlikely]] return Fault::kScratchpadBounds;
  store_to(scratchpad.data() + offset, static_cast<T>(value));
  return Fault::kNone;
}

// The word that an atomic works on, or nullptr and a fault. acq_rel everywhere below: an atomic both publishes what
// its program wrote before and sees what the last one published.
inline uint64_t* atomic_word(const RegionTable& regions, uint32_t number, uint64_t offset, Fault& fault) noexcept {
  const Region& region = regions[number];
  fault = check_atomic(region, offset);
  return fault == Fault::kNone ? reinterpret_cast<uint64_t*>(region.base + offset) : nullptr;
}

// Runs `code` on `machine` from registers that hold the arguments. `observer(pc, registers)` is called before each
// instruction. At most `step_limit` instructions retire.
template <typename Observer>
Outcome interpret(std::span<const Instruction> code, Machine& machine, std::span<const uint64_t> arguments,
                  uint64_t step_limit, Observer&& observer) noexcept {
  Registers r{};
  std::copy_n(arguments.begin(), std::min<size_t>(arguments.size(), r.size()), r.begin());
  std::array<LoopFrame, kMaxLoopDepth> frames;
  uint32_t depth = 0;
  uint32_t pc = 0;
  uint64_t steps = 0;
  Fault fault = Fault::kNone;
  const RegionTable& regions = machine.regions;
  Counts& counts = machine.counts;

  const auto end = [&](Status status, uint16_t reason) {
    counts.steps = steps;
    return Outcome{status, reason, pc, {}, machine.reply_bytes, counts};
  };

// One case a line; the switch is long and flat on purpose: it is the definition of the instruction set.
// clang-format off
#define TIARA_VALUE(name, expression) case Opcode::k##name: r[i.rd] = (expression); ++pc; continue;
#define TIARA_BINARY(name, expression)                                                                          \
  case Opcode::k##name: { const uint64_t a = r[i.rs1], b = r[i.rs2]; r[i.rd] = (expression); ++pc; continue; } \
  case Opcode::k##name##i: { const uint64_t a = r[i.rs1], b = i.value(); r[i.rd] = (expression); ++pc; continue; }
#define TIARA_BRANCH(name, immediate, condition)                                                                   \
  case Opcode::k##name: { const uint64_t a = r[i.rs1], b = r[i.rs2]; is_taken = (condition); break; }             \
  case Opcode::k##name##i: {                                                                                       \
    const uint64_t a = r[i.rs1], b = static_cast<uint64_t>(int64_t{i.immediate()}); is_taken = (condition); break; }
#define TIARA_MEMORY(name, count, expression) \
  case Opcode::k##name:                                                        \
    fault = (expression);                                                      \
    if (fault != Fault::kNone) [[unlikely]] goto faulted;                      \
    count; ++pc; continue;
#define TIARA_ATOMIC(name, expression)                                                             \
  case Opcode::k##name: {                                                                          \
    uint64_t* word = atomic_word(regions, i.region, address(i), fault);                            \
    if (word == nullptr) [[unlikely]] goto faulted;                                                \
    expression; ++counts.atomics; ++pc; continue; }

  const auto address = [&r](const Instruction& i) { return (i.flags != 0 ? 0 : r[i.rs1]) + i.value(); };
  const auto line = [&r](const Instruction& i) {
    return r[i.rs1] + static_cast<uint64_t>(int64_t{i.line_displacement()});
  };
  const auto indexed = [&r](const Instruction& i) {
    return r[i.rs1] + ((r[i.rs2] >> i.lsb() & i.width_mask()) << i.scale());
  };

  for (;; ++steps) {
    if (pc >= code.size()) [[unlikely]] { fault = Fault::kIllegalInstruction; goto faulted; }
    if (steps == step_limit) [[unlikely]] { fault = Fault::kStepBudget; goto faulted; }
    const Instruction& i = code[pc];
    observer(pc, static_cast<const Registers&>(r));
    bool is_taken = true;
    switch (i.opcode) {
      case Opcode::kRet: {
        ++steps;
        Outcome outcome = end(Status::kOk, 0);
        for (uint32_t n = 0; n < std::min(i.bits(), kResultRegisters); ++n) outcome.results[n] = r[n];
        return outcome;
      }
      case Opcode::kFail: ++steps; return end(Status::kFailed, static_cast<uint16_t>(i.bits()));
      case Opcode::kWait: ++pc; continue;  // bulk operations are done where they stand
      case Opcode::kLoop: {
        const uint64_t trips = r[i.rs1];
        if (trips > i.loop_bound()) [[unlikely]] { fault = Fault::kLoopBound; goto faulted; }
        r[i.rd] = 0;
        if (trips == 0) { pc += i.body_length() + 2; continue; }
        if (depth == kMaxLoopDepth) [[unlikely]] { fault = Fault::kIllegalInstruction; goto faulted; }
        frames[depth++] = {0, trips, ++pc, i.rd};
        continue;
      }
      case Opcode::kEndLoop: {
        if (depth == 0) [[unlikely]] { fault = Fault::kIllegalInstruction; goto faulted; }
        LoopFrame& frame = frames[depth - 1];
        r[frame.rd] = ++frame.index;
        if (frame.index < frame.trip_count) { pc = frame.body; continue; }
        --depth; ++pc;
        continue;
      }
      case Opcode::kJump: break;
      TIARA_BRANCH(Beq, compare_value, a == b)
      TIARA_BRANCH(Bne, compare_value, a != b)
      TIARA_BRANCH(Bltu, compare_value, a < b)
      TIARA_BRANCH(Bgeu, compare_value, a >= b)
      TIARA_BRANCH(Blts, compare_value, as_signed(a) < as_signed(b))
      TIARA_BRANCH(Bges, compare_value, as_signed(a) >= as_signed(b))
      TIARA_BRANCH(Bset, bit_number, (a >> (b & 63) & 1) != 0)
      TIARA_BRANCH(Bclr, bit_number, (a >> (b & 63) & 1) == 0)
      TIARA_VALUE(Li, i.value())
      TIARA_VALUE(Lih, (r[i.rd] & 0xffffffff) | uint64_t{i.bits()} << 32)
      TIARA_VALUE(Mov, r[i.rs1])
      TIARA_VALUE(Popcnt, static_cast<uint64_t>(std::popcount(r[i.rs1])))
      TIARA_VALUE(Ctz, static_cast<uint64_t>(std::countr_zero(r[i.rs1])))
      TIARA_VALUE(Clz, static_cast<uint64_t>(std::countl_zero(r[i.rs1])))
      TIARA_VALUE(Sel, r[i.rs1] != 0 ? r[i.rs2] : r[i.rs3])
      TIARA_VALUE(Bfx, r[i.rs1] >> i.lsb() & i.width_mask())
      TIARA_VALUE(Bfxs, extract_signed(r[i.rs1], i.lsb(), i.width()))
      TIARA_BINARY(Add, a + b)
      TIARA_BINARY(Sub, a - b)
      TIARA_BINARY(Mul, a * b)
      TIARA_BINARY(Divu, divide(a, b))
      TIARA_BINARY(Remu, remainder(a, b))
      TIARA_BINARY(And, a & b)
      TIARA_BINARY(Or, a | b)
      TIARA_BINARY(Xor, a ^ b)
      TIARA_BINARY(Shl, a << (b & 63))
      TIARA_BINARY(Shr, a >> (b & 63))
      TIARA_BINARY(Sar, shift_right_signed(a, b))
      TIARA_BINARY(Min, std::min(a, b))
      TIARA_BINARY(Max, std::max(a, b))
      TIARA_BINARY(Mins, as_signed(a) < as_signed(b) ? a : b)
      TIARA_BINARY(Maxs, as_signed(a) > as_signed(b) ? a : b)
      TIARA_BINARY(Seteq, a == b)
      TIARA_BINARY(Setne, a != b)
      TIARA_BINARY(Setltu, a < b)
      TIARA_BINARY(Setleu, a <= b)
      TIARA_BINARY(Setlts, as_signed(a) < as_signed(b))
      TIARA_BINARY(Setles, as_signed(a) <= as_signed(b))
      TIARA_MEMORY(Ld1, ++counts.loads, load_region<uint8_t>(regions, i, address(i), r[i.rd]))
      TIARA_MEMORY(Ld2, ++counts.loads, load_region<uint16_t>(regions, i, address(i), r[i.rd]))
      TIARA_MEMORY(Ld4, ++counts.loads, load_region<uint32_t>(regions, i, address(i), r[i.rd]))
      TIARA_MEMORY(Ld8, ++counts.loads, load_region<uint64_t>(regions, i, address(i), r[i.rd]))
      TIARA_MEMORY(Lds1, ++counts.loads, load_region<int8_t>(regions, i, address(i), r[i.rd]))
      TIARA_MEMORY(Lds2, ++counts.loads, load_region<int16_t>(regions, i, address(i), r[i.rd]))
      TIARA_MEMORY(Lds4, ++counts.loads, load_region<int32_t>(regions, i, address(i), r[i.rd]))
      TIARA_MEMORY(Ld1x, ++counts.loads, load_region<uint8_t>(regions, i, indexed(i), r[i.rd]))
      TIARA_MEMORY(Ld2x, ++counts.loads, load_region<uint16_t>(regions, i, indexed(i), r[i.rd]))
      TIARA_MEMORY(Ld4x, ++counts.loads, load_region<uint32_t>(regions, i, indexed(i), r[i.rd]))
      TIARA_MEMORY(Ld8x, ++counts.loads, load_region<uint64_t>(regions, i, indexed(i), r[i.rd]))
      TIARA_MEMORY(LdLine, , machine.load_line(i.region, line(i), i.pad_offset()))
      TIARA_MEMORY(St1, ++counts.stores, store_region<uint8_t>(regions, i, address(i), r[i.rs2]))
      TIARA_MEMORY(St2, ++counts.stores, store_region<uint16_t>(regions, i, address(i), r[i.rs2]))
      TIARA_MEMORY(St4, ++counts.stores, store_region<uint32_t>(regions, i, address(i), r[i.rs2]))
      TIARA_MEMORY(St8, ++counts.stores, store_region<uint64_t>(regions, i, address(i), r[i.rs2]))
      TIARA_MEMORY(SpLd1, , load_scratchpad<uint8_t>(machine.scratchpad, address(i), r[i.rd]))
      TIARA_MEMORY(SpLd2, , load_scratchpad<uint16_t>(machine.scratchpad, address(i), r[i.rd]))
      TIARA_MEMORY(SpLd4, , load_scratchpad<uint32_t>(machine.scratchpad, address(i), r[i.rd]))
      TIARA_MEMORY(SpLd8, , load_scratchpad<uint64_t>(machine.scratchpad, address(i), r[i.rd]))
      TIARA_MEMORY(SpSt1, , store_scratchpad<uint8_t>(machine.scratchpad, address(i), r[i.rs2]))
      TIARA_MEMORY(SpSt2, , store_scratchpad<uint16_t>(machine.scratchpad, address(i), r[i.rs2]))
      TIARA_MEMORY(SpSt4, , store_scratchpad<uint32_t>(machine.scratchpad, address(i), r[i.rs2]))
      TIARA_MEMORY(SpSt8, , store_scratchpad<uint64_t>(machine.scratchpad, address(i), r[i.rs2]))
      case Opcode::kPrefetch: {
        const Region& region = regions[i.region];
        const uint64_t offset = address(i);
        if (offset < region.size) __builtin_prefetch(region.base + offset);
        ++pc;
        continue;
      }
      TIARA_ATOMIC(Cas, uint64_t expected = r[i.rs2];
                   __atomic_compare_exchange_n(word, &expected, r[i.rs3], false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
                   r[i.rd] = expected)
      TIARA_ATOMIC(Faa, r[i.rd] = __atomic_fetch_add(word, r[i.rs2], __ATOMIC_ACQ_REL))
      TIARA_ATOMIC(Swp, r[i.rd] = __atomic_exchange_n(word, r[i.rs2], __ATOMIC_ACQ_REL))
      case Opcode::kPlen: case Opcode::kPlLd8: case Opcode::kEmit: case Opcode::kGather: case Opcode::kGatherS:
      case Opcode::kGatherL: case Opcode::kScatter: case Opcode::kScatterS: case Opcode::kScatterL:
      case Opcode::kFill: case Opcode::kCopy: case Opcode::kRLd8: case Opcode::kRSt8: case Opcode::kRCas:
      case Opcode::kRFaa: case Opcode::kRSwp: case Opcode::kRGather:
        fault = machine.execute(i, r.data());
        if (fault != Fault::kNone) [[unlikely]] goto faulted;
        ++pc;
        continue;
    }
    // Branches come here.
    if (!is_taken) { ++pc; continue; }
    if (i.pops() > depth) [[unlikely]] { fault = Fault::kIllegalInstruction; goto faulted; }
    depth -= i.pops();
    pc += i.displacement();
  }
// clang-format on
#undef TIARA_VALUE
#undef TIARA_BINARY
#undef TIARA_BRANCH
#undef TIARA_MEMORY
#undef TIARA_ATOMIC

faulted:
  return end(Status::kFault, static_cast<uint16_t>(fault));
}

}  // namespace tiara::nic
