// Near memory in place of the far buffers of a vector, for system calls on more of them than a thread has pins.
//
// Only what can be read and written is copied. Where a page is protected, unmapped or not ours any more, the vector
// goes on naming it: it is not evicted, and the kernel itself transfers it, or stops there and says how far it came.
#pragma once

#include <climits>
#include <cstddef>
#include <sys/uio.h>

#include "runtime/os/memory.h"

namespace tiara::preload {

enum class Direction { kIn, kOut };

class NearVector {
 public:
  enum class Copies {
    kReused,        // the kernel is done with them when the call returns
    kLeftToKernel,  // it may keep their pages for as long as it likes (MSG_ZEROCOPY): nobody else gets these
  };

  // The first `bytes` that the vector names, or what is there.
  NearVector(const iovec* vector, size_t count, size_t bytes, Direction direction, Copies copies) noexcept;
  ~NearVector();
  NearVector(const NearVector&) = delete;
  NearVector& operator=(const NearVector&) = delete;

  // False without memory for it, or when the vector would have too many parts; errno is ENOMEM, which these calls may
  // give.
  bool exists() const noexcept { return table_ != nullptr; }
  iovec* parts() const noexcept { return table_->parts; }
  size_t count() const noexcept { return count_; }
  // What came in, where it belongs.
  void scatter(size_t bytes) noexcept;

 private:
  struct Table {
    iovec parts[IOV_MAX];
    char* originals[IOV_MAX];  // of copies; null for what is used where it is
  };
  bool add(char* bytes, size_t length) noexcept;
  bool add_part(void* base, size_t length, char* original) noexcept;
  bool allocate(size_t bytes, Copies copies) noexcept;

  Direction direction_;
  Table* table_ = nullptr;
  char* next_ = nullptr;  // where the next copy goes
  size_t count_ = 0;
  os::Mapping pages_;
};

}  // namespace tiara::preload
