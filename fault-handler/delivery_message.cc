#include "fault-handler/delivery_message.h"

#include <algorithm>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault-handler/service_thread.h"

namespace tiara::fault {

Result<void> MessageDelivery::start() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return std::unexpected(system_error("sched_getaffinity"));
  uint32_t started = 0;
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE && started < kMaxHandlers; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    TIARA_TRY_VOID(spawn_service_thread("tiara-fault", run, this, cpu));
    ++started;
  }
  return {};
}

void MessageDelivery::run(void* self) { static_cast<MessageDelivery*>(self)->serve(); }

void MessageDelivery::serve() noexcept {
  // One message at a time: two in hand would make the second thread wait while another handler is free.
  FaultMessage message[1];
  for (;;) {
    if (uffd_.read_messages(message) == 0) {
      pollfd ready{uffd_.descriptor(), POLLIN, 0};
      (void)syscall(SYS_poll, &ready, 1, -1);
      continue;
    }
    const uintptr_t offset = message[0].address - base_;
    if (offset < size_) {
      (void)resolver_.resolve(PageNumber{offset >> kPageShift});
    } else {
      // Our own staging range: read by our own bug only, and the reader must not hang.
      auto* page = reinterpret_cast<std::byte*>(round_down(message[0].address, kPageSize));
      uffd_.wake(page, kPageSize);
    }
  }
}

}  // namespace tiara::fault
