// What a case runs on: its regions, payload and reply, and the one other node that it may name.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "nic/engine/memory.h"
#include "nic/engine/remote_port.h"
#include "tests/conformance/case_file.h"

namespace tiara::conformance {

using namespace nic;

// Memory whose base has the alignment that regions promise, with guard bytes behind it.
class AlignedBytes {
 public:
  explicit AlignedBytes(const Bytes& content)
      : size_(content.size()), storage_(content.size() + 64 + kGuard, kGuardByte) {
    std::copy(content.begin(), content.end(), data());
  }
  std::byte* data() { return storage_.data() + (64 - reinterpret_cast<uintptr_t>(storage_.data()) % 64) % 64; }
  size_t size() const { return size_; }
  Bytes bytes() { return {data(), data() + size_}; }
  bool is_guard_intact() {
    return std::all_of(data() + size_, data() + size_ + kGuard - 64, [](std::byte b) { return b == kGuardByte; });
  }

 private:
  static constexpr size_t kGuard = 128;
  static constexpr std::byte kGuardByte{0xa5};
  size_t size_;
  Bytes storage_;
};

// One other node, host kRemoteHost, holding the case's remote regions.
class FakeRemote : public RemotePort {
 public:
  FakeRemote(std::vector<AlignedBytes>& memory, const std::vector<CaseRegion>& regions)
      : memory_(memory), regions_(regions) {}

  Fault load(RemoteAddress at, uint64_t& value) noexcept override {
    return word(at, 'r', [&](uint64_t& word) { value = word; });
  }
  Fault store(RemoteAddress at, uint64_t value) noexcept override {
    return word(at, 'w', [&](uint64_t& word) { word = value; });
  }
  Fault compare_and_swap(RemoteAddress at, uint64_t expected, uint64_t desired, uint64_t& old) noexcept override {
    return word(at, 'a', [&](uint64_t& word) {
      old = word;
      if (word == expected) word = desired;
    });
  }
  Fault fetch_and_add(RemoteAddress at, uint64_t addend, uint64_t& old) noexcept override {
    return word(at, 'a', [&](uint64_t& word) { old = word, word += addend; });
  }
  Fault swap(RemoteAddress at, uint64_t desired, uint64_t& old) noexcept override {
    return word(at, 'a', [&](uint64_t& word) { old = word, word = desired; });
  }
  Fault read_bytes(RemoteAddress at, std::span<std::byte> out) noexcept override {
    const Fault fault = check(at, 'r', out.size());
    if (fault == Fault::kNone) memcpy(out.data(), memory_[at.region].data() + at.offset, out.size());
    return fault;
  }

 private:
  Fault check(RemoteAddress at, char permission, uint64_t length) {
    if (at.host != kRemoteHost || !regions_[at.region].is_remote) return Fault::kRemoteUnavailable;
    if (regions_[at.region].permission.find(permission) == std::string::npos) return Fault::kRegionPermission;
    return is_inside(at.offset, length, memory_[at.region].size()) ? Fault::kNone : Fault::kRegionBounds;
  }
  Fault word(RemoteAddress at, char permission, const std::function<void(uint64_t&)>& change) {
    const Fault fault = check(at, permission, 8);
    if (fault == Fault::kNone) change(*reinterpret_cast<uint64_t*>(memory_[at.region].data() + at.offset));
    return fault;
  }

  std::vector<AlignedBytes>& memory_;
  const std::vector<CaseRegion>& regions_;
};

}  // namespace tiara::conformance
