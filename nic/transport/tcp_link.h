// The three connections of a TCP session (nic/wire/handshake.h): how they are made, and made again.
//
// The sockets keep their descriptors for the whole life of the channel: connecting again disconnects and connects the
// same socket. Nothing here allocates after open().
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nic/transport/session_handshake.h"
#include "nic/transport/tcp_stream.h"
#include "nic/wire/handshake.h"
#include "nic/wire/shm_layout.h"
#include "runtime/base/error.h"
#include "runtime/os/clock.h"
#include "runtime/os/tcp.h"
#include "runtime/os/unique_fd.h"

namespace tiara::nic {

class TcpLink {
 public:
  // A read that waits looks up this often, to see whether it should go on.
  static constexpr os::Nanoseconds kSlice{50'000'000};

  // Connects and opens a session. `address` is what parse_target() takes (tcp_target.h). Control path.
  static Result<TcpLink> open(std::string_view address, std::string_view token, uint32_t slots,
                              os::Nanoseconds timeout);

  const wire::HandshakeReply& welcome() const noexcept { return welcome_; }
  const std::string& url() const noexcept { return url_; }
  TcpStream& control() noexcept { return control_; }
  TcpStream& lane(wire::Lane lane) noexcept { return lanes_[static_cast<uint32_t>(lane)]; }

  // Ends the connections; whoever waits in one returns. Any thread.
  void shut_down() noexcept;
  std::vector<int> descriptors() const;

  // Tries once to connect again and to take the session up, within `timeout`. Nobody may be using the connections.
  // kNever: the session is gone for the reason that is stored in `reason`.
  Resumed resume(os::Nanoseconds timeout, LossReason& reason) noexcept;

 private:
  TcpLink() = default;
  enum class Shaken : uint8_t { kAnswered, kUnreachable, kRefused, kNonsense, kNotSecure };
  Shaken shake_hands(TcpStream& stream, const wire::Handshake& question, wire::HandshakeReply& reply,
                     os::Nanoseconds deadline) noexcept;
  Error explain(Shaken shaken, const wire::HandshakeReply& reply) const;
  Shaken attach_lanes(os::Nanoseconds deadline, wire::HandshakeReply& reply) noexcept;

  std::string url_;
  os::TcpAddress address_;
  TcpStream control_;
  std::array<TcpStream, wire::kLanes> lanes_;
  wire::HandshakeReply welcome_;
  int last_error_ = 0;
  const char* insecure_because_ = "";
};

}  // namespace tiara::nic
