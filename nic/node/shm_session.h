// The node's end of one shm session: it serves the requests that a client has submitted in its segment.
//
// The client can write every byte of the segment at any time. So a frame is copied out before it is decoded, slots are
// bit positions below `slots`, areas are at fixed places, and nothing that was read is believed twice. The segment is
// sealed: no access inside it can fault.
#pragma once

#include <cstdint>
#include <memory>

#include "nic/node/memory_node.h"
#include "nic/wire/shm_layout.h"
#include "runtime/os/clock.h"
#include "runtime/os/memory.h"
#include "runtime/os/spin.h"
#include "runtime/os/unique_fd.h"

namespace tiara::nic {

class ShmSession {
 public:
  struct Opened {
    std::shared_ptr<ShmSession> session;
    UniqueFd segment;  // for the client; the session keeps its own mapping
  };
  static Result<Opened> open(std::unique_ptr<Session> session, uint32_t slots);

  // Serves what somebody waits for, at most `most_calls` of it, and one posted request; how many that were. One worker
  // at a time.
  static constexpr uint32_t kAllCalls = wire::kMaxSlots;
  uint32_t serve(uint32_t most_calls = kAllCalls) noexcept;
  bool has_work() const noexcept;
  // Where the client ran that was served last, as it says.
  uint32_t client_cpu() const noexcept { return client_cpu_; }
  // When the client last rang, as it says; held to [earliest, now].
  os::Nanoseconds rung_at(os::Nanoseconds earliest, os::Nanoseconds now) const noexcept;

  Session& session() noexcept { return *session_; }
  const UniqueFd& doorbell() const noexcept { return doorbell_; }
  uint32_t slots() const noexcept { return slots_; }

 private:
  ShmSession(std::unique_ptr<Session> session, os::Mapping segment, UniqueFd doorbell, uint32_t slots) noexcept;
  wire::SegmentHeader& header() const noexcept;
  void serve_slot(uint32_t index) noexcept;

  std::unique_ptr<Session> session_;
  os::Mapping segment_;
  UniqueFd doorbell_;
  const uint32_t slots_;
  const uint64_t slot_mask_;
  uint64_t taken_ = 0;  // calls that were submitted and wait for their turn; the worker's own, as the next
  uint32_t client_cpu_ = os::AdaptiveSpin::kNoCpu;
};

}  // namespace tiara::nic
