#include "fault-handler/pagemap.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/units.h"

namespace tiara::fault {
namespace {

// One 64-bit entry a page; source: Documentation/admin-guide/mm/pagemap.rst of Linux 6.18.
constexpr uint64_t kPresentBit = uint64_t{1} << 63;
constexpr uint64_t kSwapBit = uint64_t{1} << 62;

}  // namespace

Pagemap Pagemap::open() noexcept {
  const int saved = errno;
  UniqueFd fd(static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC)));
  errno = saved;
  return Pagemap(std::move(fd));
}

Backing Pagemap::backing(const std::byte* page) const noexcept {
  if (!fd_.is_open()) return Backing::kUnknown;
  const int saved = errno;
  uint64_t entry = 0;
  const auto at = static_cast<off_t>((reinterpret_cast<uintptr_t>(page) >> kPageShift) * sizeof entry);
  long got = 0;
  do got = syscall(SYS_pread64, fd_.get(), &entry, sizeof entry, at);
  while (got < 0 && errno == EINTR);
  errno = saved;
  if (got != sizeof entry) return Backing::kUnknown;
  if ((entry & kPresentBit) != 0) return Backing::kPresent;
  return (entry & kSwapBit) != 0 ? Backing::kSwapped : Backing::kNothing;
}

bool Pagemap::has_bytes(const std::byte* page) const noexcept {
  switch (backing(page)) {
    case Backing::kPresent:
    case Backing::kSwapped: return true;
    case Backing::kNothing: return false;
    case Backing::kUnknown: break;
  }
  const int saved = errno;
  unsigned char answer = 0;
  const bool is_here = mincore(const_cast<std::byte*>(page), kPageSize, &answer) == 0 && (answer & 1) != 0;
  errno = saved;
  return is_here;
}

}  // namespace tiara::fault
