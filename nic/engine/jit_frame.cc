#include "nic/engine/jit_frame.h"

#include <algorithm>

namespace tiara::nic::jit {
namespace {

using namespace asmjit::x86;

constexpr Gp kCallerSaved[] = {rsi, r8, r9, r10, r11, rdi};
constexpr Gp kCalleeSaved[] = {rbx, rbp, r12, r13, r14, r15};

}  // namespace

bool Frame::is_caller_saved(const Gp& host) {
  return std::find(std::begin(kCallerSaved), std::end(kCallerSaved), host) != std::end(kCallerSaved);
}

Frame::Frame(const std::array<uint64_t, kValues>& weights, FrameNeeds needs) {
  // Registers that a call destroys come last when there are calls, and first when there are none: they need no push.
  std::vector<Gp> free(std::begin(kCallerSaved), std::end(kCallerSaved));
  if (!needs.calls) {
    outcome_host_ = free.back();
    free.pop_back();
  }
  free.insert(needs.calls ? free.begin() : free.end(), std::begin(kCalleeSaved), std::end(kCalleeSaved));

  std::vector<uint32_t> order;
  for (uint32_t value = 0; value < kValues; ++value)
    if (weights[value] != 0) order.push_back(value);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return weights[a] > weights[b]; });
  for (size_t i = 0; i < std::min(order.size(), free.size()); ++i) {
    hosts_[order[i]] = free[i];
    if (!is_caller_saved(free[i])) saved_.push_back(free[i]);
  }

  if (!needs.calls && !needs.machine && !needs.loop_state && order.size() <= free.size()) return;
  int next = static_cast<int>((kRegisters + 3 + 2 * kMaxLoopDepth) * 8);
  for (uint32_t reg = 0; reg < kRegisters; ++reg) slots_[reg] = static_cast<int>(reg * 8);
  for (uint32_t value = kRegisters; value < kValues; ++value) {
    if (weights[value] == 0) continue;
    slots_[value] = next;
    next += 8;
  }
  // After the return address and the pushes, the frame must leave rsp on a 16-byte boundary for calls.
  const int pushed = 8 + static_cast<int>(saved_.size()) * 8;
  bytes_ = (next + pushed + 15) / 16 * 16 - pushed;
}

}  // namespace tiara::nic::jit
