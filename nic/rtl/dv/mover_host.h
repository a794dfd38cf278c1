// The Verilated mover with memory on both sides: reads answered after a latency in any order, writes taken or not. It
// watches: a read outside the command's source, a slot used twice, a write out of place ends the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "nic/rtl/dv/core_host.h"

class Vtiara_mover;

namespace tiara::nic::rtl {

class MoverHost {
 public:
  static constexpr uint32_t kLineBytes = 64;

  // Addresses are offsets in `source` and `destination`, which are a multiple of a line long and may be the same.
  MoverHost(const HostTiming& timing, std::span<const std::byte> source, std::span<std::byte> destination);
  ~MoverHost();
  MoverHost(const MoverHost&) = delete;
  MoverHost& operator=(const MoverHost&) = delete;

  struct Command {
    uint64_t from, to, length;
    uint8_t id;
  };
  void submit(const Command& command) { commands_.push_back(command); }
  void tick();
  uint64_t cycles() const { return cycle_; }
  uint64_t done() const { return done_; }            // commands whose last write was taken
  uint64_t writes() const { return writes_; }
  uint64_t last_done_at() const { return last_done_at_; }

 private:
  struct Line {
    uint64_t due;
    uint32_t tag;
    uint64_t address;
  };
  void take_write();

  std::unique_ptr<Vtiara_mover> mover_;
  HostTiming timing_;
  std::mt19937_64 random_;
  std::span<const std::byte> source_;
  std::span<std::byte> destination_;
  std::deque<Command> commands_;   // not taken yet
  std::deque<Command> taken_;      // and not done
  std::vector<Line> lines_;
  std::vector<bool> is_slot_used_;
  uint64_t cycle_ = 0, done_ = 0, writes_ = 0, last_done_at_ = 0;
};

}  // namespace tiara::nic::rtl
