// What the network itself costs: io_uring and nothing else on both sides, in a process of its own. An echo answers each
// question of `ask` bytes with `answer` bytes; a stream sends as fast as it is taken.
#pragma once

#include <cstdint>
#include <memory>

#include "apps/common/latency.h"
#include "runtime/base/error.h"
#include "runtime/os/clock.h"
#include "runtime/os/spin.h"
#include "runtime/os/stream_loop.h"
#include "runtime/os/tcp.h"
#include "runtime/os/unique_fd.h"

namespace tiara::apps::node {

// Served by a forked child; fork before there are threads.
class BareServer {
 public:
  static Result<std::unique_ptr<BareServer>> start(uint32_t ask, uint32_t answer);
  ~BareServer();

  const os::TcpAddress& echo_address() const { return echo_; }
  const os::TcpAddress& stream_address() const { return stream_; }

 private:
  os::TcpAddress echo_, stream_;
  int pid_ = -1;
};

// A connection to one of the two.
class BareClient {
 public:
  static Result<std::unique_ptr<BareClient>> connect(const os::TcpAddress& address);
  // Asks `count` times, one at a time. False: the connection ended.
  bool echo(uint32_t ask, uint32_t answer, uint64_t count, LatencyHistogram& latency);
  // Bytes taken from the stream in `time`.
  uint64_t stream(os::Nanoseconds time);

 private:
  class Taker;
  std::unique_ptr<os::StreamLoop> loop_;
  os::AdaptiveSpin spin_;
};

}  // namespace tiara::apps::node
