// The data path over verbs: registered memory, and queue pairs with a completion queue each.
//
// Requests are posted in lists, one call of the device for each list. Nothing here spins: after arm() the next
// completion makes the domain's descriptor readable. Only registered slabs are ever named to the device, never memory
// of a program.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "nic/verbs/manager.h"
#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/memory.h"

struct ibv_comp_channel;
struct ibv_cq;
struct ibv_mr;
struct ibv_pd;
struct ibv_qp;

namespace tiara::nic::verbs {

// Memory of the peer.
struct RemoteArea {
  uint64_t address = 0;
  uint32_t key = 0;
};

// What a peer may do with registered memory.
enum class Access : uint8_t { kNone, kRead, kReadWrite };

// Registered memory of this process; ends before the domain it belongs to.
class Registration {
 public:
  Registration() = default;
  Registration(Registration&& other) noexcept;
  Registration& operator=(Registration&& other) noexcept;
  ~Registration() { reset(); }
  bool is_open() const noexcept { return region_ != nullptr; }
  std::byte* data() const noexcept { return bytes_.data(); }
  size_t size() const noexcept { return bytes_.size(); }
  uint32_t local_key() const noexcept;
  RemoteArea remote() const noexcept;

 private:
  friend class Domain;
  void reset() noexcept;
  os::Mapping mapping_;  // empty when the memory is another's
  std::span<std::byte> bytes_;
  ibv_mr* region_ = nullptr;
};

// What one device does for its user: a protection domain, and the channel on which its completion queues report.
class Domain {
 public:
  // Of the device that `id` was resolved or bound to.
  static Result<std::unique_ptr<Domain>> create(const Id& id);
  ~Domain();

  // Shared memory of our own, not inherited by forked children.
  Result<Registration> allocate(Bytes size, Access access);
  // Memory that somebody else keeps mapped.
  Result<Registration> adopt(std::span<std::byte> memory, Access access);

  int descriptor() const noexcept;
  // Of the device and the channel: what a program must not close.
  std::vector<int> descriptors() const;
  // Takes one report: the cookie of a queue that has completions. Does not wait.
  std::optional<uint64_t> next_report() noexcept;

 private:
  friend class Queue;
  Domain() = default;
  Result<Registration> register_bytes(Registration made, Access access);
  ibv_pd* domain_ = nullptr;
  ibv_comp_channel* channel_ = nullptr;
};

struct Send {
  enum class Kind : uint8_t {
    kSend,   // SEND with immediate
    kWrite,  // WRITE with immediate to `remote`
    kProbe,  // WRITE of nothing: only an acknowledgement comes back, and nobody notices
    kRead,   // READ from `remote`
  } kind;
  enum class Signal : uint8_t { kNo, kYes } signal;
  std::byte* at;  // in `key`'s registration
  uint32_t length;
  uint32_t key;
  uint32_t immediate;
  RemoteArea remote;
  uint64_t tag;  // comes back with the completion, if one was asked for
};

struct Receive {
  std::byte* at;
  uint32_t length;
  uint32_t key;
  uint64_t tag;
};

struct Completion {
  enum class Kind : uint8_t { kSent, kReceived, kBroken } kind;
  uint32_t immediate;  // kReceived
  uint32_t length;     // kReceived
  uint64_t tag;
};

// What was posted and what came, since the queue was made.
struct WorkCounts {
  uint64_t sends = 0;        // SENDs posted
  uint64_t writes = 0;       // WRITEs with immediate posted
  uint64_t reads = 0;        // READs posted
  uint64_t probes = 0;
  uint64_t lists = 0;        // calls of the device that posted them
  uint64_t inlined = 0;      // of them, with their bytes in the request
  uint64_t completions = 0;  // of sends, writes, reads and probes: fewer than were posted, because few are signalled
  uint64_t arrivals = 0;     // SENDs and WRITEs with immediate that came in
};

class Queue {
 public:
  struct Limits {
    uint32_t receives;  // most that are posted at once
    uint32_t sends;     // most that are outstanding at once
  };
  // For a resolved or requested `id`, which must outlive it.
  static Result<std::unique_ptr<Queue>> create(const Id& id, Domain& domain, const Limits& limits, uint64_t cookie);
  ~Queue();

  // Any thread, as long as one at a time posts sends, one receives, and one polls. False: the connection is gone.
  bool post_sends(std::span<const Send> list) noexcept;
  bool post_receives(std::span<const Receive> list) noexcept;
  // What has completed, at most the room.
  size_t poll(std::span<Completion> room) noexcept;
  // Once, before poll() finds nothing and its user goes to sleep.
  bool arm() noexcept;
  // Ends it: what is outstanding completes as broken.
  void break_off() noexcept;

  WorkCounts counts() const noexcept;

 private:
  Queue() = default;
  rdma_cm_id* id_ = nullptr;
  ibv_cq* completions_ = nullptr;
  ibv_qp* pair_ = nullptr;
  uint32_t max_inline_ = 0;
  struct Counters {
    std::atomic<uint64_t> sends{0}, writes{0}, reads{0}, probes{0}, lists{0}, inlined{0}, completions{0}, arrivals{0};
  } counters_;
};

}  // namespace tiara::nic::verbs
