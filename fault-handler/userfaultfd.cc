#include "fault-handler/userfaultfd.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault-handler/uapi.h"
#include "runtime/base/check.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

namespace tiara::fault {
namespace {

// EAGAIN means that a page was locked or the address space was changing at that moment. Both pass within
// microseconds; with a yield between tries this bound is several milliseconds, then the page counts as busy.
constexpr int kAgainTries = 256;

class PreserveErrno {
 public:
  PreserveErrno() : saved_(errno) {}
  ~PreserveErrno() { errno = saved_; }

 private:
  int saved_;
};

IoStatus status_of(int err) {
  switch (err) {
    case EEXIST: return IoStatus::kExists;
    case EBUSY: return IoStatus::kBusy;
    case EAGAIN: return IoStatus::kBusy;
    case EINVAL: return IoStatus::kRefused;
    case ENOENT: return IoStatus::kMissing;
    case EFAULT: return IoStatus::kFaulted;
    case ENOMEM: return IoStatus::kNoMemory;
    case ESRCH: return IoStatus::kDying;
    case ENOSPC: return IoStatus::kDying;
    default: break;
  }
  TIARA_CHECK(err == EPERM);  // anything else is a bug in our arguments
  return IoStatus::kRefused;
}

int open_descriptor(Delivery delivery) {
  // USER_MODE_ONLY needs no privilege; it serves no fault of kernel code, which signal delivery cannot do anyway.
  if (!sends_messages(delivery)) {
    const long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (fd >= 0) return static_cast<int>(fd);
  }
  const long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0) return static_cast<int>(fd);
  const int refused = errno;
  const int device = static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (device < 0) {
    errno = refused;
    return -1;
  }
  const int from_device = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
  const int err = errno;
  syscall(SYS_close, device);
  errno = err;
  return from_device;
}

Error explain(Error error, int err) {
  if (err == EPERM || err == EACCES)
    error.message += "; set vm.unprivileged_userfaultfd=1, make /dev/userfaultfd readable and writable, or run as root";
  if (err == ENOSYS) error.message += "; this kernel is built without CONFIG_USERFAULTFD";
  return error;
}

}  // namespace

const char* to_string(IoStatus status) {
  switch (status) {
    case IoStatus::kDone: return "done";
    case IoStatus::kExists: return "EEXIST";
    case IoStatus::kBusy: return "EBUSY";
    case IoStatus::kRefused: return "EINVAL";
    case IoStatus::kMissing: return "ENOENT";
    case IoStatus::kFaulted: return "EFAULT";
    case IoStatus::kNoMemory: return "ENOMEM";
    case IoStatus::kDying: return "ESRCH";
  }
  return "unknown";
}

Result<uint64_t> Userfaultfd::probe_features(Delivery delivery) {
  const UniqueFd fd(open_descriptor(delivery));
  if (!fd.is_open()) return std::unexpected(explain(system_error("userfaultfd"), errno));
  uffdio_api api{};
  api.api = UFFD_API;
  if (ioctl(fd.get(), UFFDIO_API, &api) != 0) return std::unexpected(system_error("UFFDIO_API", "probe"));
  return api.features;
}

Result<Userfaultfd> Userfaultfd::open(Delivery delivery, uint64_t features) {
  UniqueFd fd(open_descriptor(delivery));
  if (!fd.is_open()) return std::unexpected(explain(system_error("userfaultfd"), errno));
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = features;
  if (ioctl(fd.get(), UFFDIO_API, &api) != 0)
    return std::unexpected(system_error("UFFDIO_API", "features " + std::to_string(features)));
  return Userfaultfd(std::move(fd));
}

Result<void> Userfaultfd::register_range(std::span<std::byte> range, bool write_protect) noexcept {
  uffdio_register request{};
  request.range.start = reinterpret_cast<uintptr_t>(range.data());
  request.range.len = range.size();
  request.mode = UFFDIO_REGISTER_MODE_MISSING | (write_protect ? UFFDIO_REGISTER_MODE_WP : 0);
  if (ioctl(fd_.get(), UFFDIO_REGISTER, &request) == 0) return {};
  const int err = errno;
  Error error = system_error("UFFDIO_REGISTER", std::to_string(range.size()) + " bytes", err);
  if (err == EBUSY) error.message += "; the program uses userfaultfd on this range itself";
  return std::unexpected(std::move(error));
}

IoResult Userfaultfd::copy(std::byte* to, const std::byte* from, size_t length) const noexcept {
  const PreserveErrno preserve;
  size_t done = 0;
  for (int tries = 0; tries < kAgainTries;) {
    uffdio_copy request{};
    request.dst = reinterpret_cast<uintptr_t>(to) + done;
    request.src = reinterpret_cast<uintptr_t>(from) + done;
    request.len = length - done;
    if (ioctl(fd_.get(), UFFDIO_COPY, &request) == 0) return {IoStatus::kDone, length};
    const int err = errno;
    // `copy` is signed: negative when nothing was copied, else the bytes of partial progress.
    if (request.copy > 0) {
      done += static_cast<size_t>(request.copy);
      if (done == length) return {IoStatus::kDone, length};
      continue;  // progress was made: the next call says what stopped this one
    }
    if (err == EINTR) continue;
    if (err != EAGAIN) return {status_of(err), done};
    ++tries;
    sched_yield();
  }
  return {IoStatus::kBusy, done};
}

IoResult Userfaultfd::move(std::byte* to, std::byte* from, size_t length, Holes holes) const noexcept {
  const PreserveErrno preserve;
  size_t done = 0;
  for (int tries = 0; tries < kAgainTries;) {
    uffdio_move request{};
    request.dst = reinterpret_cast<uintptr_t>(to) + done;
    request.src = reinterpret_cast<uintptr_t>(from) + done;
    request.len = length - done;
    request.mode = holes == Holes::kAllowed ? UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES : 0;
    if (ioctl(fd_.get(), UFFDIO_MOVE, &request) == 0) return {IoStatus::kDone, length};
    const int err = errno;
    if (request.move > 0) {
      done += static_cast<size_t>(request.move);
      if (done == length) return {IoStatus::kDone, length};
      continue;
    }
    if (err == EINTR) continue;
    if (err != EAGAIN) return {status_of(err), done};
    ++tries;
    sched_yield();
  }
  return {IoStatus::kBusy, done};
}

IoStatus Userfaultfd::write_protect(std::byte* at, size_t length, Protection protection) const noexcept {
  const PreserveErrno preserve;
  for (int tries = 0; tries < kAgainTries; ++tries) {
    uffdio_writeprotect request{};
    request.range.start = reinterpret_cast<uintptr_t>(at);
    request.range.len = length;
    request.mode = protection == Protection::kReadOnly ? UFFDIO_WRITEPROTECT_MODE_WP : 0;
    if (ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &request) == 0) return IoStatus::kDone;
    if (errno != EAGAIN && errno != EINTR) return status_of(errno);
    sched_yield();
  }
  return IoStatus::kBusy;
}

void Userfaultfd::wake(std::byte* at, size_t length) const noexcept {
  const PreserveErrno preserve;
  uffdio_range range{};
  range.start = reinterpret_cast<uintptr_t>(at);
  range.len = length;
  // Fails only for a range that is not one (our bug): nobody waits there, so there is nobody to tell.
  [[maybe_unused]] const int ignored = ioctl(fd_.get(), UFFDIO_WAKE, &range);
}

size_t Userfaultfd::read_messages(std::span<FaultMessage> room) const noexcept {
  const PreserveErrno preserve;
  uffd_msg messages[16];
  const size_t wanted = std::min<size_t>(room.size(), 16) * sizeof(uffd_msg);
  const long got = syscall(SYS_read, fd_.get(), messages, wanted);
  if (got <= 0) return 0;
  size_t count = 0;
  for (size_t i = 0; i < static_cast<size_t>(got) / sizeof(uffd_msg); ++i) {
    // No other event is ever asked for: EVENT_REMOVE and EVENT_UNMAP would block our own calls.
    TIARA_CHECK(messages[i].event == UFFD_EVENT_PAGEFAULT);
    const auto& fault = messages[i].arg.pagefault;
    room[count++] = {static_cast<uintptr_t>(fault.address), (fault.flags & UFFD_PAGEFAULT_FLAG_WP) != 0,
                     fault.feat.ptid};
  }
  return count;
}

}  // namespace tiara::fault
