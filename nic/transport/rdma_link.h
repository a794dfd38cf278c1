// The RDMA connection of a session (nic/wire/rdma_layout.h): how it is made, and made again.
//
// The device, the slab and every descriptor stay for the whole life of the channel; each connection has a queue of its
// own. Making one allocates, in librdmacm: only the thread that opens the channel and the link thread do it, and these
// blocks are near (placement keeps what these libraries allocate near).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nic/transport/session_handshake.h"
#include "nic/verbs/manager.h"
#include "nic/verbs/queue.h"
#include "nic/wire/handshake.h"
#include "nic/wire/rdma_layout.h"

namespace tiara::nic {

class RdmaLink {
 public:
  static constexpr os::Nanoseconds kSlice{50'000'000};
  // A completion's tag: the number of a send, of a one-sided READ (with its slot), or of a receive.
  static constexpr uint64_t kReceiveTag = 0, kSendTag = uint64_t{1} << 62, kReadTag = uint64_t{1} << 63;

  // Connects and opens a session. Control path.
  static Result<std::unique_ptr<RdmaLink>> open(std::string_view host_port, std::string_view token, uint32_t slots,
                                                os::Nanoseconds timeout);
  ~RdmaLink();

  const wire::HandshakeReply& welcome() const noexcept { return welcome_; }
  const std::string& url() const noexcept { return url_; }
  const verbs::Registration& slab() const noexcept { return slab_; }
  const wire::RdmaPool& pool() const noexcept { return pool_; }
  std::byte* area(uint64_t offset) const noexcept { return slab_.data() + offset; }
  verbs::Queue& queue() const noexcept { return *queue_; }
  std::vector<int> descriptors() const;

  // Sends that may be outstanding at once.
  uint32_t send_count() const noexcept { return 2 * asked_slots_ + 16; }
  // Posts the receive for the next answer again. False: the connection is gone.
  bool post_receive() noexcept;

  // Sleeps until there may be completions, at most a slice. The queue was armed.
  void wait_for_completions() noexcept;

  // Sleeps until the peer hangs up, the device fails or somebody calls wake().
  enum class Woken : uint8_t { kHungUp, kCalled };
  Woken wait_for_break() noexcept;
  void wake() noexcept;  // async-signal-safe
  // What is outstanding ends as broken; whoever waits for completions returns.
  void break_off() noexcept { queue_->break_off(); }

  // Tries once to connect again and to take the session up. Nobody may be using the queue.
  Resumed resume(os::Nanoseconds timeout, LossReason& reason) noexcept;

  // Of all queues that there were.
  verbs::WorkCounts counts() const noexcept;

 private:
  enum class Shaken : uint8_t { kAnswered, kUnreachable, kRefused, kNonsense, kOtherUser };

  RdmaLink(verbs::Manager manager, std::string url) noexcept : url_(std::move(url)), manager_(std::move(manager)) {}
  Result<void> prepare(os::Nanoseconds deadline);
  // An identifier with address and route.
  Shaken find_way(verbs::Id& id, os::Nanoseconds deadline) noexcept;
  Shaken connect(os::Nanoseconds deadline) noexcept;
  Shaken shake_hands(const wire::Handshake& question, wire::HandshakeReply& reply, os::Nanoseconds deadline) noexcept;
  void end_connection() noexcept;

  const std::string url_;
  os::TcpAddress address_;
  uint32_t asked_slots_ = 0;
  uint32_t granted_slots_ = 0;  // receives that the node has posted
  verbs::Manager manager_;
  UniqueFd event_;
  verbs::Id anchor_;  // resolved, never connected: keeps the device
  std::unique_ptr<verbs::Domain> domain_;
  verbs::Registration slab_;
  verbs::Id id_;
  std::unique_ptr<verbs::Queue> queue_;  // ends before its identifier
  wire::HandshakeReply welcome_;
  wire::RdmaPool pool_;
  verbs::WorkCounts earlier_;
  std::string problem_;  // why the last attempt failed, for people
};

}  // namespace tiara::nic
