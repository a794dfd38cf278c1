// Kernel swap to a loop device on a file in memory: swap without compression and without a disk.
//
// Needs root. The device goes with its last user; a swap area that a killed benchmark left on is taken off by the next
// one (MemoryCgroup, label "loopN").
#pragma once

#include <memory>
#include <string>

#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/unique_fd.h"

namespace tiara::apps {

class LoopSwap {
 public:
  // Attaches a free loop device to a file of `size` bytes in memory and swaps to it before any other device.
  static Result<std::unique_ptr<LoopSwap>> create(Bytes size);
  ~LoopSwap();
  LoopSwap(const LoopSwap&) = delete;
  LoopSwap& operator=(const LoopSwap&) = delete;
  int device_number() const { return number_; }

 private:
  explicit LoopSwap(int number) : number_(number) {}
  int number_;
  UniqueFd device_;  // open as long as we live; the device detaches when nobody has it open
  bool is_on_ = false;
};

// Why this user on this machine cannot have it; empty when it can. Changes nothing.
std::string why_no_loop_swap();

}  // namespace tiara::apps
