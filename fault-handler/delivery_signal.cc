#include "fault-handler/delivery_signal.h"

#include <cerrno>

namespace tiara::fault {

Verdict handle_sigbus(Resolver& resolver, const std::byte* base, size_t size, const siginfo_t& info) noexcept {
  // BUS_ADRERR is what userfaultfd raises; memory errors of the machine (BUS_MCEERR_*) and kill(2) are not ours.
  if (info.si_code != BUS_ADRERR) return Verdict::kNotOurs;
  const uintptr_t offset = reinterpret_cast<uintptr_t>(info.si_addr) - reinterpret_cast<uintptr_t>(base);
  if (offset >= size) return Verdict::kNotOurs;
  const int saved = errno;
  const Resolution resolution = resolver.resolve(PageNumber{offset >> kPageShift}, offset % kPageSize);
  errno = saved;
  return resolution == Resolution::kMapped ? Verdict::kHandled : Verdict::kNotOurs;
}

Result<void> install_sigbus_handler(void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  if (sigaction(SIGBUS, &action, nullptr) != 0) return std::unexpected(system_error("sigaction", "SIGBUS"));
  return {};
}

}  // namespace tiara::fault
