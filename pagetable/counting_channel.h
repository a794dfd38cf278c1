// A channel that counts round trips and passes everything on: benchmarks and tests state how many a
// walk took instead of claiming it.
#pragma once

#include <atomic>
#include <cstdint>

#include "nic/transport/channel.h"

namespace tiara::pagetable {

class CountingChannel final : public nic::Channel {
 public:
  explicit CountingChannel(nic::Channel& inner) noexcept
      : inner_(inner) {}  // `inner` must outlive this

  // Requests that were sent on the data path so far.
  uint64_t round_trips() const noexcept { return round_trips_.load(std::memory_order_relaxed); }

  nic::Reply call(const nic::Request& request, std::span<std::byte> reply_room) noexcept override {
    round_trips_.fetch_add(1, std::memory_order_relaxed);
    return inner_.call(request, reply_room);
  }
  nic::Ticket post(const nic::Request& request, std::span<std::byte> reply_room) noexcept override {
    const nic::Ticket ticket = inner_.post(request, reply_room);
    if (ticket.is_valid()) round_trips_.fetch_add(1, std::memory_order_relaxed);
    return ticket;
  }
  bool is_done(nic::Ticket ticket) noexcept override { return inner_.is_done(ticket); }
  nic::Reply collect(nic::Ticket ticket) noexcept override { return inner_.collect(ticket); }
  bool is_lost() const noexcept override { return inner_.is_lost(); }
  Result<nic::NodeInfo> info() override { return inner_.info(); }
  Result<nic::AddressSpaceId> create_space(uint64_t max_pages) override {
    return inner_.create_space(max_pages);
  }
  Result<void> destroy_space(nic::AddressSpaceId space) override {
    return inner_.destroy_space(space);
  }
  Result<nic::OperatorId> register_operator(std::span<const std::byte> container) override {
    return inner_.register_operator(container);
  }
  std::vector<int> descriptors() const override { return inner_.descriptors(); }

 private:
  nic::Channel& inner_;
  std::atomic<uint64_t> round_trips_{0};
};

}  // namespace tiara::pagetable
