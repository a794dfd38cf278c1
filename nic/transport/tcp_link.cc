#include "nic/transport/tcp_link.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nic/transport/tcp_target.h"

namespace tiara::nic {

using os::Nanoseconds;

namespace {

Nanoseconds left_until(Nanoseconds deadline) noexcept {
  return std::max(deadline - os::monotonic_now(), Nanoseconds(1'000'000));
}

}  // namespace

TcpLink::Shaken TcpLink::shake_hands(TcpStream& stream, const wire::Handshake& question,
                                     wire::HandshakeReply& reply, Nanoseconds deadline) noexcept {
  last_error_ = stream.connect(address_, left_until(deadline));
  if (last_error_ == TcpStream::kNotSecure) {
    insecure_because_ = stream.insecure_because();
    return Shaken::kNotSecure;
  }
  if (last_error_ == ECONNREFUSED) return Shaken::kRefused;
  if (last_error_ != 0) return Shaken::kUnreachable;
  std::array<std::byte, wire::kHandshakeBytes> asked;
  wire::encode(question, asked);
  last_error_ = ECONNRESET;
  // A new connection has room for one handshake.
  if (stream.send_some(asked) != static_cast<long>(asked.size())) return Shaken::kUnreachable;
  std::array<std::byte, wire::kHandshakeReplyBytes> answer;
  size_t received = 0;
  while (received < answer.size()) {
    const long got = stream.receive_some(std::span(answer).subspan(received), os::Wait::kYes);
    if (got < 0) return Shaken::kUnreachable;
    received += static_cast<size_t>(got);
    if (got == 0 && os::monotonic_now() >= deadline) {
      last_error_ = ETIMEDOUT;
      return Shaken::kUnreachable;
    }
  }
  last_error_ = 0;
  return decode_answer(answer, reply) ? Shaken::kAnswered : Shaken::kNonsense;
}

TcpLink::Shaken TcpLink::attach_lanes(Nanoseconds deadline, wire::HandshakeReply& reply) noexcept {
  for (uint32_t lane = 0; lane < wire::kLanes; lane++) {
    wire::Handshake question;
    question.kind = wire::HandshakeKind::kAttach;
    question.lane = lane;
    question.instance = welcome_.instance;
    question.session = welcome_.session;
    question.secret = welcome_.secret;
    question.epoch = welcome_.epoch;
    const Shaken shaken = shake_hands(lanes_[lane], question, reply, deadline);
    if (shaken != Shaken::kAnswered || reply.status != wire::HandshakeStatus::kWelcome) return shaken;
  }
  return Shaken::kAnswered;
}

Error TcpLink::explain(Shaken shaken, const wire::HandshakeReply& reply) const {
  switch (shaken) {
    case Shaken::kRefused:
    case Shaken::kUnreachable: {
      Error error = system_error("connect", {}, last_error_);
      error.code = last_error_ == ETIMEDOUT ? ErrorCode::kTimedOut : ErrorCode::kUnavailable;
      error.message += "; start it with: tiara node --listen " + url_;
      return error;
    }
    case Shaken::kNotSecure:
      return {ErrorCode::kNoPermission, std::string("no TLS with it: ") + insecure_because_ +
                                            "; check ?tls= against the node's --tls-cert, and the name in the address"};
    case Shaken::kAnswered: return explain_refusal(reply);
    case Shaken::kNonsense: break;
  }
  return {ErrorCode::kInvalidInput, "what answers there is no memory node; check the address"};
}

Result<TcpLink> TcpLink::open(std::string_view address, std::string_view token, uint32_t slots, Nanoseconds timeout) {
  TcpLink link;
  TIARA_TRY(const TcpTarget target, parse_target(address));
  link.url_ = "tcp://" + target.host_port;
  TIARA_TRY(const wire::Handshake question, ask_to_open(slots, token));
  TIARA_TRY(link.address_, os::resolve_tcp(target.host_port));
  std::shared_ptr<const tls::Identity> identity;
  if (!target.authorities.empty()) {
    TIARA_TRY(identity, tls::Identity::of_client(target.authorities, target.name));
  }
  const Nanoseconds deadline = os::monotonic_now() + timeout;
  TIARA_TRY(link.control_, TcpStream::open(link.address_, identity, kSlice));
  for (TcpStream& lane : link.lanes_) {
    TIARA_TRY(lane, TcpStream::open(link.address_, identity, kSlice));
  }
  wire::HandshakeReply reply;
  Shaken shaken = link.shake_hands(link.control_, question, reply, deadline);
  if (shaken == Shaken::kAnswered && reply.status == wire::HandshakeStatus::kWelcome) {
    link.welcome_ = reply;
    shaken = link.attach_lanes(deadline, reply);
  }
  if (shaken == Shaken::kAnswered && reply.status == wire::HandshakeStatus::kWelcome) {
    // From now on a machine that is silent for as long as a call may wait counts as gone.
    os::bound_silence(link.control_.socket(), timeout);
    for (const TcpStream& lane : link.lanes_) os::bound_silence(lane.socket(), timeout);
    return link;
  }
  Error error = link.explain(shaken, reply);
  error.message = "cannot reach the memory node at " + link.url_ + ": " + error.message;
  return std::unexpected(std::move(error));
}

void TcpLink::shut_down() noexcept {
  os::shut_down(control_.socket());
  for (const TcpStream& lane : lanes_) os::shut_down(lane.socket());
}

std::vector<int> TcpLink::descriptors() const {
  std::vector<int> all{control_.socket().get()};
  for (const TcpStream& lane : lanes_) all.push_back(lane.socket().get());
  return all;
}

Resumed TcpLink::resume(Nanoseconds timeout, LossReason& reason) noexcept {
  const Nanoseconds deadline = os::monotonic_now() + timeout;
  control_.disconnect();
  for (TcpStream& lane : lanes_) lane.disconnect();
  wire::HandshakeReply reply;
  Shaken shaken = shake_hands(control_, ask_to_resume(welcome_), reply, deadline);
  if (shaken == Shaken::kAnswered) {
    const Resumed resumed = judge_resumption(welcome_, reply, reason);
    if (resumed != Resumed::kUp) return resumed;
    shaken = attach_lanes(deadline, reply);
  }
  switch (shaken) {
    case Shaken::kAnswered: return reply.status == wire::HandshakeStatus::kWelcome ? Resumed::kUp : Resumed::kNotYet;
    case Shaken::kRefused: reason = kNobodyThere; return Resumed::kNever;
    case Shaken::kUnreachable:
    case Shaken::kNotSecure:  // the handshake's bytes were corrupted, or somebody is in between: he was told nothing
    case Shaken::kNonsense: break;
  }
  return Resumed::kNotYet;
}

}  // namespace tiara::nic
