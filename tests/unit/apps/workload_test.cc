#include "apps/memcached/workload.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <vector>

namespace tiara::apps::memcached {

TEST_CASE("a value that was made is right, and says its version") {
  for (const uint32_t size : {kMinValueSize, 17u, 23u, 24u, 100u, 1024u}) {
    std::vector<char> value(size);
    make_value(42, 7, value);
    const auto check = check_value(42, value, size);
    CHECK(check.is_right);
    CHECK(check.version == 7);
  }
}

TEST_CASE("every changed byte of a value is noticed") {
  constexpr uint32_t kSize = 100;
  std::vector<char> value(kSize);
  make_value(42, 7, value);
  for (size_t i = 0; i < kSize; ++i) {
    auto damaged = value;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    INFO("byte " << i);
    const auto check = check_value(42, damaged, kSize);
    CHECK_FALSE(check.is_right);
    CHECK_FALSE(check.complaint.empty());
  }
}

TEST_CASE("the value of another key, another length, or zeros are wrong") {
  std::vector<char> value(64), zeros(64);
  make_value(1, 1, value);
  CHECK_FALSE(check_value(2, value, 64).is_right);
  CHECK_FALSE(check_value(1, std::span(value).first(63), 64).is_right);
  CHECK_FALSE(check_value(1, zeros, 64).is_right);
  CHECK_FALSE(check_value(0, zeros, 64).is_right);
}

TEST_CASE("uniform keys cover the key space evenly") {
  const KeyChooser chooser(Workload{.keys = 10});
  Random random(1);
  std::map<uint64_t, int> counts;
  for (int i = 0; i < 100'000; ++i) ++counts[chooser.choose(random)];
  REQUIRE(counts.size() == 10);
  for (const auto& [key, count] : counts) CHECK(std::abs(count - 10'000) < 600);
}

TEST_CASE("Zipf ranks fall off as the distribution says") {
  constexpr uint64_t kKeys = 10'000;
  const Zipf zipf(kKeys, 0.99);
  Random random(1);
  std::vector<int> counts(kKeys);
  constexpr int kSamples = 400'000;
  for (int i = 0; i < kSamples; ++i) ++counts[zipf.sample(random)];
  // P(rank 0) = 1 / zeta(10000, 0.99), about 0.0977.
  CHECK(counts[0] > 0.092 * kSamples);
  CHECK(counts[0] < 0.104 * kSamples);
  CHECK(counts[0] > counts[1]);
  CHECK(counts[1] > counts[10]);
}

TEST_CASE("popular Zipf keys are scattered over the key space") {
  const KeyChooser chooser(Workload{.keys = 1000, .distribution = Distribution::kZipf});
  Random random(1);
  std::map<uint64_t, int> counts;
  for (int i = 0; i < 50'000; ++i) ++counts[chooser.choose(random)];
  std::vector<std::pair<int, uint64_t>> by_count;
  for (const auto& [key, count] : counts) {
    CHECK(key < 1000);
    by_count.emplace_back(count, key);
  }
  std::sort(by_count.rbegin(), by_count.rend());
  CHECK(std::abs(static_cast<int64_t>(by_count[0].second - by_count[1].second)) > 1);
}

TEST_CASE("one seed replays one run, and different seeds differ") {
  Random a(1), b(1), c(2);
  CHECK(a.next() == b.next());
  CHECK(a.next() != c.next());
}

TEST_CASE("versions bound what a GET may see") {
  Versions versions(2);
  CHECK(versions.oldest(1) == 0);
  CHECK(versions.issue(1) == 1);
  CHECK(versions.oldest(1) == 0);
  CHECK(versions.newest(1) == 1);
  versions.acknowledge(1, 1);
  CHECK(versions.oldest(1) == 1);
}

}  // namespace tiara::apps::memcached
