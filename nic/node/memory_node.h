// The memory node: a pool, the address spaces in it, the operators that work on them, and the sessions of those who
// ask. The loop transport holds one in its own process; `tiara node` holds one and serves it to others.
//
// Data path: Session::invoke. No lock, no allocation; any number of threads.
// Control path: everything else here. Takes locks, allocates.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nic/engine/engine.h"
#include "nic/engine/remote_port.h"
#include "nic/node/operator_registry.h"
#include "nic/node/pool.h"
#include "nic/node/space_table.h"
#include "nic/node/tenants.h"
#include "nic/verifier/bounds.h"
#include "nic/wire/frame.h"
#include "nic/wire/node_info.h"
#include "nic/wire/types.h"
#include "runtime/base/error.h"

namespace tiara::nic {

struct NodeConfig {
  PoolConfig pool;
  std::shared_ptr<Engine> engine;        // nullptr: the interpreter
  std::string token;                     // of the one tenant, "everyone", when `tenants` is empty; empty: anyone
  std::vector<TenantConfig> tenants;     // tenants.h
  std::string peer_token;                // what other nodes must bring at an address for peers; empty: nothing
  bool allows_one_sided = false;         // kOneSidedRead reads every tenant's bytes: for baselines only
  Bytes data_limit{1 * kGiB};            // all data regions of users' operators together
  Bytes shared;                          // the region `shared`: one for all, and for peers; 0: none
  std::shared_ptr<RemotePort> remote;    // the way to other nodes' shared regions; nullptr: none
  std::vector<NativeOperator> natives;   // for baselines only
};

// What happened on a session, or on the node since it started. Each figure is exact, a set of them is not.
struct InvocationCounts {
  uint64_t invocations = 0;
  uint64_t failed = 0;   // the operator gave up (Status::kFailed)
  uint64_t faulted = 0;  // the engine stopped it
  uint64_t refused = 0;  // it never ran
};

struct NodeStats {
  PoolStats pool;
  InvocationCounts counts;
  uint32_t spaces = 0;
  uint32_t sessions = 0;
  uint64_t sessions_opened = 0;
  uint64_t sessions_refused = 0;  // wrong token, beyond a tenant's part, or the node is being drained
  uint64_t operator_time_ps = 0;  // on the device that nic/verifier/bounds.h describes, as nearly as counts can say
};

class MemoryNode;

// A peer is another node: its session runs the node's own operators on the region `shared` and can do nothing else.
// They wait for nobody, so whoever serves only peers never waits.
enum class SessionKind : uint8_t { kClient, kPeer };

// What one tenant did, its sessions that have ended included.
struct TenantStats {
  uint64_t invocations = 0;
  uint64_t operator_time_ps = 0;
};

// One client's standing with the node: what it may name. Everything it made goes away with it.
class Session {
 public:
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Thread-safe, bounded by the operator's proved bounds; async-signal-safe.
  Outcome invoke(const wire::InvocationFrame& frame, std::span<const std::byte> payload,
                 std::span<std::byte> reply) noexcept;
  // Counts a frame that could not even be decoded.
  Outcome refuse(Refusal reason) noexcept;

  // Whether running `operation` twice is as good as once: it can change nothing. Any thread.
  bool is_repeatable(OperatorId operation) noexcept;

  NodeInfo info() const;
  Result<AddressSpaceId> create_space(uint64_t max_pages);
  Result<void> destroy_space(AddressSpaceId space);
  // A copy of the space in constant time, whatever it holds; invocations on it wait meanwhile.
  Result<ClonedSpace> clone_space(AddressSpaceId space, CloneKind kind);
  Result<void> adopt_space(const ClonedSpace& clone);
  Result<void> allocate_data(AddressSpaceId space, Bytes size);
  Result<OperatorId> register_operator(std::span<const std::byte> container);

  // --- for hardware that is asked by others than the node ---

  // What it may run on that space: the node's own operators, internal ones left out, and the regions of each. Both
  // live as long as the space.
  struct Grant {
    std::string name;
    const VerifiedProgram* program;
    RegionTable regions;
  };
  Result<std::vector<Grant>> grants(AddressSpaceId space);
  // Calls `use`, in which the hardware may work on the space: whoever needs the pool at rest waits for it, and it for
  // them. False: there is no such space any more, and `use` was not called.
  bool while_entered(AddressSpaceId space, const std::function<void()>& use);

  // Reaps what the session has on the node; later invocations are refused. Not at the same time as other calls of
  // the control path. Idempotent.
  void close();

  SessionId id() const noexcept { return id_; }
  TenantId tenant() const noexcept { return tenant_.id(); }
  // Whose turns its requests are: its tenant's share of a worker.
  uint32_t weight() const noexcept { return tenant_.config().weight; }
  SessionKind kind() const noexcept { return kind_; }
  InvocationCounts counts() const noexcept;

 private:
  friend class MemoryNode;
  Session(MemoryNode& node, SessionId id, Tenant& tenant, SessionKind kind) noexcept
      : node_(node), id_(id), tenant_(tenant), kind_(kind) {}
  Outcome run(const wire::InvocationFrame& frame, std::span<const std::byte> payload,
              std::span<std::byte> reply) noexcept;
  Outcome run_within_quota(const OperatorRegistry::Operator& target, const Invocation& invocation,
                           uint32_t space) noexcept;
  uint64_t operator_time_ps() const noexcept { return counters_.time_ps.load(std::memory_order_relaxed); }
  template <typename T>
  Result<T> counted(Result<T> result) noexcept;

  struct alignas(64) Counters {
    std::atomic<uint64_t> invocations{0}, failed{0}, faulted{0}, refused{0}, time_ps{0};
  };

  MemoryNode& node_;
  const SessionId id_;
  Tenant& tenant_;
  const SessionKind kind_;
  bool is_closed_ = false;
  Counters counters_;
};

class MemoryNode {
 public:
  // Verifies and registers `builtins`, which are only borrowed for the call.
  static Result<std::unique_ptr<MemoryNode>> create(const NodeConfig& config,
                                                    std::span<const BuiltinOperator> builtins);
  // In a forked child: a node of its own over the pool that it shares with `parent`, whose object is left alone. It
  // knows one address space, `clone`, which waits to be adopted.
  static Result<std::unique_ptr<MemoryNode>> create_in_child(const MemoryNode& parent, const NodeConfig& config,
                                                             std::span<const BuiltinOperator> builtins,
                                                             const ClonedSpace& clone);
  ~MemoryNode();  // after the last session

  // The session must not outlive the node. A wrong token is kNoPermission, a tenant that has all its sessions open
  // kResourceExhausted, a node that is being drained kUnavailable.
  Result<std::unique_ptr<Session>> open_session(std::string_view token, SessionKind kind = SessionKind::kClient);

  NodeStats stats() const;
  const TenantTable& tenants() const noexcept { return tenants_; }
  TenantStats stats_of(const Tenant& tenant) const;
  // No session is opened from now on; those that are open go on.
  void drain() noexcept { is_draining_.store(true, std::memory_order_relaxed); }
  // Whether clients may read the pool's bytes past every operator (NodeConfig::allows_one_sided).
  bool allows_one_sided() const noexcept { return allows_one_sided_; }
  bool is_draining() const noexcept { return is_draining_.load(std::memory_order_relaxed); }
  // Calls `use` with the pool at rest: invocations wait meanwhile.
  void while_quiet(const std::function<void(const Pool&)>& use);
  // For the checker, and for tests: nobody may be invoking while they look.
  const Pool& pool() const noexcept { return pool_; }
  // For PoolFamily.
  Pool& shared_pool() noexcept { return pool_; }
  // The space is another process's from now on; its pages stay.
  void forget_space(AddressSpaceId space) noexcept { spaces_.forget(space); }

 private:
  friend class Session;
  MemoryNode(const NodeConfig& config, Pool pool, os::Mapping shared, TenantTable tenants);
  static Result<std::unique_ptr<MemoryNode>> create_over(Pool pool, const NodeConfig& config,
                                                         std::span<const BuiltinOperator> builtins);
  Outcome one_sided_read(const wire::InvocationFrame& frame, std::span<std::byte> reply) const noexcept;
  RegionTable bind(const OperatorRegistry::Operator& target, uint32_t space, Region data) const noexcept;
  void forget(Session& session);
  bool clone_tables(uint32_t source, uint32_t target) noexcept;
  void reap() noexcept;

  Pool pool_;
  os::Mapping shared_;  // empty: none
  const std::shared_ptr<RemotePort> remote_;
  TenantTable tenants_;
  SpaceTable spaces_;
  std::shared_ptr<Engine> engine_;
  OperatorRegistry operators_;
  const std::string peer_token_;
  const DeviceConstants device_ = fpga_over_pcie();  // what operator time is stated for
  std::atomic<bool> is_draining_{false};
  const bool allows_one_sided_;

  mutable std::mutex mutex_;  // the fields below
  std::vector<Session*> sessions_;
  InvocationCounts closed_counts_;
  std::vector<TenantStats> closed_stats_;  // by tenant, the peers' last
  uint64_t sessions_opened_ = 0;
  uint64_t sessions_refused_ = 0;
};

}  // namespace tiara::nic
