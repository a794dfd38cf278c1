#include "runtime/base/hash.h"

#include "runtime/base/hash_vector.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tiara {
namespace {

// What is longer is hashed in stripes, by vector instructions; below that XXH3 has ways of its own.
constexpr size_t kLong = 240;

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(TIARA_VECTOR_HASH)
// Asked once, before main(), where nothing else of ours runs.
const bool has_avx2 = [] {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0;
}();

uint64_t hash_long(const void* bytes, size_t size) noexcept {
  return has_avx2 ? hash_with_avx2(bytes, size) : XXH3_64bits(bytes, size);
}
#else
uint64_t hash_long(const void* bytes, size_t size) noexcept { return XXH3_64bits(bytes, size); }
#endif

}  // namespace

ContentHash hash_bytes(std::span<const std::byte> bytes) noexcept {
  const ContentHash hash =
      bytes.size() > kLong ? hash_long(bytes.data(), bytes.size()) : XXH3_64bits(bytes.data(), bytes.size());
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
