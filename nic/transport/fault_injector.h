// A channel that makes any other channel worse, on purpose and repeatably: delay, jitter, a slow node, corrupted bytes,
// a cut. And one that charges what an operator would have cost on a modelled device.
//
// What happens to request number n depends only on the plan's seed and n: one seed, one run (with one thread; with
// several, the numbers go to whoever comes first). Delays are added to what the wrapped channel takes by itself, the
// same to every kind of request, so that contestants of a benchmark travel over the same link. (Of a posted request
// the delay runs beside what the link itself takes: nobody watches for the moment of its answer.)
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "nic/transport/channel.h"
#include "nic/wire/shm_layout.h"
#include "runtime/base/error.h"
#include "runtime/os/clock.h"

namespace tiara::nic {

// Time on a device, from what the engine counted. Cycles of the hardware engine and the accesses that it waits for are
// those of nic/timing; an engine of another make has a time for each instruction instead.
struct DeviceModel {
  os::Nanoseconds access{};    // a dependent access of host memory by the NIC: load, store, line, atomic, page moved
  uint64_t cycle_ps = 0;       // one cycle of the hardware engine
  uint64_t step_ps = 0;        // one instruction
  uint64_t byte_ps = 0;        // one byte moved in bulk
  os::Nanoseconds time_of(const Counts& counts) const noexcept;
};

struct FaultPlan {
  uint64_t seed = 1;
  os::Nanoseconds one_way{};         // added before and after every request
  os::Nanoseconds jitter{};          // up to this much more, each way; makes answers overtake each other
  os::Nanoseconds stall{};           // how long a slow node pauses
  double stall_rate = 0;             // share of requests that meet such a pause
  double corrupt_rate = 0;           // share of replies with bytes of which one bit is flipped
  uint64_t cut_after = UINT64_MAX;   // requests that are answered before the connection is cut
  DeviceModel device;
};

// "one_way=5us,jitter=500ns,stall=10ms@0.01,corrupt=0.001,cut=1000,seed=7,access=750ns,cycle=5ns,step=40ns,byte=80ps":
// any of
// them, in any order. An error names the part that is malformed.
Result<FaultPlan> parse_fault_plan(std::string_view text);

class FaultInjector final : public Channel {
 public:
  FaultInjector(std::unique_ptr<Channel> inner, const FaultPlan& plan) noexcept;
  ~FaultInjector() override;

  Reply call(const Request& request, std::span<std::byte> reply_room) noexcept override;
  Ticket post(const Request& request, std::span<std::byte> reply_room) noexcept override;
  bool is_done(Ticket ticket) noexcept override;
  Reply collect(Ticket ticket) noexcept override;
  bool is_lost() const noexcept override;

  Result<NodeInfo> info() override;
  Result<AddressSpaceId> create_space(uint64_t max_pages) override;
  Result<void> destroy_space(AddressSpaceId space) override;
  Result<ClonedSpace> clone_space(AddressSpaceId space, CloneKind kind) override;
  Result<void> adopt_space(const ClonedSpace& clone) override;
  Result<void> allocate_data(AddressSpaceId space, Bytes size) override;
  Result<OperatorId> register_operator(std::span<const std::byte> container) override;
  void let_go() noexcept override { inner_->let_go(); }
  std::vector<int> descriptors() const override { return inner_->descriptors(); }

 private:
  // What fate holds for one request.
  struct Fate {
    bool is_cut = false;
    os::Nanoseconds there{};  // before the node sees it
    os::Nanoseconds back{};   // after the node has answered, device time left out
    bool is_corrupted = false;
    uint64_t corrupted_bit = 0;
  };
  // Of a posted request, by its ticket (every channel's tickets are slot numbers below kMaxSlots).
  struct Posted {
    Fate fate;
    os::Nanoseconds posted_at{};
    std::span<std::byte> reply_room;
  };

  Fate next_fate() noexcept;
  void corrupt(const Fate& fate, Reply& reply, std::span<std::byte> room) const noexcept;
  Result<void> check_connected() const;

  std::unique_ptr<Channel> inner_;
  const FaultPlan plan_;
  std::atomic<uint64_t> requests_{0};
  std::atomic<bool> is_cut_{false};
  std::array<Posted, wire::kMaxSlots> posted_{};
};

}  // namespace tiara::nic
