#include "runtime/base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tiara {

ContentHash hash_bytes(std::span<const std::byte> bytes) noexcept {
  const ContentHash hash = XXH3_64bits(bytes.data(), bytes.size());
  return hash != 0 ? hash : 1;
}

ContentHash hash_page(const void* page) noexcept {
  return hash_bytes({static_cast<const std::byte*>(page), kPageSize});
}

ContentHash zero_page_hash() noexcept {
  static const ContentHash hash = [] {
    alignas(64) static const std::byte zeros[kPageSize] = {};
    return hash_page(zeros);
  }();
  return hash;
}

}  // namespace tiara
