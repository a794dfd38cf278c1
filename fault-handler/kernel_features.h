// What this kernel and user can do for far memory, found out by trying. `tiara doctor` prints it; the pager
// chooses by it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace tiara::fault {

// What the lack of a feature means.
enum class Need : uint8_t {
  kRequired,  // nothing works
  kUseful,    // something is slower or cannot be had
  kPatch,     // no released kernel has it (kernel-patches/)
};

struct Feature {
  std::string name;       // "UFFDIO_MOVE"
  bool is_available;
  Need need;
  std::string gives;      // what it is for, one phrase
  std::string cure;       // what to do when it is missing; empty when it is there
};

struct Features {
  bool has_signal_delivery = false;   // UFFD_FEATURE_SIGBUS
  bool has_message_delivery = false;  // a descriptor that serves kernel-mode faults too
  bool has_hybrid_delivery = false;   // UFFD_FEATURE_SIGBUS_USER on such a descriptor
  bool has_move = false;              // UFFDIO_MOVE
  bool has_write_protect = false;
  bool has_vectored_move = false;     // UFFDIO_MOVE_VEC
  bool has_accessed_bit = false;      // PAGE_IS_ACCESSED in PAGEMAP_SCAN
  uint64_t bits = 0;                  // raw UFFD_FEATURE_* bits
  std::vector<Feature> list;          // for people
};

// Opens and closes descriptors; changes nothing. An error: userfaultfd cannot be had at all.
Result<Features> probe_features();

}  // namespace tiara::fault
