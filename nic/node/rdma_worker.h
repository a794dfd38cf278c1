// A thread that runs operators for the RDMA connections it has been given (nic/wire/rdma_layout.h).
//
// It sleeps on its domain's completion channel and on its mail; it never spins. A request that came whole is ready at
// once; of a larger one the bytes are fetched first, by READ into one of a few buffers, when one is free. Ready
// requests take turns: calls before posted ones, tenants by weight (fair_share.h). Replies of a turn go out in one
// list; only every eighth send asks for a completion, and those that hold a large buffer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "nic/node/fair_share.h"
#include "nic/node/lease.h"
#include "nic/verbs/queue.h"
#include "nic/wire/rdma_layout.h"
#include "runtime/os/socket.h"
#include "runtime/os/thread.h"

namespace tiara::nic {

// What RDMA connections did on a node since it started. Relaxed: figures.
struct RdmaCounters {
  std::atomic<uint64_t> malformed{0};   // connections ended for bytes that are no frames
  std::atomic<uint64_t> corrupted{0};   // connections ended for bytes that do not match their hash
  std::atomic<uint64_t> stragglers{0};  // requests of dead connections, dropped
};

// One client's connection: made by the control thread, used by one worker, ended by the control thread once the worker
// has let it go.
struct RdmaConnection {
  static constexpr uint32_t kNoBuffer = UINT32_MAX;
  struct Request {
    wire::InvocationFrame frame;
    wire::Lane lane = wire::Lane::kCall;
    uint32_t receive = kNoBuffer;  // where the payload is: in a receive that is held,
    uint32_t buffer = kNoBuffer;   // or in a buffer of the worker's
  };
  struct Answer {
    uint32_t immediate = 0;
    std::vector<std::byte> bytes;
  };
  // What a send keeps from being used again until it is known to be done.
  struct Held {
    enum class Kind : uint8_t { kNothing, kReplyBuffer, kFetch } kind = Kind::kNothing;
    uint32_t buffer = 0;
  };

  uint64_t key = 0;
  wire::RdmaHello hello;
  uint32_t slots = 0;
  verbs::Id id;
  verbs::Registration memory;  // receives, then one reply for each send that may be outstanding
  std::unique_ptr<verbs::Queue> queue;  // before both

  // The worker's.
  std::shared_ptr<StreamSession> session;
  uint64_t epoch = 0;
  std::array<std::deque<Request>, wire::kLanes> ready;
  std::array<bool, wire::kLanes> has_turn{};  // stands in the worker's list
  std::deque<Answer> answers;
  std::vector<verbs::Send> outbox;
  std::vector<uint32_t> returned;  // receives to be posted again
  std::vector<Held> held;          // by position modulo its size
  uint64_t posted = 0, completed = 0;
  uint32_t reply_buffers = 0, fetch_buffers = 0;  // of the worker's, that it has
  bool asks = false;               // a question or a handshake is being answered
  bool is_probed = false;
  os::Nanoseconds heard_at{};

  uint32_t receive_count() const noexcept { return slots + wire::kRdmaExtraReceives; }
  uint32_t send_count() const noexcept { return static_cast<uint32_t>(held.size()); }
  bool has_room() const noexcept { return posted - completed < held.size(); }
  std::byte* receive(uint32_t index) const noexcept { return memory.data() + index * wire::kRdmaMessageBytes; }
  std::byte* small_reply() const noexcept {
    return memory.data() + (receive_count() + posted % held.size()) * wire::kRdmaMessageBytes;
  }
};

class RdmaWorker {
 public:
  // What the worker tells the control thread.
  struct Mail {
    enum class Kind : uint8_t { kHandshake, kQuestion, kGone } kind;
    uint64_t key;
    std::vector<std::byte> bytes;
  };
  struct Mailbox {
    std::mutex mutex;
    std::vector<Mail> mail;
    UniqueFd event;
  };

  // `device` is a listener bound to the device. `probe_every`: how long a client may be silent before it is asked.
  static Result<std::unique_ptr<RdmaWorker>> start(uint32_t number, const verbs::Id& device, Mailbox& control,
                                                   RdmaCounters& counters, std::chrono::milliseconds probe_every);
  ~RdmaWorker() { stop(); }
  // Its connections stay as they are; nobody serves them any more.
  void stop() noexcept;

  // The control thread's. The connection's queue is the domain's; `cookie` of it is the connection's key.
  verbs::Domain& domain() noexcept { return *domain_; }
  void add(std::shared_ptr<RdmaConnection> connection);
  void answer(uint64_t key, RdmaConnection::Answer answer);
  // The same, and from now on the connection is the session's.
  void welcome(uint64_t key, std::shared_ptr<StreamSession> session, uint64_t epoch, RdmaConnection::Answer answer);
  // kGone follows, unless it is gone already.
  void drop(uint64_t key);
  uint32_t connection_count() const noexcept { return connection_count_.load(std::memory_order_relaxed); }

 private:
  using Connection = RdmaConnection;
  struct Order {
    enum class Kind : uint8_t { kAdd, kAnswer, kDrop } kind;
    uint64_t key = 0;
    std::shared_ptr<Connection> connection;
    std::shared_ptr<StreamSession> session;
    uint64_t epoch = 0;
    Connection::Answer answer;
  };
  // Bytes that a client has and the node fetches: of a request or of a question.
  struct Fetch {
    uint64_t key = 0;
    Connection::Request request;
    std::vector<std::byte> question;  // its header; empty: a request
    uint64_t offset = 0;              // in the client's slab
    uint32_t length = 0;
  };
  struct Turn {
    uint64_t key;
    wire::Lane lane;
  };
  enum class Served : uint8_t { kOne, kBlocked, kBroken };

  RdmaWorker(Mailbox& control, RdmaCounters& counters, std::chrono::milliseconds probe_every) noexcept
      : control_(control), counters_(counters), probe_every_(probe_every) {}
  Result<void> set_up(uint32_t number, const verbs::Id& device);
  void run() noexcept;
  void wait() noexcept;
  void order(Order order);
  void take_orders() noexcept;
  void tell(Mail::Kind kind, uint64_t key, std::vector<std::byte> bytes = {});
  void count_tenant(const Connection& connection, int change) noexcept;

  void drain(Connection& connection) noexcept;
  bool complete(Connection& connection, const verbs::Completion& completion) noexcept;
  bool received(Connection& connection, uint32_t receive, const verbs::Completion& completion) noexcept;
  bool received_request(Connection& connection, uint32_t receive, uint32_t length, wire::Lane lane,
                        wire::RdmaBytes where) noexcept;
  bool received_question(Connection& connection, uint32_t receive, uint32_t length, wire::RdmaBytes where) noexcept;
  bool refuse(Connection& connection) noexcept;
  void release(Connection& connection, uint64_t up_to) noexcept;
  void probe_silent() noexcept;
  void drop_now(Connection& connection) noexcept;

  void begin_fetches() noexcept;
  void fetched(uint32_t buffer) noexcept;
  void make_ready(Connection& connection, Connection::Request request) noexcept;
  void let_wait(Connection& connection, wire::Lane lane) noexcept;
  Turn take_turn() noexcept;
  bool serve_turn() noexcept;
  Served serve(Connection& connection, const Connection::Request& request, size_t& moved) noexcept;
  bool send_answers(Connection& connection) noexcept;
  void send_waiting_answers() noexcept;
  void push(Connection& connection, verbs::Send send, Connection::Held held) noexcept;
  bool flush(Connection& connection) noexcept;
  Connection* find(uint64_t key) noexcept;

  Mailbox& control_;
  RdmaCounters& counters_;
  const std::chrono::milliseconds probe_every_;
  std::unique_ptr<verbs::Domain> domain_;
  verbs::Registration buffers_;  // for fetches, then for replies
  UniqueFd event_;

  std::map<uint64_t, std::shared_ptr<Connection>> connections_;
  std::deque<Fetch> wanted_;  // fetches that wait for a buffer
  std::vector<Fetch> fetches_;  // under way or done, by buffer
  std::vector<uint32_t> free_fetch_, free_reply_;
  std::deque<Turn> turns_;     // who has something ready
  std::vector<Turn> blocked_;  // likewise, but sends or buffers are lacking
  FairShare share_;
  std::array<uint32_t, kMaxTenants + 1> connections_of_{};  // by tenant
  uint32_t tenants_ = 0;
  bool has_waiting_answers_ = false;
  os::Nanoseconds next_probe_{};

  std::mutex mutex_;  // orders_
  std::vector<Order> orders_;
  std::atomic<uint32_t> connection_count_{0};
  std::atomic<bool> is_stopping_{false};
  os::Thread thread_;  // last: it uses all of the above
};

}  // namespace tiara::nic
