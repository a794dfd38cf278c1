// Who asks for memory? Shared objects by the addresses of their code.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tiara::placement {

// A small set of code ranges, looked up on every allocation: a linear scan over a handful of pairs. Readers need no
// lock; adding is for one thread at a time.
class CallerRanges {
 public:
  static constexpr size_t kCapacity = 32;  // the C library, the loader, and what a user may reasonably name

  bool contains(const void* caller) const noexcept {
    const auto address = reinterpret_cast<uintptr_t>(caller);
    const size_t count = count_.load(std::memory_order_acquire);  // pairs with add(): ranges before their count
    for (size_t i = 0; i < count; ++i)
      if (address - ranges_[i].begin < ranges_[i].size) return true;
    return false;
  }
  size_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  // False when the set is full or the range is empty.
  bool add(uintptr_t begin, size_t size) noexcept;
  // Adds the executable segment of every loaded object whose file name (without folders) starts with `name`:
  // "libssl.so" finds libssl.so.3. Objects that are already in the set are skipped. Returns how many were added.
  size_t add_loaded(std::string_view name) noexcept;

 private:
  struct Range {
    uintptr_t begin;
    size_t size;
  };
  std::array<Range, kCapacity> ranges_{};
  std::atomic<size_t> count_{0};
};

}  // namespace tiara::placement
