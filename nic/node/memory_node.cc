#include "nic/node/memory_node.h"

#include <algorithm>
#include <cstring>

#include "nic/engine/interpreter.h"
#include "runtime/base/check.h"
#include "runtime/base/log.h"

namespace tiara::nic {
namespace {

Outcome refusal(Refusal reason) noexcept {
  Outcome outcome;
  outcome.status = Status::kRefused;
  outcome.code = static_cast<uint16_t>(reason);
  return outcome;
}

InvocationCounts& operator+=(InvocationCounts& sum, const InvocationCounts& more) {
  sum.invocations += more.invocations;
  sum.failed += more.failed;
  sum.faulted += more.faulted;
  sum.refused += more.refused;
  return sum;
}

// Every table that storing in two leaf tables may need: a call's pages are within 64 page numbers.
constexpr PageCount kMostTables{2 * pool::kMaxLevels};

constexpr uint32_t kMaxSessions = 4096;  // as many as one server takes connections

}  // namespace

// --- Session ---

Session::~Session() {
  close();
  node_.forget(*this);
}

Outcome Session::invoke(const wire::InvocationFrame& frame, std::span<const std::byte> payload,
                        std::span<std::byte> reply) noexcept {
  const Outcome outcome = run(frame, payload, reply);
  if (outcome.status == Status::kRefused) tenant_.count(static_cast<Refusal>(outcome.code));
  // Relaxed: figures.
  counters_.invocations.fetch_add(1, std::memory_order_relaxed);
  switch (outcome.status) {
    case Status::kOk: break;
    case Status::kFailed: counters_.failed.fetch_add(1, std::memory_order_relaxed); break;
    case Status::kFault: counters_.faulted.fetch_add(1, std::memory_order_relaxed); break;
    case Status::kRefused: counters_.refused.fetch_add(1, std::memory_order_relaxed); break;
  }
  return outcome;
}

Outcome Session::refuse(Refusal reason) noexcept {
  counters_.invocations.fetch_add(1, std::memory_order_relaxed);
  counters_.refused.fetch_add(1, std::memory_order_relaxed);
  tenant_.count(reason);
  return refusal(reason);
}

Outcome Session::run(const wire::InvocationFrame& frame, std::span<const std::byte> payload,
                     std::span<std::byte> reply) noexcept {
  if (frame.tenant != tenant_.id()) return refusal(Refusal::kNotAuthorised);
  const bool is_peer = kind_ == SessionKind::kPeer;
  if (frame.operation == kOneSidedRead && !is_peer) return node_.one_sided_read(frame, reply);
  const OperatorRegistry::Use target = node_.operators_.enter(tenant_.id(), frame.operation);
  if (!target.is_valid()) return refusal(Refusal::kUnknownOperator);
  if (is_peer && !target->is_for_peers) return refusal(Refusal::kNotAuthorised);
  if (target->names_shared && !tenant_.config().may_share) return refusal(Refusal::kNotAuthorised);
  const SpaceTable::Use space = frame.space.value == 0 ? SpaceTable::Use() : node_.spaces_.enter(id_, frame.space);
  if (!space.is_valid() && (target->needs_space || frame.space.value != 0))
    return refusal(Refusal::kUnknownAddressSpace);
  if (target->changes_pool && space.is_snapshot()) return refusal(Refusal::kNotAuthorised);
  const RegionTable regions = node_.bind(*target.get(), space.index(), space.data());
  const Invocation invocation{regions, frame.used_arguments(), payload, reply,
                              is_peer ? nullptr : node_.remote_.get()};
  if (target->native != nullptr) return target->native(invocation);
  return run_within_quota(*target.get(), invocation, space.index());
}

// Memory is held for the most that the call can store, and is what it is afterwards. A call without a payload stores
// nothing: who is at his quota can still discard. Time is paid for when it has been used.
Outcome Session::run_within_quota(const OperatorRegistry::Operator& target, const Invocation& invocation,
                                  uint32_t space) noexcept {
  const os::Nanoseconds start = tenant_.has_time_quota() ? os::monotonic_now() : os::Nanoseconds{};
  if (tenant_.has_time_quota() && !tenant_.has_time(start)) return refusal(Refusal::kOverloaded);
  const bool may_store = target.changes_pool && !invocation.payload.empty();
  const PageCount most = PageCount{(invocation.payload.size() + kPageSize - 1) >> kPageShift} + kMostTables;
  if (may_store && !tenant_.try_hold(most)) return refusal(Refusal::kQuota);
  const Outcome outcome = node_.engine_->run(*target.program, invocation);
  const uint64_t took = time_ps(outcome.counts, outcome.reply_bytes, node_.device_);
  counters_.time_ps.fetch_add(took, std::memory_order_relaxed);
  if (tenant_.has_time_quota()) tenant_.pay(took, start);
  if (target.changes_pool) {
    node_.spaces_.settle(space);
    node_.reap();
  }
  if (may_store) tenant_.release(most);
  return outcome;
}

Result<std::vector<Session::Grant>> Session::grants(AddressSpaceId space) {
  const SpaceTable::Use use = node_.spaces_.enter(id_, space);
  if (!use.is_valid()) return fail(ErrorCode::kNotFound, "no such address space");
  std::vector<Grant> made;
  for (const auto& [name, id] : node_.operators_.builtins()) {
    const OperatorRegistry::Operator* const target = node_.operators_.builtin(name);
    if (target->program == nullptr || !target->needs_space || target->names_shared) continue;
    made.push_back({name, target->program.get(), node_.bind(*target, use.index(), use.data())});
  }
  return made;
}

bool Session::while_entered(AddressSpaceId space, const std::function<void()>& use) {
  {
    const SpaceTable::Use entered = node_.spaces_.enter(id_, space);
    if (!entered.is_valid()) return false;
    use();
    node_.spaces_.settle(entered.index());
  }
  node_.reap();
  return true;
}

bool Session::is_repeatable(OperatorId operation) noexcept {
  if (operation == kOneSidedRead) return true;
  const OperatorRegistry::Use target = node_.operators_.enter(tenant_.id(), operation);
  return target.is_valid() && target->is_repeatable;
}

NodeInfo Session::info() const {
  const PoolStats pool = node_.pool_.stats();
  // Who has a quota sees that, and nothing of what others have.
  const bool has_quota = tenant_.limits().frames.value != 0;
  const PageCount total = has_quota ? tenant_.limits().frames : pool.total;
  const PageCount used = has_quota ? tenant_.used() : pool.in_use;
  return {total.bytes(), used.bytes(), node_.pool_.levels(), node_.pool_.max_pages(),
          node_.operators_.builtins()};
}

template <typename T>
Result<T> Session::counted(Result<T> result) noexcept {
  if (result) return result;
  const ErrorCode code = result.error().code;
  if (code == ErrorCode::kNotFound || code == ErrorCode::kRejected || code == ErrorCode::kNoPermission)
    tenant_.count(RefusalKind::kAuthority);
  if (code == ErrorCode::kResourceExhausted) tenant_.count(RefusalKind::kPlaces);
  return result;
}

Result<AddressSpaceId> Session::create_space(uint64_t max_pages) {
  return counted(node_.spaces_.create(id_, tenant_, max_pages));
}
Result<void> Session::destroy_space(AddressSpaceId space) { return counted(node_.spaces_.destroy(id_, space)); }
Result<ClonedSpace> Session::clone_space(AddressSpaceId space, CloneKind kind) {
  return counted(node_.spaces_.clone(id_, space, kind, [this](uint32_t source, uint32_t target) {
    return node_.clone_tables(source, target);
  }));
}
Result<void> Session::adopt_space(const ClonedSpace& clone) {
  return counted(node_.spaces_.adopt(id_, tenant_, clone.space, clone.ticket));
}
Result<void> Session::allocate_data(AddressSpaceId space, Bytes size) {
  return counted(node_.spaces_.allocate_data(id_, space, size));
}
Result<OperatorId> Session::register_operator(std::span<const std::byte> container) {
  return counted(node_.operators_.add(id_, tenant_, container));
}

void Session::close() {
  if (is_closed_) return;
  is_closed_ = true;
  tenant_.sessions.fetch_sub(1, std::memory_order_relaxed);
  node_.spaces_.destroy_all_of(id_);
  node_.operators_.release_all_of(id_);
}

InvocationCounts Session::counts() const noexcept {
  const auto read = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  return {read(counters_.invocations), read(counters_.failed), read(counters_.faulted), read(counters_.refused)};
}

// --- MemoryNode ---

MemoryNode::MemoryNode(const NodeConfig& config, Pool pool, os::Mapping shared, TenantTable tenants)
    : pool_(std::move(pool)),
      shared_(std::move(shared)),
      remote_(config.remote),
      tenants_(std::move(tenants)),
      spaces_(pool_, config.data_limit),
      engine_(config.engine != nullptr ? config.engine : std::make_shared<Interpreter>()),
      operators_(*engine_, {.shared = shared_.is_mapped(), .peers = remote_ != nullptr}),
      peer_token_(config.peer_token),
      allows_one_sided_(config.allows_one_sided),
      closed_stats_(tenants_.all().size() + 1) {}

MemoryNode::~MemoryNode() { TIARA_CHECK(sessions_.empty()); }

Result<std::unique_ptr<MemoryNode>> MemoryNode::create(const NodeConfig& config,
                                                       std::span<const BuiltinOperator> builtins) {
  TIARA_TRY(Pool pool, Pool::create(config.pool));
  return create_over(std::move(pool), config, builtins);
}

Result<std::unique_ptr<MemoryNode>> MemoryNode::create_in_child(const MemoryNode& parent, const NodeConfig& config,
                                                                std::span<const BuiltinOperator> builtins,
                                                                const ClonedSpace& clone) {
  TIARA_TRY(auto node, create_over(parent.pool_.inherit(), config, builtins));
  node->spaces_.inherit(clone, *node->tenants_.all().front());
  return node;
}

Result<std::unique_ptr<MemoryNode>> MemoryNode::create_over(Pool pool, const NodeConfig& config,
                                                            std::span<const BuiltinOperator> builtins) {
  os::Mapping shared;
  if (config.shared.value != 0) {
    TIARA_TRY(shared, os::Mapping::anonymous(Bytes{round_up(config.shared.value, kPageSize)}));
  }
  std::vector<TenantConfig> list = config.tenants;
  if (list.empty()) list.push_back({.name = "everyone", .token = config.token, .may_share = true});
  const TenantLimits whole{pool.stats().total, kMaxSessions, pool::kMaxSpaces, OperatorRegistry::kMaxOperators,
                           config.data_limit};
  TIARA_TRY(TenantTable tenants, TenantTable::create(std::move(list), whole));
  std::unique_ptr<MemoryNode> node(
      new MemoryNode(config, std::move(pool), std::move(shared), std::move(tenants)));
  for (const BuiltinOperator& builtin : builtins) {
    const auto id = node->operators_.add_builtin(builtin);
    if (!id)
      return fail(id.error().code, "the node's operator " + std::string(builtin.name) + ": " + id.error().message);
  }
  for (const NativeOperator& native : config.natives) TIARA_TRY_VOID(node->operators_.add_native(native));
  return node;
}

Result<std::unique_ptr<Session>> MemoryNode::open_session(std::string_view token, SessionKind kind) {
  const std::lock_guard lock(mutex_);
  Tenant* tenant = tenants_.authenticate(token);
  if (kind == SessionKind::kPeer)
    tenant = peer_token_.empty() || tokens_match(peer_token_, token) ? &tenants_.peers() : nullptr;
  if (tenant == nullptr) {
    sessions_refused_++;
    return fail(ErrorCode::kNoPermission, "the node refuses this token; bring the one that it knows its tenant by");
  }
  if (is_draining()) {
    sessions_refused_++;
    return fail(ErrorCode::kUnavailable, "the node is being drained; use another one");
  }
  if (tenant->sessions.load(std::memory_order_relaxed) >= tenant->limits().sessions) {
    sessions_refused_++;
    tenant->count(RefusalKind::kPlaces);
    return fail(ErrorCode::kResourceExhausted, "tenant " + tenant->config().name + " has its " +
                                                   std::to_string(tenant->limits().sessions) +
                                                   " sessions open; end a program");
  }
  tenant->sessions.fetch_add(1, std::memory_order_relaxed);
  std::unique_ptr<Session> session(new Session(*this, SessionId{++sessions_opened_}, *tenant, kind));
  sessions_.push_back(session.get());
  return session;
}

void MemoryNode::while_quiet(const std::function<void(const Pool&)>& use) {
  spaces_.while_quiet([&] {
    reap();
    use(pool_);
  });
}

TenantStats MemoryNode::stats_of(const Tenant& tenant) const {
  const std::lock_guard lock(mutex_);
  TenantStats stats = closed_stats_[tenant.id().value];
  for (const Session* session : sessions_) {
    if (session->tenant() != tenant.id()) continue;
    stats.invocations += session->counts().invocations;
    stats.operator_time_ps += session->operator_time_ps();
  }
  return stats;
}

void MemoryNode::forget(Session& session) {
  const std::lock_guard lock(mutex_);
  TenantStats& closed = closed_stats_[session.tenant().value];
  closed.invocations += session.counts().invocations;
  closed.operator_time_ps += session.operator_time_ps();
  closed_counts_ += session.counts();
  std::erase(sessions_, &session);
}

NodeStats MemoryNode::stats() const {
  NodeStats stats;
  stats.pool = pool_.stats();
  stats.spaces = spaces_.live_count();
  const std::lock_guard lock(mutex_);
  stats.counts = closed_counts_;
  for (const TenantStats& closed : closed_stats_) stats.operator_time_ps += closed.operator_time_ps;
  for (const Session* session : sessions_) {
    stats.counts += session->counts();
    stats.operator_time_ps += session->operator_time_ps();
  }
  stats.sessions = static_cast<uint32_t>(sessions_.size());
  stats.sessions_opened = sessions_opened_;
  stats.sessions_refused = sessions_refused_;
  return stats;
}

bool MemoryNode::clone_tables(uint32_t source, uint32_t target) noexcept {
  const OperatorRegistry::Operator* const clone = operators_.builtin(kCloneOperator);
  if (clone == nullptr) return false;
  const RegionTable regions = bind(*clone, source, {});
  const uint64_t arguments[] = {pool::descriptor_offset(target)};
  return engine_->run(*clone->program, {regions, arguments, {}, {}}).status == Status::kOk;
}

// Takes apart what operators found to be nobody's any more: at most a few tables at a time, in the thread that made
// them so, so that nothing waits for a thread of its own.
void MemoryNode::reap() noexcept {
  if (!pool_.has_dead()) return;
  const Pool::Released released = pool_.reap();
  if (released.bad_entries != 0)
    LogLine("shared tables had ").number(released.bad_entries)
        .text(" entries that point nowhere; frames may be lost").write();
}

RegionTable MemoryNode::bind(const OperatorRegistry::Operator& target, uint32_t space, Region data) const noexcept {
  RegionTable regions{};
  for (uint32_t i = 0; i < target.region_count; i++) {
    switch (target.bindings[i]) {
      case RegionBinding::kUnused: break;
      case RegionBinding::kPool: regions[i] = pool_.pool_region(); break;
      case RegionBinding::kSpace: regions[i] = pool_.space_region(space); break;
      case RegionBinding::kAlloc: regions[i] = pool_.alloc_region(); break;
      case RegionBinding::kReferences: regions[i] = pool_.references_region(); break;
      case RegionBinding::kData: regions[i] = data; break;
      case RegionBinding::kShared: regions[i] = {shared_.data(), shared_.size(), Permission::kReadWriteAtomic}; break;
    }
  }
  return regions;
}

Outcome MemoryNode::one_sided_read(const wire::InvocationFrame& frame, std::span<std::byte> reply) const noexcept {
  if (!allows_one_sided_) return refusal(Refusal::kNotAuthorised);
  if (frame.argument_count != 2) return refusal(Refusal::kArgumentCount);
  const auto [offset, length] = std::pair(frame.arguments[0], frame.arguments[1]);
  if (length > reply.size()) return refusal(Refusal::kReplyRoom);
  Outcome outcome;
  const uint64_t size = pool_.pool_region().size;  // frames only: references are no part of it
  if (offset > size || length > size - offset) {
    outcome.status = Status::kFault;
    outcome.code = static_cast<uint16_t>(Fault::kRegionBounds);
    return outcome;
  }
  std::memcpy(reply.data(), pool_.bytes().data() + offset, length);
  outcome.status = Status::kOk;
  outcome.reply_bytes = length;
  outcome.counts.bytes_moved = length;
  return outcome;
}

}  // namespace tiara::nic
