#include "nic/transport/tcp_lane.h"

#include <cstring>
#include <sys/mman.h>

namespace tiara::nic {
namespace {

// The largest answer, and what a few small ones behind it take: one read fetches many.
constexpr size_t kBufferBytes = 512 * 1024;
static_assert(kBufferBytes >= wire::message_bytes(kMaxReplyBytes));

}  // namespace

Result<void> TcpLane::set_up() {
  // Shared memory: it plays the link, and is not the program's anonymous memory.
  constexpr Bytes kSize{kBufferBytes + kGatherBytes};
  TIARA_TRY(const UniqueFd fd, os::create_memfd("tiara-tcp", kSize));
  TIARA_TRY(buffer_, os::Mapping::shared(fd, kSize));
  os::raw_madvise(buffer_.data(), buffer_.size(), MADV_DONTFORK);
  return {};
}

TcpLane::Received TcpLane::receive(TcpStream& stream, Receiver& receiver, os::Wait wait) noexcept {
  const long got = stream.receive_some(received().subspan(fill_), wait);
  if (got <= 0) return got == 0 ? Received::kNothing : Received::kBroken;
  fill_ += static_cast<size_t>(got);
  std::span<const std::byte> rest = received().first(fill_);
  while (rest.size() >= wire::kFrameBytes) {
    wire::ReplyFrame frame;
    if (wire::decode(rest.first<wire::kFrameBytes>(), frame) != wire::DecodeStatus::kOk) return Received::kBroken;
    const size_t length = wire::message_bytes(frame.outcome.reply_bytes);
    if (rest.size() < length) break;
    const std::byte* const bytes = rest.data() + wire::kFrameBytes;
    if (!wire::is_intact(bytes, frame.outcome.reply_bytes)) return Received::kBroken;
    if (!receiver.deliver(frame, {bytes, frame.outcome.reply_bytes})) return Received::kBroken;
    rest = rest.subspan(length);
  }
  std::memmove(buffer_.data(), rest.data(), rest.size());
  fill_ = rest.size();
  return Received::kSome;
}

}  // namespace tiara::nic
