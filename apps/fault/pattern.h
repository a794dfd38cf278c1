// What is measured: access patterns over one region of memory whose every word is known.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tiara::apps::fault {

enum class Pattern : uint8_t { kRandomRead, kRandomRmw, kSequentialRead, kSequentialWrite, kZipfRead };
inline constexpr std::array kPatterns = {Pattern::kRandomRead, Pattern::kRandomRmw, Pattern::kSequentialRead,
                                         Pattern::kSequentialWrite, Pattern::kZipfRead};

constexpr std::string_view to_string(Pattern pattern) {
  switch (pattern) {
    case Pattern::kRandomRead: return "random_read";
    case Pattern::kRandomRmw: return "random_rmw";
    case Pattern::kSequentialRead: return "sequential_read";
    case Pattern::kSequentialWrite: return "sequential_write";
    case Pattern::kZipfRead: return "zipf_read";
  }
  return "unknown";
}

// splitmix64: the content of word `index` of the region at version 0, and the source of all random numbers here.
constexpr uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15u;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

}  // namespace tiara::apps::fault
