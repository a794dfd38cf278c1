// What the kernel's page table holds for a page of this process, without touching the page (pagemap(5)).
//
// mincore(2) cannot tell: it says "not here" of a page that the kernel has swapped out, as it does of one that was
// never there. Only rare suspicions are settled here: an answer costs a system call.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/os/unique_fd.h"

namespace tiara::fault {

enum class Backing : uint8_t {
  kNothing,
  kPresent,
  kSwapped,  // the kernel's own swap has it, or it is just being migrated: an access brings it back unseen by us
  kUnknown,  // the page table cannot be asked
};

class Pagemap {
 public:
  // Asks nothing; knows nothing.
  Pagemap() = default;
  // Of the calling process; a child needs one of its own. To be opened before privileges are dropped, which makes
  // /proc/self unreadable. Without /proc every answer is kUnknown.
  static Pagemap open() noexcept;

  // `page` is the address of its first byte. Allocates nothing; errno is preserved.
  Backing backing(const std::byte* page) const noexcept;
  // Do bytes of the page exist, here or in the kernel's swap? Without a page table to ask, what mincore(2) says: then
  // swapped pages look as if they were gone.
  bool has_bytes(const std::byte* page) const noexcept;

  int descriptor() const noexcept { return fd_.get(); }  // -1: not open
  UniqueFd release() noexcept { return std::move(fd_); }

 private:
  explicit Pagemap(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace tiara::fault
