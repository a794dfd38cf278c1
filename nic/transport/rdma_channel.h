// The client's end of the RDMA transport: a session (session_channel.h) over one reliable connection (rdma_link.h);
// nic/wire/rdma_layout.h says what travels.
//
// A message is written into its slot's area of the slab and posted as one SEND; several are posted as one list. The
// node's one WRITE puts the answer into the slot's reply area; its immediate names the slot. A leader sleeps on the
// completion channel, never on a spinning queue. One SEND in eight asks for a completion.
//
// A one-sided read (kOneSidedRead) of a node that was started for baselines is an RDMA READ, of which the node's
// software sees nothing.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "nic/transport/connect.h"
#include "nic/transport/rdma_link.h"
#include "nic/transport/session_channel.h"

namespace tiara::nic {

class RdmaChannel final : public SessionChannel {
 public:
  static Result<std::unique_ptr<RdmaChannel>> connect(std::string_view host_port, const ConnectOptions& options);
  ~RdmaChannel() override;

  std::vector<int> descriptors() const override { return link_->descriptors(); }

  // Work requests and completions so far. Not while the link is being made again.
  verbs::WorkCounts counts() const noexcept { return link_->counts(); }

 private:
  struct OneSided {
    bool is_read = false;
    uint64_t pool_offset = 0;
  };

  RdmaChannel(std::unique_ptr<RdmaLink> link, os::Nanoseconds timeout) noexcept;

  Line& line() noexcept { return line_of(wire::Lane::kCall); }
  bool is_one_sided(const Request& request, size_t room) const noexcept;
  verbs::Send send_of(uint32_t index) noexcept;
  verbs::Send number(verbs::Send send) noexcept;
  bool has_room(size_t count, uint32_t link_word, os::Nanoseconds deadline) noexcept;
  bool handle(std::span<const verbs::Completion> completions) noexcept;
  bool deliver(uint32_t index) noexcept;
  bool deliver_read(uint32_t index) noexcept;
  bool send_question(std::span<const std::byte> question, uint32_t link_word, os::Nanoseconds deadline) noexcept;
  bool await_control(uint32_t link_word, os::Nanoseconds deadline) noexcept;

  std::optional<Refusal> write_message(uint32_t index, const Request& request,
                                       std::span<std::byte> reply_room) noexcept override;
  bool send_messages(Line& line, std::span<const uint32_t> indices, os::Nanoseconds deadline) noexcept override;
  bool look(Line& line, os::Wait wait, uint32_t link_word) noexcept override;
  const std::string& url() const noexcept override { return link_->url(); }
  void disturb() noexcept override { link_->wake(); }
  bool wait_for_break() noexcept override { return link_->wait_for_break() == RdmaLink::Woken::kHungUp; }
  void break_off() noexcept override { link_->break_off(); }
  Resumed resume(LossReason& reason) noexcept override;
  void forget_connection() noexcept override;
  Result<Answer> exchange(const wire::Body& question, uint64_t id, uint32_t link_word,
                          os::Nanoseconds deadline) override;
  void say_farewell(std::span<const std::byte> message, uint32_t link_word) noexcept override;

  std::unique_ptr<RdmaLink> link_;
  std::array<OneSided, wire::kMaxSlots> one_sided_{};
  uint64_t posted_ = 0;                  // sends of this connection; under the send lock
  std::atomic<uint64_t> completed_{0};   // of them, known to be done
  std::atomic<uint32_t> has_answer_{0};  // to a question; a futex
};

}  // namespace tiara::nic
