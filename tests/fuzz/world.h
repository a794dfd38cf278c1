// The memory that generated programs run on: regions of the sizes that program_generator.h names, a payload,
// a reply, and other nodes that answer from an array.
#pragma once

#include <cstring>
#include <vector>

#include "nic/engine/memory.h"
#include "nic/engine/remote_port.h"
#include "tests/fuzz/program_generator.h"

namespace tiara::nic::fuzz {

class FakePeers final : public RemotePort {
 public:
  explicit FakePeers(uint64_t seed) {
    for (uint64_t host = 0; host < kHosts; ++host) {
      memory_[host].resize(kPeerBytes);
      fill_memory(seed + host, memory_[host]);
    }
  }

  Fault load(RemoteAddress at, uint64_t& value) noexcept override {
    uint64_t* word = word_at(at);
    if (word == nullptr) return fault_of(at);
    value = *word;
    return Fault::kNone;
  }
  Fault store(RemoteAddress at, uint64_t value) noexcept override {
    uint64_t old;
    return swap(at, value, old);
  }
  Fault compare_and_swap(RemoteAddress at, uint64_t expected, uint64_t desired,
                         uint64_t& old) noexcept override {
    uint64_t* word = word_at(at);
    if (word == nullptr) return fault_of(at);
    old = *word;
    if (old == expected) *word = desired;
    return Fault::kNone;
  }
  Fault fetch_and_add(RemoteAddress at, uint64_t addend, uint64_t& old) noexcept override {
    uint64_t* word = word_at(at);
    if (word == nullptr) return fault_of(at);
    old = *word;
    *word += addend;
    return Fault::kNone;
  }
  Fault swap(RemoteAddress at, uint64_t desired, uint64_t& old) noexcept override {
    uint64_t* word = word_at(at);
    if (word == nullptr) return fault_of(at);
    old = *word;
    *word = desired;
    return Fault::kNone;
  }
  Fault read_bytes(RemoteAddress at, std::span<std::byte> out) noexcept override {
    if (at.host >= kHosts) return Fault::kRemoteUnavailable;
    if (!is_inside(at.offset, out.size(), kPeerBytes)) return Fault::kRegionBounds;
    if (!out.empty()) std::memcpy(out.data(), &memory_[at.host][at.offset], out.size());
    return Fault::kNone;
  }

  const std::array<std::vector<std::byte>, kHosts>& memory() const { return memory_; }

 private:
  static Fault fault_of(RemoteAddress at) {
    return at.host >= kHosts ? Fault::kRemoteUnavailable : Fault::kRegionBounds;
  }
  uint64_t* word_at(RemoteAddress at) {
    if (at.host >= kHosts || !is_inside(at.offset, 8, kPeerBytes)) return nullptr;
    return reinterpret_cast<uint64_t*>(&memory_[at.host][at.offset]);
  }
  std::array<std::vector<std::byte>, kHosts> memory_;
};

// Everything that one run can change. Two worlds of one input are equal; after two engines they must still
// be.
struct World {
  World(const Input& input, uint64_t reply_room)
      : pool(kPoolBytes),
        table(kTableBytes),
        payload(input.payload),
        reply(reply_room),
        peers(input.memory_seed + 2) {
    fill_memory(input.memory_seed, bytes(pool));
    fill_memory(input.memory_seed + 1, bytes(table));
    regions[kPoolRegion] = {bytes(pool).data(), kPoolBytes, Permission::kReadWriteAtomic};
    regions[kTableRegion] = {bytes(table).data(), kTableBytes, Permission::kRead};
  }
  World(const World&) = delete;  // the region table points into it
  World& operator=(const World&) = delete;

  struct alignas(64) Line {  // regions begin on 64-byte lines
    std::array<std::byte, 64> bytes;
  };
  struct Lines : std::vector<Line> {
    explicit Lines(uint64_t size) : std::vector<Line>(size / 64) {}
  };
  static std::span<std::byte> bytes(Lines& lines) {
    return {reinterpret_cast<std::byte*>(lines.data()), lines.size() * 64};
  }

  Lines pool;
  Lines table;
  std::vector<std::byte> payload;
  std::vector<std::byte> reply;
  FakePeers peers;
  RegionTable regions{};
};

}  // namespace tiara::nic::fuzz
