// Seeded randomness for load drivers: one seed replays one run.
#pragma once

#include <cstdint>

namespace tiara::apps {

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): its
// finaliser is a good mixer of counters, and its state may start anywhere.
constexpr uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}
inline constexpr uint64_t kGoldenGamma = 0x9e3779b97f4a7c15;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(mix64(seed + kGoldenGamma)) {}
  uint64_t next() { return mix64(state_ += kGoldenGamma); }
  // Uniform in [0, bound); the bias of the multiply is below bound / 2^64.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)

 private:
  uint64_t state_;
};

}  // namespace tiara::apps
