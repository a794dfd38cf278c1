// The orderly ends of a process: a memory node elsewhere is told that nobody will come back for the pages. Whatever
// else ends a process (a signal, exec) leaves them to the node's lease.
#include <cstdlib>
#include <unistd.h>

#include "runtime/preload/real.h"
#include "runtime/residency/far_memory.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(_exit);
TIARA_DEFINE_REAL(_Exit);

namespace {

void process_ends() noexcept {
  if (FarMemory* far = FarMemory::instance(); far != nullptr) far->let_go();
}

// exit() and the end of main(). Handlers and destructors that run later have far memory as before.
[[gnu::destructor]] void unload() noexcept { process_ends(); }

}  // namespace
}  // namespace tiara::preload

using namespace tiara::preload;

TIARA_INTERPOSE void _exit(int status) {
  process_ends();
  TIARA_REAL(_exit)(status);
  __builtin_unreachable();
}

TIARA_INTERPOSE void _Exit(int status) noexcept {
  process_ends();
  TIARA_REAL(_Exit)(status);
  __builtin_unreachable();
}
