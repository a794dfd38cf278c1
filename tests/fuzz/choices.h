// Where a generator takes its choices from: a seed, or bytes that somebody else (libFuzzer) picks and changes.
#pragma once

#include <cstdint>
#include <random>
#include <span>

namespace tiara::nic::fuzz {

class Choices {
 public:
  explicit Choices(uint64_t seed) : random_(seed) {}
  // One byte a choice, so that a changed byte changes one choice; behind the last byte, as from a fixed seed. Borrowed.
  explicit Choices(std::span<const uint8_t> bytes) : bytes_(bytes), random_(1) {}

  uint64_t operator()() {
    if (bytes_.empty()) return random_();
    const uint64_t word = bytes_.front();
    bytes_ = bytes_.subspan(1);
    // The whole word is wanted (some choices are made by its high bits): the finaliser of SplitMix64.
    uint64_t mixed = (word + 1) * 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
  }

 private:
  std::span<const uint8_t> bytes_;
  std::mt19937_64 random_;
};

}  // namespace tiara::nic::fuzz
