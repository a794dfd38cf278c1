// A channel carries invocations to one memory node and brings replies back. One semantics for loop, shm, tcp and
// rdma: every request is answered exactly once, or the channel reports the node lost.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nic/isa/outcome.h"
#include "nic/wire/node_info.h"
#include "nic/wire/types.h"
#include "runtime/base/error.h"
#include "runtime/base/units.h"

namespace tiara::nic {

struct Request {
  OperatorId operation;
  AddressSpaceId space;
  std::span<const uint64_t> arguments;                       // at most kMaxArguments
  std::span<const std::span<const std::byte>> payload = {};  // concatenated in this order; at most kMaxPayloadBytes
};

enum class CallStatus : uint8_t {
  kAnswered,  // `outcome` is the node's
  kNodeLost,  // the connection is gone, or the stated bound on waiting passed: no later call will work
};

struct Reply {
  CallStatus call = CallStatus::kNodeLost;
  Outcome outcome;  // outcome.reply_bytes bytes are in the caller's reply buffer
};

// A posted request that has not been collected. Every ticket must be collected exactly once.
struct Ticket {
  uint32_t value = UINT32_MAX;
  bool is_valid() const { return value != UINT32_MAX; }
};

// One of several requests that are posted together.
struct Posting {
  Request request;
  std::span<std::byte> reply_room;
  Ticket ticket;  // the answer of post_all()
};

class Channel {
 public:
  virtual ~Channel() = default;

  // --- data path: thread-safe, no allocation, no lock that an allocating thread can hold, bounded waiting ---

  // Invokes and waits. `reply_room` receives the gathered bytes. On kNodeLost nothing may be assumed about
  // whether the operator ran.
  virtual Reply call(const Request& request, std::span<std::byte> reply_room) noexcept = 0;

  // Starts an invocation; the payload has been copied when this returns. An invalid ticket means that every slot
  // is taken (collect one first) or the node is lost (is_lost()). `reply_room` must stay valid until collected.
  virtual Ticket post(const Request& request, std::span<std::byte> reply_room) noexcept = 0;
  // post() for each, in order, with as few messages as the transport can; how many were started: the others' tickets
  // are invalid, for post()'s reasons.
  virtual size_t post_all(std::span<Posting> postings) noexcept;
  // True once `ticket` is answered or the node is lost; does not block.
  virtual bool is_done(Ticket ticket) noexcept = 0;
  // Waits (bounded) for and takes the answer; the ticket is spent.
  virtual Reply collect(Ticket ticket) noexcept = 0;

  virtual bool is_lost() const noexcept = 0;

  // --- control path: may allocate and block, at most the channel's bound on waiting ---

  virtual Result<NodeInfo> info() = 0;
  virtual Result<AddressSpaceId> create_space(uint64_t max_pages) = 0;
  virtual Result<void> destroy_space(AddressSpaceId space) = 0;
  // A copy of the space in constant time; it belongs to this channel until another one of the same tenant adopts it.
  virtual Result<ClonedSpace> clone_space(AddressSpaceId space, CloneKind kind);
  virtual Result<void> adopt_space(const ClonedSpace& clone);
  // Gives the space the linear region that users' operators name `data`: zeros, once, freed with the space.
  virtual Result<void> allocate_data(AddressSpaceId space, Bytes size);
  // The node verifies `container` whoever sent it.
  virtual Result<OperatorId> register_operator(std::span<const std::byte> container) = 0;

  // The process is about to end: once its connection is gone the node need not wait for it to come back. Everything
  // works as before until then.
  virtual void let_go() noexcept {}

  // Descriptors that a program's close-all loop must not touch.
  virtual std::vector<int> descriptors() const = 0;
};

inline size_t Channel::post_all(std::span<Posting> postings) noexcept {
  size_t count = 0;
  for (Posting& posting : postings) posting.ticket = {};
  while (count < postings.size()) {
    Posting& next = postings[count];
    next.ticket = post(next.request, next.reply_room);
    if (!next.ticket.is_valid()) break;
    count++;
  }
  return count;
}
inline Result<ClonedSpace> Channel::clone_space(AddressSpaceId, CloneKind) {
  return fail(ErrorCode::kUnsupported, "this channel cannot clone address spaces");
}
inline Result<void> Channel::adopt_space(const ClonedSpace&) {
  return fail(ErrorCode::kUnsupported, "this channel cannot adopt address spaces");
}
inline Result<void> Channel::allocate_data(AddressSpaceId, Bytes) {
  return fail(ErrorCode::kUnsupported, "this channel has no data regions");
}

// How long a call may wait for its answer before the node counts as lost.
inline constexpr std::chrono::seconds kDefaultNodeTimeout{30};

}  // namespace tiara::nic
