#include "nic/timing/engine_timing.h"

#include <algorithm>
#include <bit>

#include "runtime/base/units.h"

namespace tiara::nic {
namespace {

constexpr uint64_t kTurn = 8;                 // from the queue through F, D, E, X, Y, Z, R and W back into it
constexpr uint64_t kAnswer = 1;               // where answers wait for a cycle that W leaves free
constexpr uint64_t kCheck = kTurn + 1 + kAnswer;  // and the two stages of tiara_check
constexpr uint64_t kRequest = kCheck + 1;     // and the table cache's stage; memory's latency comes on top
constexpr uint64_t kScratchpad = kCheck + 1;  // and the bank's cycle
constexpr uint64_t kLineBeats = 9;            // words of a line on their way into the scratchpad, whose turn it must be
constexpr uint64_t kSerialLeast = 1;          // of the serial unit's jobs; otherwise a cycle a bit
constexpr uint64_t kEnds = 3;                 // what the first turn and the last one take beside the beats

// Of the instructions of an operator, so many take a second turn: the end of a loop, a choice, a scratchpad access's
// half. Measured over the operators (tests/rtl/timing_main.cc prints what is left of the difference).
constexpr uint64_t kSecondTurnsPercent = 12;

// What an instruction is made of: how many turns that only compute, checks, accesses of the scratchpad and requests.
struct Shape {
  uint64_t turns = 1, checks = 0, accesses = 0, requests = 0;
};

// The rows of nic/rtl/microcode.cc, counted. What stands here as one turn and is not moves, sums, compares or branches
// is counted by the code below.
constexpr std::array<Shape, 256> make_shapes() {
  std::array<Shape, 256> shapes{};
  const auto set = [&](std::initializer_list<Opcode> opcodes, Shape shape) {
    for (const Opcode each : opcodes) shapes[static_cast<uint8_t>(each)] = shape;
  };
  using enum Opcode;
  set({kLoop}, {.turns = 3});
  set({kEndLoop, kLih, kPlen, kSel, kMin, kMax, kMins, kMaxs, kMini, kMaxi, kMinsi, kMaxsi}, {.turns = 2});
  set({kLd1, kLd2, kLd4, kLd8, kLds1, kLds2, kLds4, kLd1x, kLd2x, kLd4x, kLd8x, kSt1, kSt2, kSt4, kSt8, kFaa, kSwp,
       kPlLd8, kWait, kRLd8}, {.turns = 0, .requests = 1});
  set({kCas, kEmit, kRSt8, kRFaa, kRSwp}, {.turns = 2, .requests = 1});
  set({kRCas}, {.turns = 2, .requests = 2});
  set({kLdLine}, {.turns = 0, .checks = 2, .requests = 1});
  set({kSpLd1, kSpLd2, kSpLd4, kSpLd8, kSpSt1, kSpSt2, kSpSt4, kSpSt8}, {.turns = 0, .accesses = 1});
  set({kGather, kScatter}, {.turns = 1, .checks = 2, .requests = 1});
  set({kFill}, {.turns = 0, .checks = 1, .requests = 1});
  set({kCopy}, {.turns = 0, .checks = 3, .requests = 2});
  set({kRGather}, {.turns = 3, .checks = 1, .requests = 2});
  return shapes;
}
constexpr std::array<Shape, 256> kShapes = make_shapes();

constexpr bool is_one_of(Opcode opcode, std::initializer_list<Opcode> set) {
  return std::find(set.begin(), set.end(), opcode) != set.end();
}

// Cycles in the serial unit, one bit each; a multiplication ends at the highest one of its multiplier. 0: not its job.
uint64_t serial_cycles(Opcode opcode, uint64_t a) {
  using enum Opcode;
  int bits = 64;
  if (is_one_of(opcode, {kMul, kMuli, kPopcnt})) bits = std::bit_width(a);
  else if (opcode == kCtz) bits = std::countr_zero(a);
  else if (opcode == kClz) bits = std::countl_zero(a);
  else if (!is_one_of(opcode, {kDivu, kDivui, kRemu, kRemui})) return 0;
  return std::max(kSerialLeast, static_cast<uint64_t>(bits));
}

// Strided and listed operations: every element is checked, then every element moves.
Shape shape_of_elements(uint64_t count, bool is_listed) {
  if (is_listed) return {.turns = 12 + 6 * count, .checks = 3 + count, .accesses = 2 * count, .requests = count};
  return {.turns = 11 + 5 * count, .checks = 2 + count, .requests = count};
}

}  // namespace

EngineTiming::EngineTiming(std::span<const Instruction> code, size_t arguments) noexcept {
  using enum Opcode;
  const auto uses = [&](std::initializer_list<Opcode> set) -> uint64_t {
    return std::ranges::any_of(code, [&](const Instruction& each) { return is_one_of(each.opcode, set); }) ? 1 : 0;
  };
  cost_.cycles = kEnds + std::max<uint64_t>(arguments, 1) + uses({kPlen}) +
                 uses({kEmit, kGather, kGatherS, kGatherL, kScatterS, kScatterL, kRGather});
}

void EngineTiming::observe(const Instruction& instruction,
                           const std::array<uint64_t, kRegisters>& registers) noexcept {
  using enum Opcode;
  const Opcode opcode = instruction.opcode;
  Shape shape = kShapes[static_cast<uint8_t>(opcode)];
  uint64_t more = serial_cycles(opcode, registers[instruction.rs1]);
  if (opcode == kRet) shape.turns = std::max<uint64_t>(instruction.bits(), 1);  // one a result
  if (opcode == kLdLine) more = kLineBeats;
  if (is_one_of(opcode, {kGatherS, kScatterS, kGatherL, kScatterL})) {
    const uint64_t count = registers[instruction.rs3];
    shape = shape_of_elements(count, opcode == kGatherL || opcode == kScatterL);
    more = serial_cycles(kMul, count);
  }
  cost_.cycles += shape.turns * kTurn + shape.checks * kCheck + shape.accesses * kScratchpad +
                  shape.requests * kRequest + more;
  cost_.waits += shape.requests;
}

EngineCost estimate(const Counts& counts) noexcept {
  // A fetch, a write-back or a block moves a page at a time; what moves less is one bulk operation all the same.
  const uint64_t bulk = (counts.bytes_moved + kPageSize - 1) >> kPageShift;
  const uint64_t accesses = counts.loads + counts.stores + counts.atomics + counts.remote_operations;
  if (counts.steps + bulk == 0) return {};  // nothing ran: it was refused, or plain code of the node did it
  EngineCost cost;
  cost.cycles = kEnds + counts.steps * kTurn + counts.steps * kTurn * kSecondTurnsPercent / 100 +
                accesses * (kRequest - kTurn) + counts.lines * (2 * kCheck + kLineBeats + kRequest - kTurn) +
                bulk * (2 * kCheck + kRequest);
  cost.waits = accesses + counts.lines + bulk;
  return cost;
}

}  // namespace tiara::nic
