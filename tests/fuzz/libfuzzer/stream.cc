// libFuzzer: what a node (or somebody who says so) sends to a client on a lane. However the bytes are cut into pieces,
// the client delivers exactly the whole, intact messages, in order and with their bytes, and ends the connection at the
// first that is not one.
#include <algorithm>
#include <cstdlib>
#include <sys/socket.h>
#include <unistd.h>

#include "nic/transport/tcp_lane.h"
#include "tests/fuzz/libfuzzer/wire_stream.h"

namespace {

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::fuzz;

// An answer to nothing that was asked.
bool is_unasked(uint64_t request_id) { return (request_id & 0xff) == 0xff; }

void require(bool holds) {
  if (!holds) std::abort();
}

Stream write_stream(Input& input) {
  Stream stream;
  while (!input.is_empty() && stream.size() < 2 * wire::message_bytes(kMaxPayloadBytes)) {
    const size_t begin = stream.size();
    const uint8_t kind = input.byte() % 8;
    if (kind == 7) {
      append(stream, input.take(1 + input.byte() % 160));
      continue;
    }
    const auto payload = some_payload(input);
    wire::ReplyFrame frame;
    frame.request_id = input.number<uint16_t>();
    frame.outcome.status = static_cast<Status>(input.byte() % 3);
    frame.outcome.reply_bytes = payload.size();
    append_message(stream, frame, payload);
    if (kind == 4) damage(stream, begin, input);
    if (kind == 5) forge(stream, begin, input);
    if (kind == 6) stream.resize(begin + input.number<uint16_t>() % (stream.size() - begin));
  }
  return stream;
}

// What the client must deliver, and whether it must break the connection then.
std::vector<wire::ReplyFrame> expected_of(const Stream& stream, bool& is_broken) {
  std::vector<wire::ReplyFrame> expected;
  is_broken = read_all(stream, expected, [](const auto&) { return true; }) == End::kBroken;
  const auto unasked = std::ranges::find_if(expected, is_unasked, &wire::ReplyFrame::request_id);
  is_broken = is_broken || unasked != expected.end();
  expected.erase(unasked, expected.end());
  return expected;
}

struct Collector final : TcpLane::Receiver {
  bool deliver(const wire::ReplyFrame& frame, std::span<const std::byte> bytes) noexcept override {
    if (is_unasked(frame.request_id)) return false;
    require(bytes.size() == frame.outcome.reply_bytes);
    frames.push_back(frame);
    append_message(delivered, frame, bytes);
    return true;
  }
  std::vector<wire::ReplyFrame> frames;
  Stream delivered;
};

// Sends the stream in pieces through a pair of sockets; whether the client found it broken.
bool carry(const Stream& stream, size_t piece, Collector& collector) {
  static TcpLane& lane = [] -> TcpLane& {
    static TcpLane made;
    require(made.set_up().has_value());
    return made;
  }();
  lane.forget_received();
  int ends[2];
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
  const UniqueFd node(ends[0]);
  TcpStream client = TcpStream::over(UniqueFd(ends[1]));
  for (size_t at = 0;;) {
    const ssize_t sent = write(node.get(), stream.data() + at, std::min(piece, stream.size() - at));
    if (sent > 0) at += static_cast<size_t>(sent);
    const auto received = lane.receive(client, collector, os::Wait::kNo);
    if (received == TcpLane::Received::kBroken) return true;
    const bool has_come = received == TcpLane::Received::kSome;
    require(sent > 0 || has_come || at == stream.size());
    if (at == stream.size() && !has_come) return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t piece = 1 + data[0] * size_t{data[1]};  // 1 to 65,026 bytes at a time
  Input input(std::span(data, size).subspan(2));
  Stream stream = write_stream(input);
  stream.resize(std::min(stream.size(), piece * 256));  // bounds the work of small pieces
  bool must_break = false;
  const auto expected = expected_of(stream, must_break);
  Collector collector;
  require(carry(stream, piece, collector) == must_break);
  require(collector.frames == expected);
  require(std::ranges::equal(collector.delivered, std::span(stream).first(collector.delivered.size())));
  return 0;
}
