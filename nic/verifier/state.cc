#include "nic/verifier/state.h"

#include <bit>

namespace tiara::nic {
namespace {

// The bits of word `index` that stand for bytes of [first, last).
uint64_t mask_of(uint64_t index, uint64_t first, uint64_t last) {
  const uint64_t low = index * 64;
  const uint64_t begin = first > low ? first - low : 0;
  const uint64_t end = last < low + 64 ? last - low : 64;
  return (~uint64_t{0} << begin) & (~uint64_t{0} >> (64 - end));
}

}  // namespace

void ByteSet::insert(uint64_t first, uint64_t count) {
  if (count == 0 || first >= kMaxScratchpadBytes || count > kMaxScratchpadBytes - first) return;
  const uint64_t last = first + count;
  for (uint64_t i = first / 64; i * 64 < last; ++i) words_[i] |= mask_of(i, first, last);
}

uint64_t ByteSet::first_missing(uint64_t first, uint64_t count) const {
  const uint64_t last = first + count;
  for (uint64_t i = first / 64; i * 64 < last && count != 0; ++i) {
    const uint64_t missing = mask_of(i, first, last) & ~words_[i];
    if (missing != 0) return i * 64 + static_cast<uint64_t>(std::countr_zero(missing));
  }
  return last;
}

bool ByteSet::contains_all(uint64_t first, uint64_t count) const {
  return first_missing(first, count) == first + count;
}

bool ByteSet::includes(const ByteSet& inner) const {
  for (size_t i = 0; i < words_.size(); ++i) {
    if ((inner.words_[i] & ~words_[i]) != 0) return false;
  }
  return true;
}

void ByteSet::intersect(const ByteSet& other) {
  for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
}

bool AbstractState::includes(const AbstractState& inner) const {
  if ((defined & ~inner.defined) != 0) return false;
  for (uint8_t reg = 0; reg < kRegisters; ++reg) {
    if (is_defined(reg) && !registers[reg].includes(inner.registers[reg])) return false;
  }
  return inner.written.includes(written);  // fewer bytes known to be written describe more states
}

void join_into(AbstractState& into, const AbstractState& from) {
  into.defined &= from.defined;
  for (uint8_t reg = 0; reg < kRegisters; ++reg) {
    AbstractValue& value = into.registers[reg];
    if (!into.is_defined(reg)) value = AbstractValue();
    else if (!(value == from.registers[reg])) value = join(value, from.registers[reg]);
  }
  into.written.intersect(from.written);
}

AbstractState widen(const AbstractState& old, const AbstractState& grown) {
  AbstractState state = grown;
  for (uint8_t reg = 0; reg < kRegisters; ++reg) {
    if (!state.is_defined(reg)) continue;
    if (!old.registers[reg].includes(grown.registers[reg])) {
      state.registers[reg] = widen(old.registers[reg], grown.registers[reg]);
    }
  }
  return state;
}

}  // namespace tiara::nic
