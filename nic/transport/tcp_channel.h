// The client's end of the TCP transport: a session (session_channel.h) over three connections (tcp_link.h), one for
// each lane and one for control; nic/wire/handshake.h has what travels.
#pragma once

#include <array>
#include <memory>

#include "nic/transport/connect.h"
#include "nic/transport/session_channel.h"
#include "nic/transport/tcp_lane.h"
#include "nic/transport/tcp_link.h"
#include "runtime/os/memory.h"

namespace tiara::nic {

class TcpChannel final : public SessionChannel, private TcpLane::Receiver {
 public:
  static Result<std::unique_ptr<TcpChannel>> connect(std::string_view host_port, const ConnectOptions& options);
  ~TcpChannel() override;

  std::vector<int> descriptors() const override { return link_.descriptors(); }

 private:
  TcpChannel(TcpLink link, os::Nanoseconds timeout) noexcept;
  Result<void> set_up();

  std::byte* area(uint32_t index) const noexcept;
  wire::Lane lane_of(const Line& line) noexcept;
  bool send(Line& line, std::span<const std::byte> bytes, uint32_t link_word, os::Nanoseconds deadline) noexcept;
  bool deliver(const wire::ReplyFrame& frame, std::span<const std::byte> bytes) noexcept override;
  Result<void> receive_answer(std::span<std::byte> bytes, os::Nanoseconds deadline);

  std::optional<Refusal> write_message(uint32_t index, const Request& request,
                                       std::span<std::byte> reply_room) noexcept override;
  bool send_messages(Line& line, std::span<const uint32_t> indices, os::Nanoseconds deadline) noexcept override;
  bool look(Line& line, os::Wait wait, uint32_t link_word) noexcept override;
  const std::string& url() const noexcept override { return link_.url(); }
  void disturb() noexcept override { link_.shut_down(); }
  bool wait_for_break() noexcept override;
  Resumed resume(LossReason& reason) noexcept override;
  void forget_connection() noexcept override;
  Result<Answer> exchange(const wire::Body& question, uint64_t id, uint32_t link_word,
                          os::Nanoseconds deadline) override;
  void say_farewell(std::span<const std::byte> message, uint32_t link_word) noexcept override;

  TcpLink link_;
  os::Mapping areas_;
  std::array<TcpLane, wire::kLanes> lanes_;
};

}  // namespace tiara::nic
