#include "runtime/base/histogram.h"

#include <catch2/catch.hpp>

using tiara::Histogram;

TEST_CASE("every value lies at or below the upper edge of its bucket, and above the edge before") {
  for (uint64_t value : {0ull, 1ull, 7ull, 8ull, 9ull, 15ull, 16ull, 17ull, 1000ull, 4096ull, 123456789ull}) {
    const uint32_t bucket = Histogram::bucket_of(value);
    CHECK(value <= Histogram::upper_edge(bucket));
    if (bucket > 0) CHECK(value > Histogram::upper_edge(bucket - 1));
  }
}

TEST_CASE("values beyond the range count in the last bucket") {
  CHECK(Histogram::bucket_of(uint64_t{1} << 40) == Histogram::kBuckets - 1);
  CHECK(Histogram::bucket_of(UINT64_MAX) == Histogram::kBuckets - 1);
}

TEST_CASE("quantiles of a uniform ramp are within an eighth of the true value") {
  auto histogram = std::make_unique<Histogram>();
  for (uint64_t value = 1; value <= 10000; ++value) histogram->record(value);
  CHECK(histogram->count() == 10000);
  CHECK(histogram->quantile(0.5) >= 5000);
  CHECK(histogram->quantile(0.5) <= 5000 * 9 / 8);
  CHECK(histogram->quantile(0.99) >= 9900);
  CHECK(histogram->quantile(0.99) <= 9900 * 9 / 8);
}

TEST_CASE("an empty histogram has no quantiles, and adding sums counts") {
  auto a = std::make_unique<Histogram>();
  auto b = std::make_unique<Histogram>();
  CHECK(a->quantile(0.5) == 0);
  a->record(10);
  b->record(10);
  a->add(*b);
  CHECK(a->count() == 2);
}
