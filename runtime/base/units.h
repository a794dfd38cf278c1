// Units as types: a page number, a count of pages and a count of bytes cannot be mixed up.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace tiara {

inline constexpr size_t kPageShift = 12;  // x86-64 and arm64 base pages; the node's table uses the same
inline constexpr size_t kPageSize = size_t{1} << kPageShift;

// A number of bytes.
struct Bytes {
  uint64_t value = 0;
  friend constexpr auto operator<=>(Bytes, Bytes) = default;
  friend constexpr Bytes operator+(Bytes a, Bytes b) { return {a.value + b.value}; }
  friend constexpr Bytes operator-(Bytes a, Bytes b) { return {a.value - b.value}; }
};

// A number of pages.
struct PageCount {
  uint64_t value = 0;
  friend constexpr auto operator<=>(PageCount, PageCount) = default;
  friend constexpr PageCount operator+(PageCount a, PageCount b) { return {a.value + b.value}; }
  friend constexpr PageCount operator-(PageCount a, PageCount b) { return {a.value - b.value}; }
  constexpr Bytes bytes() const { return {value << kPageShift}; }
};

// A page's number inside one far address space: 0 is the first page of the reservation. It is also the key of
// the node's page table; virtual addresses never leave the process.
struct PageNumber {
  uint64_t value = 0;
  friend constexpr auto operator<=>(PageNumber, PageNumber) = default;
  friend constexpr PageNumber operator+(PageNumber page, PageCount count) { return {page.value + count.value}; }
  friend constexpr PageCount operator-(PageNumber a, PageNumber b) { return {a.value - b.value}; }
};

// A half-open run of pages [first, first + count).
struct PageRange {
  PageNumber first;
  PageCount count;
  constexpr PageNumber end() const { return first + count; }
  constexpr bool contains(PageNumber page) const { return page >= first && page < end(); }
  friend constexpr bool operator==(PageRange, PageRange) = default;
};

constexpr uint64_t kKiB = uint64_t{1} << 10;
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;

constexpr PageCount pages_for(Bytes bytes) { return {(bytes.value + kPageSize - 1) >> kPageShift}; }
constexpr uint64_t round_down(uint64_t value, uint64_t power_of_two) { return value & ~(power_of_two - 1); }
constexpr uint64_t round_up(uint64_t value, uint64_t power_of_two) {
  return (value + power_of_two - 1) & ~(power_of_two - 1);
}

}  // namespace tiara
