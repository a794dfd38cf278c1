// Where the values of a compiled program live: the hottest in host registers, all with a slot in the stack frame.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <asmjit/x86.h>

#include "nic/engine/region.h"
#include "nic/verifier/verified_program.h"

namespace tiara::nic::jit {

using asmjit::x86::Gp;
using asmjit::x86::Mem;

// The values: registers of the program; of each region the base and, for each access size, the number of offsets at
// which such an access stays inside (so that "offset >= count" is the whole check, with nothing that can wrap).
inline constexpr uint32_t kBases = kRegisters;
inline constexpr uint32_t kCounts = kBases + kMaxRegions;
inline constexpr uint32_t kAccessSizes = 5;  // 1, 2, 4, 8 and 64 bytes
inline constexpr uint32_t kValues = kCounts + kMaxRegions * kAccessSizes;

constexpr uint32_t base_of(uint32_t region) { return kBases + region; }
constexpr uint32_t count_of(uint32_t region, uint32_t bytes) {
  return kCounts + region * kAccessSizes + (bytes == 64 ? 4 : static_cast<uint32_t>(std::countr_zero(bytes)));
}

// What a frame has to hold besides the values without a host.
struct FrameNeeds {
  bool calls = false;        // Machine::execute() is called: it works on the registers' slots
  bool machine = false;      // the addresses of the Machine and of the scratchpad
  bool loop_state = false;   // an index or a trip count that its loop's body overwrites
};

// Scratch: rax, rcx and rdx hold nothing from one instruction of the program to the next.
class Frame {
 public:
  // `weights[v]` is how often value v is used, by estimate; what has no weight gets neither host nor slot.
  Frame(const std::array<uint64_t, kValues>& weights, FrameNeeds needs);

  const std::optional<Gp>& host(uint32_t value) const { return hosts_[value]; }
  // The slots of the program's registers are an array at rsp: Machine::execute() works on it.
  Mem slot(uint32_t value) const { return asmjit::x86::qword_ptr(asmjit::x86::rsp, slots_[value]); }

  // Without calls the Outcome's address stays in the register it comes in.
  const std::optional<Gp>& outcome_host() const { return outcome_host_; }
  Mem outcome() const { return fixed(0); }
  Mem machine() const { return fixed(1); }
  Mem scratchpad() const { return fixed(2); }
  Mem loop_index(uint32_t depth) const { return fixed(3 + depth * 2); }
  Mem loop_trips(uint32_t depth) const { return fixed(4 + depth * 2); }

  int bytes() const { return bytes_; }  // 0: nothing lives in memory, and there is no frame
  std::span<const Gp> saved() const { return saved_; }  // callee-saved registers in use
  static bool is_caller_saved(const Gp& host);

 private:
  static Mem fixed(uint32_t index) {
    return asmjit::x86::qword_ptr(asmjit::x86::rsp, static_cast<int>((kRegisters + index) * 8));
  }

  std::array<std::optional<Gp>, kValues> hosts_{};
  std::optional<Gp> outcome_host_;
  std::array<int, kValues> slots_{};  // offsets from rsp
  std::vector<Gp> saved_;
  int bytes_ = 0;
};

// How often each value is used, an instruction in a loop counting for eight outside it. Bounds checks that
// `is_elided` are not counted.
template <typename IsElided>
std::array<uint64_t, kValues> weigh(const Program& program, IsElided&& is_elided) {
  std::array<uint64_t, kValues> weights{};
  std::vector<uint32_t> loop_ends;
  for (uint32_t pc = 0; pc < program.code.size(); ++pc) {
    const Instruction& i = program.code[pc];
    while (!loop_ends.empty() && pc > loop_ends.back()) loop_ends.pop_back();
    const uint64_t weight = uint64_t{1} << (3 * loop_ends.size());
    for (uint32_t reg = 0; reg < kRegisters; ++reg)
      weights[reg] += weight * ((registers_read(i) >> reg & 1u) + (registers_written(i) >> reg & 1u));
    const InstructionInfo& row = info(i.opcode);
    if (info(row.format).has_region && row.cost != CostClass::kBulk && row.cost != CostClass::kRemote) {
      weights[base_of(i.region)] += weight;
      const uint32_t bytes = row.access_bytes == 0 ? 1 : row.access_bytes;
      if (!is_elided(pc)) weights[count_of(i.region, bytes)] += weight;
    }
    if (i.opcode == Opcode::kLoop) loop_ends.push_back(pc + 1 + i.body_length());
  }
  return weights;
}

}  // namespace tiara::nic::jit
