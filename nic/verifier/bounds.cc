#include "nic/verifier/bounds.h"

#include <algorithm>

#include "nic/verifier/paths.h"
#include "nic/verifier/saturating.h"

namespace tiara::nic {
namespace {

// Costs that add up, each on its own.
enum Sum : size_t {
  kSteps,
  kLoads,
  kStores,
  kLines,
  kAtomics,
  kBytesMoved,
  kRemote,
  kReplyBytes,
  kBulk,
  kSums
};

struct Tally {
  std::array<uint64_t, kSums> sums{};

  static Tally none() { return {}; }
  friend Tally then(Tally a, const Tally& b) {
    for (size_t i = 0; i < kSums; ++i) a.sums[i] = saturating_sum(a.sums[i], b.sums[i]);
    return a;
  }
  friend Tally either(Tally a, const Tally& b) {
    for (size_t i = 0; i < kSums; ++i) a.sums[i] = std::max(a.sums[i], b.sums[i]);
    return a;
  }
  friend Tally up_to(Tally a, uint64_t n) {
    for (size_t i = 0; i < kSums; ++i) a.sums[i] = saturating_product(a.sums[i], n);
    return a;
  }
};

bool appends_to_reply(Opcode opcode) {
  const Format format = info(opcode).format;
  return format == Format::kGather || format == Format::kGatherStrided || format == Format::kGatherList ||
         format == Format::kRemoteGather;
}

Tally tally_of(const Instruction& i, const InstructionFacts& facts) {
  Tally tally;
  tally.sums[kSteps] = 1;
  tally.sums[kBytesMoved] = facts.most_bytes;
  if (appends_to_reply(i.opcode)) tally.sums[kReplyBytes] = facts.most_bytes;
  switch (info(i.opcode).cost) {
    case CostClass::kLoad: tally.sums[kLoads] = 1; break;
    case CostClass::kStore: tally.sums[kStores] = 1; break;
    case CostClass::kLine: tally.sums[kLines] = 1; break;
    case CostClass::kAtomic: tally.sums[kAtomics] = 1; break;
    case CostClass::kBulk: tally.sums[kBulk] = 1; break;
    case CostClass::kRemote: tally.sums[kRemote] = 1; break;
    case CostClass::kControl:
    case CostClass::kWait:
    case CostClass::kAlu:
    case CostClass::kMul:
    case CostClass::kDiv:
    case CostClass::kBranch:
    case CostClass::kLoop:
    case CostClass::kScratchpad:
    case CostClass::kHint: break;
  }
  if (i.opcode == Opcode::kEmit) tally.sums[kReplyBytes] = info(i.opcode).access_bytes;
  return tally;
}

// Bulk operations in flight after a stretch of code: before + started where no wait was met, else
// `since_wait`. The larger of the two, whichever path was taken.
struct InFlight {
  bool may_skip_wait = true;  // some path has no wait; then `started` counts
  uint64_t started = 0;
  uint64_t since_wait = 0;  // over the paths with a wait; 0 where there is none, which no maximum notices

  static InFlight none() { return {}; }
  uint64_t most(uint64_t before) const {
    return std::max(may_skip_wait ? saturating_sum(before, started) : 0, since_wait);
  }
  friend InFlight then(const InFlight& a, const InFlight& b) {
    return {a.may_skip_wait && b.may_skip_wait, saturating_sum(a.started, b.started), b.most(a.since_wait)};
  }
  friend InFlight either(const InFlight& a, const InFlight& b) {
    return {a.may_skip_wait || b.may_skip_wait,
            std::max(a.may_skip_wait ? a.started : 0, b.may_skip_wait ? b.started : 0),
            std::max(a.since_wait, b.since_wait)};
  }
  friend InFlight up_to(const InFlight& a, uint64_t n) {
    if (n == 0) return none();
    // The last wait was in some round; rounds after it that skip every wait add what they started. With no
    // round at all no wait was met either, and fewer rounds may leave more in flight than all of them.
    const uint64_t later = a.may_skip_wait ? saturating_product(a.started, n - 1) : 0;
    return {true, a.may_skip_wait ? saturating_product(a.started, n) : 0,
            saturating_sum(a.since_wait, later)};
  }
};

InFlight in_flight_of(const Instruction& i) {
  if (i.opcode == Opcode::kWait) return {false, 0, 0};
  const bool is_started = info(i.opcode).cost == CostClass::kBulk || i.opcode == Opcode::kRGather;
  return {true, is_started ? uint64_t{1} : 0, 0};
}

struct Time {
  uint64_t ps = 0;
  static Time none() { return {}; }
  friend Time then(Time a, Time b) { return {saturating_sum(a.ps, b.ps)}; }
  friend Time either(Time a, Time b) { return {std::max(a.ps, b.ps)}; }
  friend Time up_to(Time a, uint64_t n) { return {saturating_product(a.ps, n)}; }
};

template <typename Cost, typename CostOf>
Cost dearest(const Program& program, const Flow& flow, std::span<const InstructionFacts> facts,
             CostOf cost_of) {
  return DearestPath<Cost, CostOf>(program, flow, facts, cost_of).find();
}

}  // namespace

Bounds prove_bounds(const Program& program, const Flow& flow, std::span<const InstructionFacts> facts) {
  const auto tally = dearest<Tally>(program, flow, facts, [&](uint32_t pc) {
                       return tally_of(program.code[pc], facts[pc]);
                     }).sums;
  const auto in_flight =
      dearest<InFlight>(program, flow, facts, [&](uint32_t pc) { return in_flight_of(program.code[pc]); });
  return {.steps = tally[kSteps],
          .loads = tally[kLoads],
          .stores = tally[kStores],
          .lines = tally[kLines],
          .atomics = tally[kAtomics],
          .bytes_moved = tally[kBytesMoved],
          .remote_operations = tally[kRemote],
          .reply_bytes = tally[kReplyBytes],
          .bulk_operations = tally[kBulk],
          .in_flight = in_flight.most(0)};
}

DeviceConstants fpga_over_pcie() {
  constexpr uint64_t kCyclePs = 5'000;
  DeviceConstants device;
  device.instruction_ps.fill(kCyclePs);
  const auto set = [&](CostClass cost, uint64_t ps) {
    device.instruction_ps[static_cast<size_t>(cost)] = ps;
  };
  set(CostClass::kDiv, 64 * kCyclePs);  // one bit a cycle
  set(CostClass::kMul, 3 * kCyclePs);
  set(CostClass::kLoad, 750'000);
  set(CostClass::kLine, 750'000);
  set(CostClass::kAtomic, 750'000);
  set(CostClass::kWait, 750'000);     // the last completion; the bytes are charged to what moves them
  set(CostClass::kControl, 750'000);  // ret waits too
  set(CostClass::kRemote, 2'500'000);
  device.byte_ps = 83;  // 12.1 GB/s
  return device;
}

uint64_t time_ps(const Counts& counts, uint64_t reply_bytes, const DeviceConstants& device) noexcept {
  const auto price = [&device](CostClass cost) { return device.instruction_ps[static_cast<size_t>(cost)]; };
  return counts.steps * price(CostClass::kAlu) + counts.loads * price(CostClass::kLoad) +
         counts.lines * price(CostClass::kLine) + counts.atomics * price(CostClass::kAtomic) +
         counts.remote_operations * price(CostClass::kRemote) +
         (counts.bytes_moved + reply_bytes) * device.byte_ps;
}

uint64_t worst_case_ps(const Program& program, const Flow& flow, std::span<const InstructionFacts> facts,
                       const DeviceConstants& device) {
  return dearest<Time>(
             program, flow, facts,
             [&](uint32_t pc) {
               const auto cost = static_cast<size_t>(info(program.code[pc].opcode).cost);
               return Time{saturating_sum(device.instruction_ps[cost],
                                          saturating_product(device.byte_ps, facts[pc].most_bytes))};
             })
      .ps;
}

}  // namespace tiara::nic
