// What the verifier accepts at most, and how hard it tries. A node may set its own; these are for a software
// node.
#pragma once

#include <cstdint>

namespace tiara::nic {

struct VerifierLimits {
  // A runaway operator keeps a context busy for at most some tens of milliseconds.
  uint64_t max_steps = uint64_t{1} << 24;
  uint64_t max_reply_bytes = uint64_t{1} << 20;  // four times what one invocation of the pager brings back
  uint64_t max_bytes_moved = uint64_t{64} << 20;
  uint64_t max_remote_operations = 4096;
  uint64_t max_in_flight = 1024;                   // bulk operations between two waits
  // Instructions looked at, in all passes together: 64 passes over the largest program, where an ordinary one
  // needs fewer than ten. Some tens of milliseconds.
  uint64_t max_work = uint64_t{1} << 18;
};

}  // namespace tiara::nic
