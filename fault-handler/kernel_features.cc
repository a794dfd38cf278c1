#include "fault-handler/kernel_features.h"

#include <string_view>

#include "fault-handler/uapi.h"
#include "fault-handler/userfaultfd.h"

namespace tiara::fault {
namespace {

Feature feature(std::string_view name, bool available, bool required, std::string_view gives, std::string_view cure) {
  return {std::string(name), available, required, std::string(gives), available ? std::string() : std::string(cure)};
}

}  // namespace

Result<Features> probe_features() {
  Features found;
  const auto signal = Userfaultfd::probe_features(Delivery::kSignal);
  const auto message = Userfaultfd::probe_features(Delivery::kMessage);
  if (!signal && !message) return std::unexpected(signal.error());
  found.bits = signal ? *signal : *message;
  found.has_signal_delivery = (found.bits & UFFD_FEATURE_SIGBUS) != 0;
  found.has_message_delivery = message.has_value();
  found.has_move = (found.bits & UFFD_FEATURE_MOVE) != 0;
  found.has_write_protect = (found.bits & UFFD_FEATURE_PAGEFAULT_FLAG_WP) != 0;
  found.list = {
      feature("userfaultfd", true, true, "far memory at all", ""),
      feature("signal delivery (UFFD_FEATURE_SIGBUS)", found.has_signal_delivery, false,
              "a thread serves its own page faults: three to nine times faster than messages",
              "use Linux 4.14 or later"),
      feature("message delivery (kernel-mode faults)", found.has_message_delivery, false,
              "system calls may meet pages that are away",
              "run as root, set vm.unprivileged_userfaultfd=1, or give access to /dev/userfaultfd; or use "
              "--fault signal"),
      feature("UFFDIO_MOVE", found.has_move, false, "eviction without copying, safe against pinned pages",
              "use Linux 6.8 or later; until then pages are protected and copied"),
      feature("write protection (UFFD_FEATURE_PAGEFAULT_FLAG_WP)", found.has_write_protect, !found.has_move,
              "eviction by copying", "use Linux 5.13 or later on x86-64 or arm64"),
  };
  return found;
}

}  // namespace tiara::fault
