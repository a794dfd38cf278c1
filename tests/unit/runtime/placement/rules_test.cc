#include "runtime/placement/rules.h"

#include <catch2/catch.hpp>

using tiara::placement::Rules;

TEST_CASE("No rules keep nothing near") {
  const auto rules = Rules::parse("");
  REQUIRE(rules);
  CHECK(rules->near_below == 0);
  CHECK(rules->near_from == SIZE_MAX);
  CHECK(rules->near_callers.empty());
}

TEST_CASE("Every kind of rule is understood") {
  const auto rules = Rules::parse("size<256,size>=1M,calloc>=512K,mmap>=2G,caller=libssl.so,caller=libcrypto.so");
  REQUIRE(rules);
  CHECK(rules->near_below == 256);
  CHECK(rules->near_from == 1 << 20);
  CHECK(rules->near_calloc_from == 512 << 10);
  CHECK(rules->near_mmap_from == size_t{2} << 30);
  CHECK(rules->near_callers == std::vector<std::string>{"libssl.so", "libcrypto.so"});
}

TEST_CASE("Of two rules of a kind the wider one counts") {
  const auto rules = Rules::parse("size<256,size<64,calloc>=1M,calloc>=2M");
  REQUIRE(rules);
  CHECK(rules->near_below == 256);
  CHECK(rules->near_calloc_from == 1 << 20);
}

TEST_CASE("A malformed rule is refused and named") {
  for (const char* text : {"size", "size<", "size<x", "size>1M", "caller=", "caller=/lib/x.so", "hash", "size<1K,,"}) {
    INFO(text);
    const auto rules = Rules::parse(text);
    REQUIRE_FALSE(rules);
    CHECK(rules.error().code == tiara::ErrorCode::kInvalidInput);
    CHECK(rules.error().message.find("use size<SIZE") != std::string::npos);
  }
}
