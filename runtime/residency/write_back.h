// Eviction, second half: staged pages leave this process, oldest slot first.
//
// Frozen bytes are compared with what the node has (by hash): unchanged pages and pages of zeros are dropped, the
// rest of a slot travels in one invocation. While a page is being written a fault may still copy it back; no second
// write of it starts before the first is answered (kWriting).
#pragma once

#include <cstdint>

#include "fault-handler/pager_parts.h"

namespace tiara::residency {

struct WriteBackSwitches {
  bool clean_detection = true;
  bool zero_detection = true;
};

class WriteBack {
 public:
  // Writes that travel at the same time; more would only lengthen the time a cluster stays locked.
  static constexpr uint32_t kDepth = 8;

  WriteBack(const fault::PagerParts& parts, WriteBackSwitches switches) noexcept : parts_(parts), switches_(switches) {}

  // Empties the oldest slots until at least `pages` pages have left staging or no slot is left, at most kDepth
  // slots. Returns the pages that left. Thread-safe. A lost node or a full one ends the process.
  uint64_t drain(uint64_t pages) noexcept;

 private:
  struct Job;
  bool begin(Job& job) noexcept;
  void classify(Job& job) noexcept;
  void send(Job& job) noexcept;
  void finish(Job& job) noexcept;
  void discard_frames(const Job& job, uint64_t positions) noexcept;
  uint64_t drop_and_free(Job* jobs, uint32_t count) noexcept;

  const fault::PagerParts& parts_;
  const WriteBackSwitches switches_;
};

}  // namespace tiara::residency
