// Latencies of a load driver, fine enough for ratios: log-linear buckets (as in HdrHistogram), 128
// for every power of two, so a quantile is off by less than 0.8 %. One writer; add() merges.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace tiara::apps {

class LatencyHistogram {
 public:
  void record(uint64_t nanoseconds) {
    ++counts_[bucket_of(nanoseconds)];
    ++count_;
    sum_ += nanoseconds;
    if (nanoseconds > max_) max_ = nanoseconds;
  }
  void add(const LatencyHistogram& other) {
    for (uint32_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    if (other.max_ > max_) max_ = other.max_;
  }
  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  double mean() const {
    return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }
  // Upper edge of the bucket that holds the q-quantile, in nanoseconds; 0 when empty.
  uint64_t quantile(double q) const {
    const auto rank = static_cast<uint64_t>(std::ceil(q * static_cast<double>(count_)));
    uint64_t seen = 0;
    for (uint32_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen >= rank && seen > 0) return upper_edge(i);
    }
    return 0;
  }

 private:
  static constexpr uint32_t kSubBits = 7;
  static constexpr uint32_t kMaxExponent =
      37;  // 2^37 ns, about 137 s: beyond every time-out of a driver
  static constexpr uint32_t kBuckets = (kMaxExponent - kSubBits + 1) << kSubBits;

  static uint32_t bucket_of(uint64_t value) {
    if (value < (1u << kSubBits)) return static_cast<uint32_t>(value);
    const auto exponent = static_cast<uint32_t>(std::bit_width(value)) - 1;
    if (exponent >= kMaxExponent) return kBuckets - 1;
    return ((exponent - kSubBits + 1) << kSubBits) +
           (static_cast<uint32_t>(value >> (exponent - kSubBits)) & ((1u << kSubBits) - 1));
  }
  static uint64_t upper_edge(uint32_t bucket) {
    if (bucket < (1u << kSubBits)) return bucket;
    const uint32_t shift = (bucket >> kSubBits) - 1;
    const uint64_t mantissa = (1u << kSubBits) + (bucket & ((1u << kSubBits) - 1));
    return ((mantissa + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
};

}  // namespace tiara::apps
