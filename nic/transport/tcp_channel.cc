#include "nic/transport/tcp_channel.h"

#include <algorithm>
#include <cstring>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nic/node/lease.h"

namespace tiara::nic {

using os::Nanoseconds;
using wire::Lane;

namespace {

// A slot's message: frame, payload, hash; whole pages, and untouched ones cost nothing.
constexpr uint64_t kAreaBytes = round_up(wire::message_bytes(kMaxPayloadBytes), kPageSize);
// One attempt, so that a packet lost in a partition does not hold up the attempt after it for long.
constexpr Nanoseconds kAttempt{2'000'000'000};

}  // namespace

TcpChannel::TcpChannel(TcpLink link, Nanoseconds timeout) noexcept
    : SessionChannel(link.welcome(), timeout, Lines::kOneForEachLane, Leading::kSpins), link_(std::move(link)) {}

Result<std::unique_ptr<TcpChannel>> TcpChannel::connect(std::string_view host_port, const ConnectOptions& options) {
  TIARA_TRY(TcpLink link, TcpLink::open(host_port, options.token, options.slots, options.node_timeout));
  std::unique_ptr<TcpChannel> channel(new TcpChannel(std::move(link), options.node_timeout));
  TIARA_TRY_VOID(channel->set_up());
  return channel;
}

Result<void> TcpChannel::set_up() {
  // Shared memory: it plays the link, and is not the program's anonymous memory.
  const Bytes size{slot_count() * kAreaBytes};
  TIARA_TRY(const UniqueFd fd, os::create_memfd("tiara-tcp", size));
  TIARA_TRY(areas_, os::Mapping::shared(fd, size));
  os::raw_madvise(areas_.data(), areas_.size(), MADV_DONTFORK);
  for (TcpLane& lane : lanes_) TIARA_TRY_VOID(lane.set_up());
  return start();
}

TcpChannel::~TcpChannel() { stop(); }

// --- data path ---

std::byte* TcpChannel::area(uint32_t index) const noexcept { return areas_.data() + index * kAreaBytes; }

Lane TcpChannel::lane_of(const Line& line) noexcept {
  return &line == &line_of(Lane::kCall) ? Lane::kCall : Lane::kPosted;
}

std::optional<Refusal> TcpChannel::write_message(uint32_t index, const Request& request,
                                                 std::span<std::byte> reply_room) noexcept {
  return write_frame(slot(index), request, reply_room, area(index));
}

// Small messages go together.
bool TcpChannel::send_messages(Line& line, std::span<const uint32_t> indices, Nanoseconds deadline) noexcept {
  const uint32_t word = link_word();
  const std::span<std::byte> room = lanes_[static_cast<uint32_t>(lane_of(line))].gather_room();
  size_t gathered = 0;
  for (const uint32_t index : indices) {
    const std::span<const std::byte> message(area(index), slot(index).message_bytes);
    const bool is_alone = indices.size() == 1 || message.size() > room.size();
    if (is_alone || message.size() > room.size() - gathered) {
      if (!send(line, room.first(gathered), word, deadline)) return false;
      gathered = 0;
    }
    if (is_alone) {
      if (!send(line, message, word, deadline)) return false;
    } else {
      std::memcpy(room.data() + gathered, message.data(), message.size());
      gathered += message.size();
    }
  }
  return send(line, room.first(gathered), word, deadline);
}

// A node whose answers nobody reads stops reading, so whoever waits to send also receives.
bool TcpChannel::send(Line& line, std::span<const std::byte> bytes, uint32_t word, Nanoseconds deadline) noexcept {
  TcpStream& stream = link_.lane(lane_of(line));
  while (!bytes.empty()) {
    const long sent = stream.send_some(bytes);
    if (sent < 0 || os::monotonic_now() >= deadline || is_lost()) return false;
    bytes = bytes.subspan(static_cast<size_t>(sent));
    if (sent != 0) continue;
    if (line.lead_lock.try_acquire()) {
      os::poll_socket(stream.socket(), os::PollFor::kRoomOrBytes, TcpLink::kSlice);
      const bool is_whole = look_once(line, os::Wait::kNo, word);
      stop_leading(line);
      if (!is_whole) return false;
    } else {
      os::poll_socket(stream.socket(), os::PollFor::kRoom, TcpLink::kSlice);
    }
  }
  return true;
}

bool TcpChannel::look(Line& line, os::Wait wait, uint32_t) noexcept {
  const Lane lane = lane_of(line);
  return lanes_[static_cast<uint32_t>(lane)].receive(link_.lane(lane), *this, wait) != TcpLane::Received::kBroken;
}

bool TcpChannel::deliver(const wire::ReplyFrame& frame, std::span<const std::byte> bytes) noexcept {
  return fill(slot_of_request(frame.request_id), frame.request_id, frame.outcome, bytes.data());
}

// --- the link ---

bool TcpChannel::wait_for_break() noexcept {
  std::array<pollfd, 3> connections{{{link_.control().socket().get(), POLLRDHUP, 0},
                                     {link_.lane(Lane::kCall).socket().get(), POLLRDHUP, 0},
                                     {link_.lane(Lane::kPosted).socket().get(), POLLRDHUP, 0}}};
  while (!is_stopping() && !is_lost())
    if (syscall(SYS_ppoll, connections.data(), connections.size(), nullptr, nullptr, 0) > 0) return true;
  return false;
}

Resumed TcpChannel::resume(LossReason& reason) noexcept { return link_.resume(kAttempt, reason); }

void TcpChannel::forget_connection() noexcept {
  for (TcpLane& lane : lanes_) lane.forget_received();
}

// --- control path ---

Result<void> TcpChannel::receive_answer(std::span<std::byte> bytes, Nanoseconds deadline) {
  while (!bytes.empty()) {
    const long got = link_.control().receive_some(bytes, os::Wait::kYes);
    if (got < 0) return fail(ErrorCode::kUnavailable, "the connection ended");
    bytes = bytes.subspan(static_cast<size_t>(got));
    if (got == 0 && os::monotonic_now() >= deadline) return fail(ErrorCode::kTimedOut, "no answer in time");
  }
  return {};
}

Result<TcpChannel::Answer> TcpChannel::exchange(const wire::Body& question, uint64_t id, uint32_t,
                                                Nanoseconds deadline) {
  std::span<const std::byte> unsent(question);
  while (!unsent.empty()) {
    const long sent = link_.control().send_some(unsent);
    if (sent < 0) return fail(ErrorCode::kUnavailable, "the connection ended");
    unsent = unsent.subspan(static_cast<size_t>(sent));
    if (unsent.empty()) break;
    if (os::monotonic_now() >= deadline) return fail(ErrorCode::kTimedOut, "no answer in time");
    os::poll_socket(link_.control().socket(), os::PollFor::kRoom, TcpLink::kSlice);
  }
  std::array<std::byte, wire::kControlHeaderBytes> bytes;
  TIARA_TRY_VOID(receive_answer(bytes, deadline));
  TIARA_TRY(const wire::ControlHeader reply, wire::decode_control_header(bytes));
  wire::Body body(reply.body_bytes);
  TIARA_TRY_VOID(receive_answer(body, deadline));
  TIARA_TRY_VOID(wire::check_body(reply, body));
  if (reply.kind != wire::FrameKind::kControlReply || reply.request_id != id)
    return fail(ErrorCode::kInvalidInput, "an answer to another question");
  return Answer{reply, std::move(body)};
}

// Its answer is not waited for: the kernel sends what it has taken also when the process has ended.
void TcpChannel::say_farewell(std::span<const std::byte> message, uint32_t) noexcept {
  (void)link_.control().send_some(message);
}

}  // namespace tiara::nic
