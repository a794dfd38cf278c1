// A thread that runs operators for the lanes (connections) it has been given.
//
// Whole requests are served where they lie; what is incomplete is collected per lane. A call is served when its bytes
// come. Posted requests wait in their lane's inbox and are served a few at a time, between looks for calls: nobody
// waits for a write-back. Where lanes of several tenants meet, calls wait in the same way, and tenants take turns
// (fair_share.h). Replies of one round go out in one send; a lane whose client does not read them is not read
// either.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "nic/node/fair_share.h"
#include "nic/node/lease.h"
#include "nic/node/secured_stream.h"
#include "runtime/os/spin.h"
#include "runtime/os/stream_loop.h"
#include "runtime/os/thread.h"

namespace tiara::nic {

// What streams did on a node since it started. Relaxed: figures.
struct StreamCounters {
  std::atomic<uint64_t> malformed{0};   // connections ended for bytes that are no frames
  std::atomic<uint64_t> corrupted{0};   // connections ended for bytes that do not match their hash
  std::atomic<uint64_t> stragglers{0};  // requests of dead connections, dropped
  std::atomic<uint64_t> insecure{0};    // connections ended for a TLS handshake or record that was wrong
};

class TcpWorker final : private os::StreamLoop::Owner {
 public:
  static Result<std::unique_ptr<TcpWorker>> start(uint32_t number, os::IoBackend backend, StreamCounters& counters);
  // One without a thread of its own, for whoever calls step(): always the thread that created it.
  static Result<std::unique_ptr<TcpWorker>> create(os::IoBackend backend, StreamCounters& counters);
  ~TcpWorker() override;

  // Any thread. The worker closes the lane when it breaks.
  void add(std::shared_ptr<StreamSession> session, uint64_t epoch, wire::Lane lane, UniqueFd socket,
           std::unique_ptr<SecuredStream> secured = nullptr);
  uint32_t lane_count() const noexcept { return lane_count_.load(std::memory_order_relaxed); }
  os::IoBackend backend() const noexcept { return backend_; }
  // Does what there is to do now; how much that was.
  uint32_t step() noexcept;

 private:
  struct Newcomer {
    std::shared_ptr<StreamSession> session;
    uint64_t epoch;
    wire::Lane kind;
    UniqueFd socket;
    std::unique_ptr<SecuredStream> secured;
  };
  using Chunk = std::vector<std::byte>;  // replies on their way out; `size()` is the room
  struct Outgoing {
    Chunk chunk;
    size_t used = 0;
  };
  struct Lane {
    std::shared_ptr<StreamSession> session;
    uint64_t epoch = 0;
    wire::Lane kind = wire::Lane::kCall;
    std::unique_ptr<SecuredStream> secured;  // where there is TLS
    std::vector<std::byte> sealed;           // the front of `outgoing`, while it is sent over TLS
    std::vector<std::byte> inbox;  // an incomplete request, and what waits behind it
    size_t taken = 0;              // bytes of the inbox that are done with
    std::deque<Outgoing> outgoing;
    size_t outgoing_bytes = 0;
    bool is_sending = false;  // the front of `outgoing`
    bool is_paused = false;
    bool is_broken = false;
  };
  enum class Served : uint8_t { kOne, kIncomplete, kBroken };

  explicit TcpWorker(StreamCounters& counters) noexcept : counters_(counters) {}
  Result<void> make_loop(os::IoBackend backend);
  void run(os::IoBackend backend) noexcept;
  void received(uint64_t key, std::span<const std::byte> bytes) noexcept override;
  void sent(uint64_t key) noexcept override;
  void broke(uint64_t key) noexcept override;
  void removed(uint64_t key) noexcept override;
  void woken() noexcept override;

  void drop(uint64_t key, Lane& lane) noexcept;
  void take_in(uint64_t key, Lane& lane, std::span<const std::byte> bytes) noexcept;
  void serve_calls(uint64_t key, Lane& lane, std::span<const std::byte> bytes) noexcept;
  bool serve_waiting() noexcept;
  std::unordered_map<uint64_t, std::unique_ptr<Lane>>::iterator take_next_waiting() noexcept;
  void let_wait(uint64_t key);
  bool is_served_at_once(const Lane& lane) const noexcept { return lane.kind == wire::Lane::kCall && tenants_ <= 1; }
  void count_lane(const Lane& lane, int change) noexcept;
  // Serves the request at the start of `bytes`; `used` is its length.
  Served serve(Lane& lane, std::span<const std::byte> bytes, size_t& used) noexcept;
  std::span<std::byte> room_for_reply(Lane& lane, size_t bytes);
  void flush(uint64_t key, Lane& lane) noexcept;
  void throttle(uint64_t key, Lane& lane) noexcept;
  static std::span<const std::byte> waiting(const Lane& lane) noexcept;
  static void take(Lane& lane, size_t bytes) noexcept;

  StreamCounters& counters_;
  std::unique_ptr<os::StreamLoop> loop_;
  os::IoBackend backend_ = os::IoBackend::kAuto;
  os::AdaptiveSpin spin_;
  std::unordered_map<uint64_t, std::unique_ptr<Lane>> lanes_;
  std::deque<uint64_t> waiting_;  // lanes with requests that wait for their turn and may be complete
  FairShare share_;
  std::array<uint32_t, kMaxTenants + 1> lanes_of_{};  // by tenant
  uint32_t tenants_ = 0;                              // with lanes here
  std::vector<Chunk> spare_;
  std::vector<std::byte> opened_;  // what one receive said, where there is TLS
  uint64_t next_key_ = 1;

  std::atomic<bool> is_stopping_{false};
  std::atomic<uint32_t> lane_count_{0};
  std::mutex mutex_;  // newcomers_
  std::vector<Newcomer> newcomers_;
  std::atomic<uint32_t> is_started_{0};  // a futex: 1 when the loop stands, 2 when it could not be made
  Error start_error_{};
  os::Thread thread_;  // last: it uses all of the above
};

}  // namespace tiara::nic
