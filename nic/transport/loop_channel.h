// The transport without a link: the node is an object in this process and an operator runs in the thread that calls.
#pragma once

#include <array>
#include <memory>

#include "nic/node/memory_node.h"
#include "nic/transport/channel.h"
#include "nic/transport/slot_pool.h"
#include "nic/wire/frame.h"
#include "runtime/os/memory.h"

namespace tiara::nic {

class LoopChannel final : public Channel {
 public:
  static Result<std::unique_ptr<LoopChannel>> create(std::shared_ptr<MemoryNode> node, std::string_view token);
  ~LoopChannel() override;

  Reply call(const Request& request, std::span<std::byte> reply_room) noexcept override;
  // Runs the operator before it returns; the ticket keeps the answer.
  Ticket post(const Request& request, std::span<std::byte> reply_room) noexcept override;
  bool is_done(Ticket ticket) noexcept override;
  Reply collect(Ticket ticket) noexcept override;
  bool is_lost() const noexcept override { return false; }

  Result<NodeInfo> info() override { return session_->info(); }
  Result<AddressSpaceId> create_space(uint64_t max_pages) override { return session_->create_space(max_pages); }
  Result<void> destroy_space(AddressSpaceId space) override { return session_->destroy_space(space); }
  Result<ClonedSpace> clone_space(AddressSpaceId space, CloneKind kind) override {
    return session_->clone_space(space, kind);
  }
  Result<void> adopt_space(const ClonedSpace& clone) override { return session_->adopt_space(clone); }
  Result<void> allocate_data(AddressSpaceId space, Bytes size) override { return session_->allocate_data(space, size); }
  Result<OperatorId> register_operator(std::span<const std::byte> container) override {
    return session_->register_operator(container);
  }
  std::vector<int> descriptors() const override { return {}; }

 private:
  // Answers kept for collect(), and places to make a scattered payload contiguous.
  static constexpr uint32_t kSlots = wire::kDefaultSlots;

  LoopChannel(std::shared_ptr<MemoryNode> node, std::unique_ptr<Session> session, os::Mapping bounce) noexcept;
  Outcome invoke(const Request& request, std::span<std::byte> reply_room) noexcept;

  std::shared_ptr<MemoryNode> node_;  // outlives the session
  std::unique_ptr<Session> session_;
  os::Mapping bounce_;  // kSlots areas of kMaxPayloadBytes; sparse
  SlotPool tickets_{kSlots};
  SlotPool bounces_{kSlots};
  std::array<Outcome, kSlots> answers_{};
};

}  // namespace tiara::nic
