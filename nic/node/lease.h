// Sessions of stream transports, which outlive their connections: a client that loses its connection and comes back
// within its lease finds its session, and every request that it sends again has happened exactly once.
//
// Exactly once: a request's id is its slot's number and a sequence that only grows in that slot. A client has one
// request outstanding in a slot, so the node remembers the last outcome of every slot, and nothing more: the same id
// again is answered from memory, an older one is a straggler of a dead connection and is dropped. Operators that
// cannot change anything (every region they declare is read-only) are simply run again and need no memory.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "nic/node/memory_node.h"
#include "nic/wire/control.h"
#include "nic/wire/handshake.h"
#include "nic/wire/shm_layout.h"
#include "runtime/os/clock.h"

namespace tiara::nic {

// A request's id: which slot, and the how manieth request in it.
constexpr uint64_t stream_request_id(uint32_t slot, uint64_t sequence) { return sequence << 6 | slot; }
constexpr uint32_t slot_of_request(uint64_t request_id) { return request_id & 63; }
static_assert(wire::kMaxSlots == 64);

class StreamSession {
 public:
  StreamSession(std::unique_ptr<Session> session, const wire::SessionSecret& secret, uint32_t slots) noexcept
      : session_(std::move(session)), secret_(secret), slots_(slots) {}

  // The outcome of `frame`, run now or remembered; nullopt: a straggler that nobody waits for. `reply` has room for
  // frame.reply_room bytes. Any thread; a second copy of a request waits for the first.
  std::optional<Outcome> execute(const wire::InvocationFrame& frame, std::span<const std::byte> payload,
                                 std::span<std::byte> reply, uint64_t epoch);

  // The same for the control connection, where one question is outstanding.
  wire::Body answer(const wire::ControlHeader& header, std::span<const std::byte> body);

  Session& session() noexcept { return *session_; }
  uint64_t id() const noexcept { return session_->id().value; }
  uint32_t slots() const noexcept { return slots_; }
  const wire::SessionSecret& secret() const noexcept { return secret_; }
  // Connections of an older epoch are dead: what still comes out of them is dropped.
  uint64_t epoch() const noexcept { return epoch_.load(std::memory_order_acquire); }

 private:
  friend class LeaseTable;
  struct Remembered {
    std::mutex mutex;  // held while the request runs: its second copy must wait
    uint64_t request_id = 0;
    Outcome outcome;
    std::vector<std::byte> bytes;
  };

  const std::unique_ptr<Session> session_;
  const wire::SessionSecret secret_;
  const uint32_t slots_;
  std::atomic<uint64_t> epoch_{1};
  std::array<Remembered, wire::kMaxSlots> remembered_;
  uint64_t last_question_ = 0;  // the control thread's own
  wire::Body last_answer_;
  // The table's:
  bool is_connected_ = true;
  bool lingers_ = true;
  os::Nanoseconds expires_{};
};

class LeaseTable {
 public:
  LeaseTable(MemoryNode& node, std::chrono::milliseconds lease, SessionKind kind = SessionKind::kClient);
  ~LeaseTable();

  uint64_t instance() const noexcept { return instance_; }

  struct Opened {
    std::shared_ptr<StreamSession> session;  // nullptr: refused, `reply` says why
    wire::HandshakeReply reply;
  };
  // Answers a question on a new connection. kOpen and kResume connect the session: disconnected() must follow.
  Opened open(const wire::Handshake& question, uint32_t max_slots);
  Opened resume(const wire::Handshake& question);
  Opened attach(const wire::Handshake& question);

  // The control connection of `epoch` is gone: the lease runs, unless a newer connection has taken over.
  void disconnected(StreamSession& session, uint64_t epoch, os::Nanoseconds now);
  // The client says that nobody will come back: its end is its connection's end.
  void let_go(StreamSession& session);
  // Takes sessions whose lease ran out; they are closed when this returns.
  void reap(os::Nanoseconds now);
  // When reap() has something to do; nullopt: nobody is away.
  std::optional<os::Nanoseconds> next_expiry() const;

  struct Stats {
    uint64_t resumed = 0;
    uint64_t refused = 0;  // resumptions and attachments: no such session any more, or a wrong secret
    uint64_t expired = 0;
    uint32_t away = 0;  // sessions without a connection, lease running
  };
  Stats stats() const;

 private:
  std::shared_ptr<StreamSession> find_locked(const wire::Handshake& question, wire::HandshakeReply& reply) const;
  void describe(const StreamSession& session, wire::HandshakeReply& reply) const;

  MemoryNode& node_;
  const std::chrono::milliseconds lease_;
  const SessionKind kind_;  // of the sessions that it opens
  const uint64_t instance_;
  mutable std::mutex mutex_;
  std::map<uint64_t, std::shared_ptr<StreamSession>> sessions_;
  Stats stats_;
};

}  // namespace tiara::nic
