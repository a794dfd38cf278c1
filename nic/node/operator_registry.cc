#include "nic/node/operator_registry.h"

#include <algorithm>

#include "nic/isa/program.h"
#include "nic/verifier/rejection.h"
#include "nic/verifier/verified_program.h"
#include "nic/wire/control.h"
#include "runtime/base/check.h"

namespace tiara::nic {
namespace {

struct NamedRegion {
  std::string_view name;
  RegionBinding binding;
  bool is_the_nodes;  // holds every tenant's pages: only for programs that the node brings itself
};
constexpr NamedRegion kNamedRegions[] = {
    {"pool", RegionBinding::kPool, true},
    {"space", RegionBinding::kSpace, true},
    {"alloc", RegionBinding::kAlloc, true},
    {"refs", RegionBinding::kReferences, true},
    {"data", RegionBinding::kData, false},
    {"shared", RegionBinding::kShared, false},
};
constexpr std::string_view kRemoteRegion = "peer";

enum class Grant { kEverything, kUsersRegions };

std::unexpected<Error> others_only(const std::string& region) {
  return fail(ErrorCode::kNoPermission,
              "region \"" + region + "\" is not this tenant's to name; ask for \"shared\": true in the node's "
              "configuration, or use \"data\"");
}

Result<RegionBinding> bind(const RegionDeclaration& region, Grant grant, RegionsOffered offered) {
  if (region.is_remote) {
    if (region.name != kRemoteRegion)
      return fail(ErrorCode::kRejected,
                  "no node has a remote region \"" + region.name + "\"; the one there is is \"peer\"");
    if (offered.is_for_others) return others_only(region.name);
    if (!offered.peers)
      return fail(ErrorCode::kRejected, "the node knows no other nodes, for the region \"peer\"; start it with --peer");
    return RegionBinding::kUnused;  // the remote port finds it
  }
  const auto* const known = std::ranges::find(kNamedRegions, region.name, &NamedRegion::name);
  if (known == std::end(kNamedRegions))
    return fail(ErrorCode::kRejected,
                "the node has no region \"" + region.name + "\" to bind; it offers \"data\" and \"shared\"");
  if (known->binding == RegionBinding::kShared && offered.is_for_others) return others_only(region.name);
  if (known->binding == RegionBinding::kShared && !offered.shared)
    return fail(ErrorCode::kRejected, "the node has no region \"shared\"; start it with --shared");
  if (known->is_the_nodes && grant != Grant::kEverything)
    return fail(ErrorCode::kRejected,
                "region \"" + region.name + "\" is for the node's own operators; use \"data\"");
  return known->binding;
}

}  // namespace

OperatorRegistry::Operator::Operator() = default;
OperatorRegistry::Operator::Operator(Operator&&) noexcept = default;
OperatorRegistry::Operator& OperatorRegistry::Operator::operator=(Operator&&) noexcept = default;
OperatorRegistry::Operator::~Operator() = default;

OperatorRegistry::OperatorRegistry(Engine& engine, RegionsOffered offered)
    : engine_(engine), offered_(offered), slots_(std::make_unique<std::array<Slot, kMaxOperators>>()) {}
OperatorRegistry::~OperatorRegistry() = default;

Result<OperatorRegistry::Operator> OperatorRegistry::make_operator(Program program, Origin origin,
                                                                   RegionsOffered offered) const {
  const Grant grant = origin == Origin::kNode ? Grant::kEverything : Grant::kUsersRegions;
  Operator made;
  made.region_count = static_cast<uint32_t>(program.regions.size());
  TIARA_CHECK(made.region_count <= kMaxRegions);
  made.is_repeatable = std::ranges::all_of(
      program.regions, [](const RegionDeclaration& region) { return region.permission == Permission::kRead; });
  made.is_for_peers = origin == Origin::kNode;
  for (uint32_t i = 0; i < made.region_count; i++) {
    TIARA_TRY(made.bindings[i], bind(program.regions[i], grant, offered));
    made.names_shared |= program.regions[i].is_remote || made.bindings[i] == RegionBinding::kShared;
    made.is_for_peers &= made.bindings[i] == RegionBinding::kShared;
    made.changes_pool |= made.bindings[i] == RegionBinding::kPool &&
                         program.regions[i].permission != Permission::kRead;
    made.needs_space |= made.bindings[i] == RegionBinding::kSpace || made.bindings[i] == RegionBinding::kData;
  }
  auto verified = verify(std::move(program));
  if (!verified) return fail(ErrorCode::kRejected, to_string(verified.error()));
  made.program = std::make_unique<const VerifiedProgram>(std::move(*verified));
  (void)engine_.prepare(*made.program);  // an engine that cannot is slower, not wrong
  return made;
}

Result<OperatorId> OperatorRegistry::install_builtin(std::string name, Operator&& target) {
  if (name.empty() || name.size() > wire::kMaxName)
    return fail(ErrorCode::kInvalidInput, "an operator of the node needs a name of 1 to 64 bytes");
  for (uint32_t i = 1; i <= builtins_; i++)
    if ((*slots_)[i].name == name) return fail(ErrorCode::kInvalidInput, "the node has two operators " + name);
  if (builtins_ + 1 == kMaxOperators) return fail(ErrorCode::kResourceExhausted, "too many operators of the node");
  Slot& slot = (*slots_)[++builtins_];
  slot.name = std::move(name);
  slot.target.emplace(std::move(target));
  return OperatorId{builtins_};
}

Result<OperatorId> OperatorRegistry::add_builtin(const BuiltinOperator& builtin) {
  TIARA_TRY(Program program, deserialize(builtin.container));
  TIARA_TRY(Operator made, make_operator(std::move(program), Origin::kNode, offered_));
  made.is_internal = builtin.name == kCloneOperator;
  return install_builtin(std::string(builtin.name), std::move(made));
}

Result<OperatorId> OperatorRegistry::add_native(const NativeOperator& native) {
  TIARA_CHECK(native.run != nullptr);
  Operator made;
  made.native = native.run;
  made.bindings = {RegionBinding::kPool, RegionBinding::kSpace, RegionBinding::kAlloc};
  made.region_count = 3;
  made.needs_space = true;
  return install_builtin(native.name, std::move(made));
}

uint32_t OperatorRegistry::find_locked(TenantId tenant, uint64_t content_hash) const {
  for (uint32_t i = builtins_ + 1; i < kMaxOperators; i++) {
    const Slot& slot = (*slots_)[i];
    if (!slot.gate.is_closed() && slot.tenant == tenant && slot.content_hash == content_hash) return i;
  }
  return 0;
}

Result<uint32_t> OperatorRegistry::free_slot_locked(SessionId session, const Tenant& tenant) const {
  uint32_t held = 0, of_tenant = 0;
  uint32_t free = 0;
  for (uint32_t i = kMaxOperators - 1; i > builtins_; i--) {
    const Slot& slot = (*slots_)[i];
    if (slot.gate.is_closed()) {
      free = i;
      continue;
    }
    held += static_cast<uint32_t>(std::ranges::count(slot.holders, session));
    if (slot.tenant == tenant.id()) of_tenant++;
  }
  if (held >= kMaxPerSession)
    return fail(ErrorCode::kResourceExhausted, "a session registers at most " + std::to_string(kMaxPerSession) +
                                                   " operators; open another");
  if (of_tenant >= tenant.limits().operators)
    return fail(ErrorCode::kResourceExhausted, "tenant " + tenant.config().name + " has its " +
                                                   std::to_string(of_tenant) + " operators registered; end a program");
  if (free == 0) return fail(ErrorCode::kResourceExhausted, "the node has no room for another operator");
  return free;
}

Result<OperatorId> OperatorRegistry::add(SessionId session, const Tenant& tenant,
                                         std::span<const std::byte> container) {
  TIARA_TRY(Program program, deserialize(container));
  const uint64_t hash = content_hash(program);
  std::string name = program.name;
  const auto id_of = [this](uint32_t index) { return OperatorId{(*slots_)[index].generation << kIndexBits | index}; };

  // Verified outside the lock: it may take milliseconds.
  RegionsOffered offered = offered_;
  if (!tenant.config().may_share) offered = {.is_for_others = offered.shared || offered.peers};
  TIARA_TRY(Operator made, make_operator(std::move(program), Origin::kSession, offered));
  if (tenant.has_time_quota() && made.program->worst_case_ps(fpga_over_pcie()) > tenant.longest_run_ps())
    return fail(ErrorCode::kRejected, "one run of this program can take longer than the operator time of tenant " +
                                          tenant.config().name + " covers; bound its loops more tightly");
  const std::lock_guard lock(mutex_);
  if (const uint32_t index = find_locked(tenant.id(), hash); index != 0) {
    Slot& slot = (*slots_)[index];
    if (std::ranges::find(slot.holders, session) == slot.holders.end()) slot.holders.push_back(session);
    return id_of(index);
  }
  TIARA_TRY(const uint32_t index, free_slot_locked(session, tenant));
  Slot& slot = (*slots_)[index];
  slot.generation = slot.generation % (UINT32_MAX >> kIndexBits) + 1;
  // The top generation would reach the reserved numbers (kOneSidedRead).
  if (slot.generation == UINT32_MAX >> kIndexBits) slot.generation = 1;
  slot.tenant = tenant.id();
  slot.content_hash = hash;
  slot.name = std::move(name);
  slot.holders = {session};
  slot.target.emplace(std::move(made));
  slot.gate.open();
  return id_of(index);
}

void OperatorRegistry::release_all_of(SessionId session) {
  const std::lock_guard lock(mutex_);
  for (uint32_t i = builtins_ + 1; i < kMaxOperators; i++) {
    Slot& slot = (*slots_)[i];
    if (slot.gate.is_closed() || std::erase(slot.holders, session) == 0 || !slot.holders.empty()) continue;
    slot.gate.close_and_drain();
    slot.target.reset();
  }
}

std::vector<std::pair<std::string, OperatorId>> OperatorRegistry::builtins() const {
  std::vector<std::pair<std::string, OperatorId>> list;
  for (uint32_t i = 1; i <= builtins_; i++)
    if (!(*slots_)[i].target->is_internal) list.emplace_back((*slots_)[i].name, OperatorId{i});
  return list;
}

const OperatorRegistry::Operator* OperatorRegistry::builtin(std::string_view name) const noexcept {
  for (uint32_t i = 1; i <= builtins_; i++)
    if ((*slots_)[i].name == name) return &*(*slots_)[i].target;
  return nullptr;
}

OperatorRegistry::Use OperatorRegistry::enter(TenantId tenant, OperatorId id) noexcept {
  const uint32_t index = id.value & kIndexMask;
  if (index == 0) return {};
  Slot& slot = (*slots_)[index];
  if (index <= builtins_)
    return id.value == index && !slot.target->is_internal ? Use(nullptr, &*slot.target) : Use();
  if (!slot.gate.try_enter()) return {};
  if (slot.tenant != tenant || slot.generation != id.value >> kIndexBits) {
    slot.gate.leave();
    return {};
  }
  return Use(&slot.gate, &*slot.target);
}

}  // namespace tiara::nic
