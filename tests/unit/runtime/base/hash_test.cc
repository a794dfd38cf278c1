#include "runtime/base/hash.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace tiara;

TEST_CASE("hashes are the same on every CPU, for every size and alignment") {
  std::vector<std::byte> bytes(128 * 1024 + 64);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<std::byte>(i * 7919 >> 3);
  uint64_t all = 0;
  for (size_t size = 0; size < 3000; size++) all = all * 31 + hash_bytes({bytes.data() + size % 17, size});
  for (const size_t size : {size_t{4096}, size_t{4104}, size_t{65536}, size_t{131072}})
    all = all * 31 + hash_bytes({bytes.data() + 5, size});
  CHECK(all == 0x1dc4df5e17d13cc6);  // from XXH3 without vector instructions
}

TEST_CASE("no hash is 0, and that of a page of zeros is known") {
  const std::vector<std::byte> zeros(kPageSize);
  CHECK(hash_page(zeros.data()) == zero_page_hash());
  CHECK(hash_bytes({}) != 0);
}
