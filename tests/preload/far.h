// What the test programs of this folder share: they run under libtiara.so (preloaded.py) and know it.
#pragma once

#define TIARA_WEAK
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "runtime/include/tiara/tiara.h"

namespace far {

inline constexpr size_t kPage = 4096;

// Far memory has started when this returns: the program asks for enough of it. Kept for the life of the program, so
// that chaos eviction and the budget always have something to work on.
inline void start() {
  static std::vector<char>* ballast = nullptr;
  if (ballast != nullptr) return;
  ballast = new std::vector<char>(24u << 20);
  for (size_t i = 0; i < ballast->size(); i += 512) (*ballast)[i] = static_cast<char>(i >> 9);
}

inline bool is_far(const void* address) { return tiara_is_far != nullptr && tiara_is_far(address) == 1; }

inline uint64_t remote_pages() {
  tiara_stats stats{};
  stats.size = sizeof stats;
  return tiara_get_stats(&stats) == 0 ? stats.remote_pages : 0;
}

// A far block of the heap, filled with a pattern that depends on its seed.
class Block {
 public:
  explicit Block(size_t size, unsigned seed = 1) : size_(size), bytes_(static_cast<char*>(malloc(size))) {
    for (size_t i = 0; i < size; ++i) bytes_[i] = pattern(seed, i);
  }
  ~Block() { free(bytes_); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  static char pattern(unsigned seed, size_t i) { return static_cast<char>((i * 31 + (i >> 8) * 7 + seed) & 0xff); }
  bool holds(unsigned seed, size_t length, size_t from = 0) const {
    for (size_t i = 0; i < length; ++i)
      if (bytes_[from + i] != pattern(seed, i)) return false;
    return true;
  }
  char* data() { return bytes_; }
  const char* data() const { return bytes_; }
  size_t size() const { return size_; }

 private:
  size_t size_;
  char* bytes_;
};

// An object on far memory, on a page of its own, so that it can be away while its neighbours are here.
template <typename T>
class Object {
 public:
  Object() : held_(new (aligned_alloc(kPage, (sizeof(Held) + kPage - 1) / kPage * kPage)) Held) {}
  ~Object() {
    held_->~Held();
    free(held_);
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  T* get() { return &held_->value; }
  T& operator*() { return held_->value; }
  T* operator->() { return &held_->value; }

 private:
  struct Held {  // so that T may be an array
    T value{};
  };
  Held* held_;
};

// A string in far memory.
class Text {
 public:
  explicit Text(std::string_view text)
      : bytes_(static_cast<char*>(aligned_alloc(kPage, (text.size() / kPage + 1) * kPage))) {
    memcpy(bytes_, text.data(), text.size());
    bytes_[text.size()] = 0;
  }
  ~Text() { free(bytes_); }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
  char* get() const { return bytes_; }

 private:
  char* bytes_;
};

}  // namespace far
