#include "fault-handler/kernel_features.h"

#include <fcntl.h>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault-handler/uapi.h"
#include "fault-handler/userfaultfd.h"
#include "runtime/os/unique_fd.h"

namespace tiara::fault {
namespace {

Feature feature(std::string_view name, bool available, Need need, std::string_view gives, std::string_view cure) {
  return {std::string(name), available, need, std::string(gives), available ? std::string() : std::string(cure)};
}

// A scan of nothing: kernels refuse categories that they do not know.
bool reports_accessed_bit() {
  const UniqueFd pagemap(static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC)));
  pm_scan_arg scan{};
  scan.size = sizeof scan;
  scan.category_mask = scan.return_mask = PAGE_IS_ACCESSED;
  return pagemap.is_open() && ioctl(pagemap.get(), PAGEMAP_SCAN, &scan) == 0;
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
  found.has_hybrid_delivery = message && (*message & UFFD_FEATURE_SIGBUS_USER) != 0;
  found.has_move = (found.bits & UFFD_FEATURE_MOVE) != 0;
  found.has_write_protect = (found.bits & UFFD_FEATURE_PAGEFAULT_FLAG_WP) != 0;
  found.has_vectored_move = (found.bits & UFFD_FEATURE_MOVE_VEC) != 0;
  found.has_accessed_bit = reports_accessed_bit();
  found.list = {
      feature("userfaultfd", true, Need::kRequired, "far memory at all", ""),
      feature("signal delivery (UFFD_FEATURE_SIGBUS)", found.has_signal_delivery, Need::kUseful,
              "a thread serves its own page faults: three to nine times faster than messages",
              "use Linux 4.14 or later"),
      feature("message delivery (kernel-mode faults)", found.has_message_delivery, Need::kUseful,
              "system calls may meet pages that are away",
              "run as root, set vm.unprivileged_userfaultfd=1, or give access to /dev/userfaultfd; or use "
              "--fault signal"),
      feature("hybrid delivery (UFFD_FEATURE_SIGBUS_USER)", found.has_hybrid_delivery, Need::kPatch,
              "a thread serves its own page faults, and system calls may meet pages that are away",
              "a kernel with the patches of kernel-patches/, and what message delivery needs"),
      feature("UFFDIO_MOVE", found.has_move, Need::kUseful, "eviction without copying, safe against pinned pages",
              "use Linux 6.8 or later; until then pages are protected and copied"),
      feature("write protection (UFFD_FEATURE_PAGEFAULT_FLAG_WP)", found.has_write_protect,
              found.has_move ? Need::kUseful : Need::kRequired,
              "eviction by copying", "use Linux 5.13 or later on x86-64 or arm64"),
      feature("vectored move (UFFDIO_MOVE_VEC)", found.has_vectored_move, Need::kPatch,
              "scattered pages leave with one TLB flush; not used yet",
              "a kernel with the patches of kernel-patches/"),
      feature("accessed bits (PAGE_IS_ACCESSED)", found.has_accessed_bit, Need::kPatch,
              "which pages were used since the last look; not used yet",
              "a kernel with the patches of kernel-patches/"),
  };
  return found;
}

}  // namespace tiara::fault
