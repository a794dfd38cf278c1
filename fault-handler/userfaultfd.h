// userfaultfd(2): one object per descriptor, expected answers of the kernel as enumerators.
//
// Every call may be made on the fault path: no allocation, no locks, errno is preserved. EINTR and EAGAIN
// are dealt with here (with a bound) and nowhere else. See ioctl_userfaultfd(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/unique_fd.h"

namespace tiara::fault {

// Who serves a missing page: a handler thread (message), the faulting thread (signal; a system call gets EFAULT), or
// the faulting thread for the program's own accesses and a handler thread for the kernel's (hybrid).
enum class Delivery : uint8_t { kMessage, kSignal, kHybrid };
constexpr bool sends_messages(Delivery delivery) { return delivery != Delivery::kSignal; }
enum class Holes : uint8_t { kForbidden, kAllowed };
enum class Protection : uint8_t { kReadOnly, kWritable };

enum class [[nodiscard]] IoStatus : uint8_t {
  kDone,      // the whole range
  kExists,    // EEXIST: the destination page is mapped already
  kBusy,      // EBUSY: pinned, or shared copy-on-write after a fork; EAGAIN that outlasted its bound
  kRefused,   // EINVAL: the range crosses mappings, or is locked, protected or registered differently
  kMissing,   // ENOENT: no page at the source, or no registered mapping at the destination
  kFaulted,   // EFAULT: the source bytes cannot be read
  kNoMemory,  // ENOMEM
  kDying,     // ESRCH: the address space is being torn down
};
const char* to_string(IoStatus status);

struct IoResult {
  IoStatus status;
  size_t done;  // bytes done from the start of the range; whole pages
};

// One message of the kernel (message delivery).
struct FaultMessage {
  uintptr_t address;
  bool is_write_protect;
  uint32_t thread;  // of the faulting thread, 0 when the kernel does not say
};

class Userfaultfd {
 public:
  // Asks for `features` (UFFD_FEATURE_*), all of which must be there. `delivery` decides whether faults of
  // kernel code must be served too (message) or cannot be (signal), which needs less privilege.
  static Result<Userfaultfd> open(Delivery delivery, uint64_t features);
  // The feature bits of this kernel, through a descriptor that is closed again.
  static Result<uint64_t> probe_features(Delivery delivery);

  int descriptor() const noexcept { return fd_.get(); }
  UniqueFd release() noexcept { return std::move(fd_); }

  // Registers for missing faults, and for write-protect faults when the kernel has them.
  Result<void> register_range(std::span<std::byte> range, bool write_protect) noexcept;

  // Copies `length` bytes in as new pages and wakes those who wait for them.
  IoResult copy(std::byte* to, const std::byte* from, size_t length) const noexcept;
  // Moves pages without copying. Partial progress is reported with the status of the first page not moved.
  IoResult move(std::byte* to, std::byte* from, size_t length, Holes holes) const noexcept;
  IoStatus write_protect(std::byte* at, size_t length, Protection protection) const noexcept;
  void wake(std::byte* at, size_t length) const noexcept;
  // Reads at most `room.size()` messages; 0 when there are none now. Does not block.
  size_t read_messages(std::span<FaultMessage> room) const noexcept;

 private:
  explicit Userfaultfd(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace tiara::fault
