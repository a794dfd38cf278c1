// A far memory whose pages never leave: it checks what placement asks of it.
#pragma once

#include <cstddef>

namespace tiara::fake {

struct FarCalls {
  size_t mapped_bytes = 0;
  size_t maps = 0;
  size_t discarded_bytes = 0;
};

// Makes FarMemory::instance() non-null. Idempotent.
void start_far_memory();
FarCalls& far_calls();

}  // namespace tiara::fake
