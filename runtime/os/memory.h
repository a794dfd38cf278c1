// Raw memory of our own: mappings that never come from, and never become, the program's far memory.
//
// Every call here is the raw system call, because the preload layer interposes mmap, munmap and madvise.
// Mappings made here are "near" by definition: rings, slabs, metadata and stacks of the runtime live in them.
#pragma once

#include <cstddef>
#include <span>
#include <sys/uio.h>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/unique_fd.h"

namespace tiara::os {

// Raw mmap (MAP_FAILED + errno), munmap, mprotect, madvise (0 or -errno). For the interposers and the pager.
void* raw_mmap(void* address, size_t length, int protection, int flags, int fd, long offset) noexcept;
int raw_munmap(void* address, size_t length) noexcept;
int raw_mprotect(void* address, size_t length, int protection) noexcept;
int raw_madvise(void* address, size_t length, int advice) noexcept;
// Advice for many ranges of this process: the bytes that it was taken for, or a negative error number. -EBADF from
// kernels before 6.15, which do not know a process by this name.
long raw_madvise_ranges(const iovec* ranges, size_t count, int advice) noexcept;

// An owned mapping, unmapped on destruction.
class Mapping {
 public:
  Mapping() = default;
  Mapping(std::byte* base, size_t size) noexcept : base_(base), size_(size) {}
  Mapping(Mapping&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { reset(); }

  // Private anonymous memory, zeroed, not reserved (MAP_NORESERVE), excluded from core dumps when asked.
  static Result<Mapping> anonymous(Bytes size);
  // A shared mapping of `fd` from offset 0.
  static Result<Mapping> shared(const UniqueFd& fd, Bytes size);
  // The same, and a write to it is a segmentation fault.
  static Result<Mapping> shared_read_only(const UniqueFd& fd, Bytes size);

  std::byte* data() const noexcept { return base_; }
  size_t size() const noexcept { return size_; }
  std::span<std::byte> span() const noexcept { return {base_, size_}; }
  bool is_mapped() const noexcept { return base_ != nullptr; }
  void reset() noexcept;
  // Gives up ownership: the memory stays mapped for ever.
  void release() noexcept { base_ = nullptr; }

 private:
  std::byte* base_ = nullptr;
  size_t size_ = 0;
};

// A close-on-exec memfd of `size` bytes (sparse).
Result<UniqueFd> create_memfd(const char* name, Bytes size);

// What peers that share a memfd can no longer do to each other; seals never come off.
enum class Seal {
  kSize,          // shrink or grow it: an access inside the size can then not raise SIGBUS
  kSizeAndWrite,  // and map it writable from now on: mappings that exist (the owner's) stay writable
};
Result<void> seal_memfd(const UniqueFd& fd, Seal seal);
// Whether the kernel vouches that `fd` is a memfd of at least `size` bytes which nobody can shrink.
bool is_sealed_memfd(const UniqueFd& fd, Bytes size) noexcept;

}  // namespace tiara::os
