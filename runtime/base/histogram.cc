#include "runtime/base/histogram.h"

#include <bit>
#include <cmath>

namespace tiara {

uint32_t Histogram::bucket_of(uint64_t value) noexcept {
  if (value < (1u << kSubBucketBits)) return static_cast<uint32_t>(value);
  const uint32_t exponent = static_cast<uint32_t>(std::bit_width(value)) - 1;
  if (exponent >= kMaxExponent) return kBuckets - 1;
  const uint32_t sub = static_cast<uint32_t>(value >> (exponent - kSubBucketBits)) & ((1u << kSubBucketBits) - 1);
  return ((exponent - kSubBucketBits + 1) << kSubBucketBits) + sub;
}

uint64_t Histogram::upper_edge(uint32_t bucket) noexcept {
  if (bucket < (1u << kSubBucketBits)) return bucket;
  const uint32_t exponent = (bucket >> kSubBucketBits) + kSubBucketBits - 1;
  const uint64_t sub = bucket & ((1u << kSubBucketBits) - 1);
  const uint64_t width = uint64_t{1} << (exponent - kSubBucketBits);
  return (uint64_t{1} << exponent) + (sub + 1) * width - 1;
}

uint64_t Histogram::count() const noexcept {
  uint64_t total = 0;
  for (const auto& bucket : counts_) total += bucket.load(std::memory_order_relaxed);
  return total;
}

uint64_t Histogram::quantile(double q) const noexcept {
  const uint64_t total = count();
  if (total == 0) return 0;
  const uint64_t rank = static_cast<uint64_t>(std::ceil(q * static_cast<double>(total)));
  uint64_t seen = 0;
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += bucket_count(bucket);
    if (seen >= rank) return upper_edge(bucket);
  }
  return upper_edge(kBuckets - 1);
}

void Histogram::add(const Histogram& other) noexcept {
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket)
    counts_[bucket].fetch_add(other.bucket_count(bucket), std::memory_order_relaxed);
}

}  // namespace tiara
