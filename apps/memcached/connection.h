// One connection to memcached: requests out, replies in, in order. No I/O here: bytes in, bytes
// out, so that the protocol can be tested without a server. Source: memcached's doc/protocol.txt
// (1.6).
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "apps/memcached/workload.h"

namespace tiara::apps::memcached {

enum class RequestKind : uint8_t { kGet, kSet };

struct PendingRequest {
  RequestKind kind;
  uint64_t key;
  uint32_t version;  // of a SET: what is stored; of a GET: the oldest version that may come back
  uint64_t sent_ns;
};

enum class Answer : uint8_t {
  kStored,
  kHit,
  kMiss,
  kRefused,  // the server said no to a SET ("SERVER_ERROR out of memory"): `text` is its line
};

struct Completion {
  PendingRequest request;
  Answer answer;
  std::span<const char> value;  // of a hit; valid until the next call
  std::string text;
};

class Connection {
 public:
  Connection(Protocol protocol, uint32_t value_size);

  void send_get(uint64_t key, uint32_t oldest_version, uint64_t now_ns);
  void send_set(uint64_t key, uint32_t version, uint64_t now_ns);
  size_t outstanding() const { return pending_.size(); }

  // --- bytes to write ---
  std::span<const char> output() const {
    return {output_.data() + written_, output_.size() - written_};
  }
  void wrote(size_t bytes);

  // --- bytes that were read: read into input_room(), then received(n), then next() until it says
  // no more ---
  std::span<char> input_room();
  void received(size_t bytes) { input_end_ += bytes; }
  enum class Parse { kCompletion, kNeedMore, kProtocolError };
  // kProtocolError: the server sent what the protocol does not allow; `error()` has the line. Use
  // no further.
  Parse next(Completion& completion);
  const std::string& error() const { return error_; }

 private:
  Parse parse_set_reply(std::string_view line, Completion& completion);
  Parse parse_get_reply(std::string_view line, Completion& completion);
  Parse broken(std::string_view line);

  Protocol protocol_;
  uint32_t value_size_;
  std::deque<PendingRequest> pending_;
  std::string output_;
  size_t written_ = 0;
  std::vector<char> input_;
  size_t input_begin_ = 0, input_end_ = 0;
  std::string error_;
};

}  // namespace tiara::apps::memcached
