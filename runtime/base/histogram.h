// A latency histogram that threads and processes may share: fixed size, lock-free, no allocation.
//
// Buckets are log-linear (as in HdrHistogram): 8 sub-buckets for every power of two, so a quantile is off by
// at most 12.5 %. Values are nanoseconds; the range is [0, 2^40) ns, about 18 minutes; larger values count in
// the last bucket. Zero-initialised memory is an empty histogram.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace tiara {

class Histogram {
 public:
  static constexpr uint32_t kSubBucketBits = 3;
  static constexpr uint32_t kMaxExponent = 40;
  static constexpr uint32_t kBuckets = (kMaxExponent - kSubBucketBits + 1) << kSubBucketBits;

  void record(uint64_t nanoseconds) noexcept {
    // Relaxed: counts are read as statistics, they order nothing.
    counts_[bucket_of(nanoseconds)].fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t count() const noexcept;
  // The upper edge of the bucket that holds the q-quantile, 0 < q <= 1; 0 when empty.
  uint64_t quantile(double q) const noexcept;
  void add(const Histogram& other) noexcept;
  uint64_t bucket_count(uint32_t bucket) const noexcept { return counts_[bucket].load(std::memory_order_relaxed); }

  static uint32_t bucket_of(uint64_t value) noexcept;
  static uint64_t upper_edge(uint32_t bucket) noexcept;  // inclusive

 private:
  std::array<std::atomic<uint64_t>, kBuckets> counts_{};
};

}  // namespace tiara
