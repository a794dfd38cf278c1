#include "nic/transport/tcp_stream.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace tiara::nic {
namespace {

// What is sealed and sent at once: a few records, so that a message of many pages takes few system calls.
constexpr size_t kSealAtOnce = 4 * tls::kMaxPlain;
// What is fetched at once: as many, and the start of another.
constexpr size_t kReceiveBytes = 5 * tls::kMaxRecord;

// Shared memory: it plays the link, and is not the program's anonymous memory.
Result<os::Mapping> buffer_of(size_t size) {
  const Bytes whole{round_up(size, kPageSize)};
  TIARA_TRY(const UniqueFd fd, os::create_memfd("tiara-tls", whole));
  TIARA_TRY(os::Mapping memory, os::Mapping::shared(fd, whole));
  os::raw_madvise(memory.data(), memory.size(), MADV_DONTFORK);
  return memory;
}

}  // namespace

Result<TcpStream> TcpStream::open(const os::TcpAddress& address, std::shared_ptr<const tls::Identity> identity,
                                  os::Nanoseconds slice) {
  TcpStream stream;
  TIARA_TRY(stream.socket_, os::open_tcp(address, slice));
  stream.identity_ = std::move(identity);
  if (!stream.is_secured()) return stream;
  TIARA_TRY(stream.received_.memory, buffer_of(kReceiveBytes));
  TIARA_TRY(stream.sealed_.memory, buffer_of(tls::sealed_bytes(kSealAtOnce)));
  return stream;
}

TcpStream TcpStream::over(UniqueFd socket) noexcept {
  TcpStream stream;
  stream.socket_ = std::move(socket);
  return stream;
}

int TcpStream::connect(const os::TcpAddress& address, os::Nanoseconds timeout) noexcept {
  const os::Nanoseconds deadline = os::monotonic_now() + timeout;
  const int error = os::connect_tcp(socket_, address, timeout);
  return error != 0 || !is_secured() ? error : secure(deadline);
}

void TcpStream::disconnect() noexcept {
  os::disconnect_tcp(socket_);
  received_.clear();
  sealed_.clear();
  plain_ = {};
  sealed_plain_ = 0;
}

// --- TLS ---

// A new connection has room for a flight of a handshake.
bool TcpStream::flush_handshake(tls::Handshake& handshake) noexcept {
  std::array<std::byte, 4096> bytes;
  for (size_t count = handshake.take_output(bytes); count != 0; count = handshake.take_output(bytes))
    if (os::send_some(socket_, std::span(bytes).first(count)) != static_cast<long>(count)) return false;
  return true;
}

int TcpStream::secure(os::Nanoseconds deadline) noexcept {
  tls::Handshake handshake;
  if (!handshake.begin(*identity_)) {
    why_ = "there is no memory for it, or the process was forked during a handshake";
    return kNotSecure;
  }
  std::array<std::byte, 4096> bytes;
  size_t received = 0;
  for (;;) {
    const auto step = handshake.advance(std::span(bytes).first(received));
    // Also an alert that tells the node why not.
    const bool is_sent = flush_handshake(handshake);
    if (step == tls::Handshake::Step::kFailed) {
      why_ = handshake.why();
      return kNotSecure;
    }
    if (step == tls::Handshake::Step::kDone && is_sent) break;
    const long got = is_sent ? os::receive_some(socket_, bytes, os::Wait::kYes) : -1;
    if (got < 0) {
      why_ = "it hung up during the handshake";
      return kNotSecure;
    }
    if (got == 0 && os::monotonic_now() >= deadline) return ETIMEDOUT;
    received = static_cast<size_t>(got);
  }
  if (!handshake.take_keys(records_)) {
    why_ = handshake.why();
    return kNotSecure;
  }
  received_.clear();
  received_.end = handshake.take_rest(received_.room());
  return 0;
}

void TcpStream::give_plain(std::span<std::byte>& room) noexcept {
  const size_t count = std::min(room.size(), plain_.size());
  std::memcpy(room.data(), plain_.data(), count);
  room = room.subspan(count);
  plain_ = plain_.subspan(count);
}

// Opens what has come into the room while there is any. False: the connection is broken.
bool TcpStream::open_records(std::span<std::byte>& room) noexcept {
  if (!plain_.empty()) give_plain(room);
  while (!room.empty()) {
    size_t used = 0;
    switch (records_.opener.open(received_.used(), used, plain_)) {
      case tls::Opener::Opened::kData: give_plain(room); break;
      case tls::Opener::Opened::kNothing: plain_ = {}; break;
      case tls::Opener::Opened::kIncomplete: return true;
      case tls::Opener::Opened::kBroken: return false;
    }
    received_.begin += used;
  }
  return true;
}

long TcpStream::receive_some(std::span<std::byte> room, os::Wait wait) noexcept {
  if (!is_secured()) return os::receive_some(socket_, room, wait);
  const size_t wanted = room.size();
  for (;;) {
    if (!open_records(room)) return -1;
    if (room.size() != wanted) return static_cast<long>(wanted - room.size());
    // Everything that came was opened and taken, but for the start of a record.
    const auto rest = received_.used();
    std::memmove(received_.memory.data(), rest.data(), rest.size());
    received_.begin = 0;
    received_.end = rest.size();
    const long got = os::receive_some(socket_, received_.room(), wait);
    if (got <= 0) return got;
    received_.end += static_cast<size_t>(got);
  }
}

long TcpStream::send_some(std::span<const std::byte> bytes) noexcept {
  if (!is_secured()) return os::send_some(socket_, bytes);
  if (sealed_plain_ == 0) {
    sealed_plain_ = std::min(bytes.size(), kSealAtOnce);
    sealed_.begin = 0;
    sealed_.end = records_.sealer.seal(bytes.first(sealed_plain_), sealed_.memory.span());
    if (sealed_.end == 0) return -1;
  }
  const long sent = os::send_some(socket_, sealed_.used());
  if (sent < 0) return -1;
  sealed_.begin += static_cast<size_t>(sent);
  if (sealed_.begin != sealed_.end) return 0;
  return static_cast<long>(std::exchange(sealed_plain_, 0));
}

}  // namespace tiara::nic
