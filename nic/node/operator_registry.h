// What a node can run: verified programs, each with the regions it will see, and (for baselines) native functions.
//
// Whoever sends a program, the registry decodes and verifies it; nothing else makes an operator. The node's own
// operators come first, are known by name and live as long as the node. A session's operators are its tenant's: they
// live while a session that registered them lives, and registering the same program again gives the same id.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nic/engine/engine.h"
#include "nic/isa/program.h"
#include "nic/node/space_table.h"
#include "nic/node/tenants.h"
#include "nic/node/use_gate.h"
#include "nic/wire/types.h"
#include "runtime/base/error.h"

namespace tiara::nic {

// An operator that the node's creator brings along, as a container (nic/isa/program.h). Borrowed for the call.
//
// One of the name kCloneOperator is internal: the node calls it, when nobody else uses the spaces.
inline constexpr std::string_view kCloneOperator = "pt_clone";
struct BuiltinOperator {
  std::string_view name;
  std::span<const std::byte> container;
};

// A plain function on the node's CPU instead of a program: the RPC that operators are measured against. Sees the
// regions pool, space and alloc as numbers 0, 1 and 2. Must not allocate, lock or throw.
struct NativeOperator {
  std::string name;
  Outcome (*run)(const Invocation& invocation) noexcept = nullptr;
};

// What the node puts behind a region number that a program declares, by the declaration's name.
enum class RegionBinding : uint8_t {
  kUnused,
  kPool,   // "pool": all frames; the node's own operators only
  kSpace,  // "space": the invocation's SpaceDescriptor; the node's own operators only
  kAlloc,  // "alloc": the AllocHeader; the node's own operators only
  kReferences,  // "refs": the FrameReferences; the node's own operators only
  kData,   // "data": the address space's linear region, as big as was asked for
  kShared,  // "shared": the node's one region for all its clients, and for other nodes
};

// What a node has beside its pool.
struct RegionsOffered {
  bool shared = false;
  bool is_for_others = false;  // there is something to share, and whoever asks may not name it
  bool peers = false;  // remote regions: "peer", the shared region of the host that the instruction names
};

class OperatorRegistry {
 public:
  // The node's own and all tenants' together; a small program is a few hundred bytes.
  static constexpr uint32_t kMaxOperators = 1024;
  // So that one client cannot take every place.
  static constexpr uint32_t kMaxPerSession = 64;

  // Every operator is prepared for `engine`, which is borrowed and outlives the registry.
  OperatorRegistry(Engine& engine, RegionsOffered offered);
  ~OperatorRegistry();

  // --- before the node serves anybody ---

  Result<OperatorId> add_builtin(const BuiltinOperator& builtin);
  Result<OperatorId> add_native(const NativeOperator& native);

  // --- control path: takes a lock ---

  // Its tenant may name `shared` and `peer` only if that was said, and register only what its operator time covers.
  Result<OperatorId> add(SessionId session, const Tenant& tenant, std::span<const std::byte> container);
  // Forgets what only `session` still holds, after the invocations that run it.
  void release_all_of(SessionId session);
  // By name, without the internal ones.
  std::vector<std::pair<std::string, OperatorId>> builtins() const;

  // --- data path: no lock, no allocation ---

  struct Operator;
  // The node's own operator of this name; nullptr when it brought none. For its own use, internal or not.
  const Operator* builtin(std::string_view name) const noexcept;

  struct Operator {
    Operator();
    Operator(Operator&&) noexcept;
    Operator& operator=(Operator&&) noexcept;
    ~Operator();
    std::unique_ptr<const VerifiedProgram> program;  // or
    Outcome (*native)(const Invocation&) noexcept = nullptr;
    std::array<RegionBinding, kMaxRegions> bindings{};
    uint32_t region_count = 0;
    bool needs_space = false;
    bool changes_pool = false;  // not for snapshots
    bool is_internal = false;   // the node calls it for a client, who may not call it himself
    bool is_for_peers = false;  // the node's own, on the shared region alone
    bool names_shared = false;   // `shared` or `peer`: for tenants that may
    bool is_repeatable = false;  // a program whose every region is read-only: running it again changes nothing
  };

  // While a Use lives and is valid, the operator stays.
  class Use {
   public:
    Use() = default;
    Use(UseGate* gate, const Operator* target) noexcept : gate_(gate), target_(target) {}
    Use(Use&& other) noexcept
        : gate_(std::exchange(other.gate_, nullptr)),
          target_(std::exchange(other.target_, nullptr)) {}
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (gate_ != nullptr) gate_->leave();
    }
    bool is_valid() const noexcept { return target_ != nullptr; }
    const Operator* get() const noexcept { return target_; }
    const Operator* operator->() const noexcept { return target_; }

   private:
    UseGate* gate_ = nullptr;  // nullptr: the node's own, which never goes away
    const Operator* target_ = nullptr;
  };
  Use enter(TenantId tenant, OperatorId id) noexcept;

 private:
  enum class Origin { kNode, kSession };

  // Fields beside the gate change only while it is closed and drained.
  struct Slot {
    UseGate gate;
    uint32_t generation = 0;
    TenantId tenant;
    uint64_t content_hash = 0;
    std::string name;
    std::vector<SessionId> holders;
    std::optional<Operator> target;
  };
  // An id is generation << 10 | index, and index 0 is never used. The node's own are the first slots, generation 0.
  static constexpr uint32_t kIndexBits = 10;
  static constexpr uint32_t kIndexMask = (1u << kIndexBits) - 1;
  static_assert(kMaxOperators == 1u << kIndexBits);

  Result<Operator> make_operator(Program program, Origin origin, RegionsOffered offered) const;
  Result<OperatorId> install_builtin(std::string name, Operator&& target);
  uint32_t find_locked(TenantId tenant, uint64_t content_hash) const;   // 0: none
  Result<uint32_t> free_slot_locked(SessionId session, const Tenant& tenant) const;

  Engine& engine_;
  const RegionsOffered offered_;
  mutable std::mutex mutex_;  // orders registration and release; never taken by invocations
  std::unique_ptr<std::array<Slot, kMaxOperators>> slots_;
  uint32_t builtins_ = 0;     // slots 1 to builtins_; constant once the node serves
};

}  // namespace tiara::nic
