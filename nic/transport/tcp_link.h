// The three connections of a TCP session (nic/wire/handshake.h): how they are made, and made again.
//
// The sockets keep their descriptors for the whole life of the channel: connecting again disconnects and connects the
// same socket. Nothing here allocates after open().
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "nic/wire/handshake.h"
#include "nic/wire/shm_layout.h"
#include "runtime/base/error.h"
#include "runtime/os/clock.h"
#include "runtime/os/tcp.h"
#include "runtime/os/unique_fd.h"

namespace tiara::nic {

// Why a node is lost, for people; a string that lives for ever.
using LossReason = const char*;

class TcpLink {
 public:
  // A read that waits looks up this often, to see whether it should go on.
  static constexpr os::Nanoseconds kSlice{50'000'000};

  // Connects and opens a session. Control path.
  static Result<TcpLink> open(std::string_view host_port, std::string_view token, uint32_t slots,
                              os::Nanoseconds timeout);

  const wire::HandshakeReply& welcome() const noexcept { return welcome_; }
  const std::string& url() const noexcept { return url_; }
  const UniqueFd& control() const noexcept { return control_; }
  const UniqueFd& lane(wire::Lane lane) const noexcept { return lanes_[static_cast<uint32_t>(lane)]; }

  // Ends the connections; whoever waits in one returns. Any thread.
  void shut_down() noexcept;

  enum class Resumed : uint8_t { kUp, kNotYet, kNever };
  // Tries once to connect again and to take the session up, within `timeout`. Nobody may be using the connections.
  // kNever: the session is gone for the reason that is stored in `reason`.
  Resumed resume(os::Nanoseconds timeout, LossReason& reason) noexcept;

 private:
  TcpLink() = default;
  enum class Shaken : uint8_t { kAnswered, kUnreachable, kRefused, kNonsense };
  Shaken shake_hands(const UniqueFd& socket, const wire::Handshake& question, wire::HandshakeReply& reply,
                     os::Nanoseconds deadline) noexcept;
  Shaken attach_lanes(os::Nanoseconds deadline, wire::HandshakeReply& reply) noexcept;

  std::string url_;
  os::TcpAddress address_;
  UniqueFd control_;
  std::array<UniqueFd, wire::kLanes> lanes_;
  wire::HandshakeReply welcome_;
  int last_error_ = 0;
};

}  // namespace tiara::nic
