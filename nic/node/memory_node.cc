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

// Takes as long for a wrong token as for the right one.
bool tokens_match(std::string_view wanted, std::string_view given) {
  unsigned difference = wanted.size() == given.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); i++)
    difference |= static_cast<unsigned char>(given[i] ^ (wanted.empty() ? 0 : wanted[i % wanted.size()]));
  return difference == 0;
}

InvocationCounts& operator+=(InvocationCounts& sum, const InvocationCounts& more) {
  sum.invocations += more.invocations;
  sum.failed += more.failed;
  sum.faulted += more.faulted;
  sum.refused += more.refused;
  return sum;
}

}  // namespace

// --- Session ---

Session::~Session() {
  close();
  node_.forget(*this);
}

Outcome Session::invoke(const wire::InvocationFrame& frame, std::span<const std::byte> payload,
                        std::span<std::byte> reply) noexcept {
  const Outcome outcome = run(frame, payload, reply);
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
  return refusal(reason);
}

Outcome Session::run(const wire::InvocationFrame& frame, std::span<const std::byte> payload,
                     std::span<std::byte> reply) noexcept {
  if (frame.tenant != tenant_) return refusal(Refusal::kNotAuthorised);
  const bool is_peer = kind_ == SessionKind::kPeer;
  if (frame.operation == kOneSidedRead && !is_peer) return node_.one_sided_read(frame, reply);
  const OperatorRegistry::Use target = node_.operators_.enter(tenant_, frame.operation);
  if (!target.is_valid()) return refusal(Refusal::kUnknownOperator);
  if (is_peer && !target->is_for_peers) return refusal(Refusal::kNotAuthorised);
  const SpaceTable::Use space = frame.space.value == 0 ? SpaceTable::Use() : node_.spaces_.enter(id_, frame.space);
  if (!space.is_valid() && (target->needs_space || frame.space.value != 0))
    return refusal(Refusal::kUnknownAddressSpace);
  if (target->changes_pool && space.is_snapshot()) return refusal(Refusal::kNotAuthorised);
  const RegionTable regions = node_.bind(*target.get(), space.index(), space.data());
  const Invocation invocation{regions, frame.used_arguments(), payload, reply,
                              is_peer ? nullptr : node_.remote_.get()};
  if (target->native != nullptr) return target->native(invocation);
  const Outcome outcome = node_.engine_->run(*target->program, invocation);
  if (target->changes_pool) node_.reap();
  return outcome;
}

bool Session::is_repeatable(OperatorId operation) noexcept {
  if (operation == kOneSidedRead) return true;
  const OperatorRegistry::Use target = node_.operators_.enter(tenant_, operation);
  return target.is_valid() && target->is_repeatable;
}

NodeInfo Session::info() const {
  const PoolStats pool = node_.pool_.stats();
  return {pool.total.bytes(), pool.in_use.bytes(), node_.pool_.levels(), node_.pool_.max_pages(),
          node_.operators_.builtins()};
}

Result<AddressSpaceId> Session::create_space(uint64_t max_pages) { return node_.spaces_.create(id_, max_pages); }
Result<void> Session::destroy_space(AddressSpaceId space) { return node_.spaces_.destroy(id_, space); }
Result<ClonedSpace> Session::clone_space(AddressSpaceId space, CloneKind kind) {
  return node_.spaces_.clone(id_, space, kind, [this](uint32_t source, uint32_t target) {
    return node_.clone_tables(source, target);
  });
}
Result<void> Session::adopt_space(const ClonedSpace& clone) {
  return node_.spaces_.adopt(id_, clone.space, clone.ticket);
}
Result<void> Session::allocate_data(AddressSpaceId space, Bytes size) {
  return node_.spaces_.allocate_data(id_, space, size);
}
Result<OperatorId> Session::register_operator(std::span<const std::byte> container) {
  return node_.operators_.add(id_, tenant_, container);
}

void Session::close() {
  if (is_closed_) return;
  is_closed_ = true;
  node_.spaces_.destroy_all_of(id_);
  node_.operators_.release_all_of(id_);
}

InvocationCounts Session::counts() const noexcept {
  const auto read = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  return {read(counters_.invocations), read(counters_.failed), read(counters_.faulted), read(counters_.refused)};
}

// --- MemoryNode ---

MemoryNode::MemoryNode(const NodeConfig& config, Pool pool, os::Mapping shared)
    : pool_(std::move(pool)),
      shared_(std::move(shared)),
      remote_(config.remote),
      spaces_(pool_, config.data_limit),
      engine_(config.engine != nullptr ? config.engine : std::make_shared<Interpreter>()),
      operators_(*engine_, {.shared = shared_.is_mapped(), .peers = remote_ != nullptr}),
      token_(config.token),
      allows_one_sided_(config.allows_one_sided) {}

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
  node->spaces_.inherit(clone);
  return node;
}

Result<std::unique_ptr<MemoryNode>> MemoryNode::create_over(Pool pool, const NodeConfig& config,
                                                            std::span<const BuiltinOperator> builtins) {
  os::Mapping shared;
  if (config.shared.value != 0) {
    TIARA_TRY(shared, os::Mapping::anonymous(Bytes{round_up(config.shared.value, kPageSize)}));
  }
  std::unique_ptr<MemoryNode> node(new MemoryNode(config, std::move(pool), std::move(shared)));
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
  if (!token_.empty() && !tokens_match(token_, token)) {
    sessions_refused_++;
    return fail(ErrorCode::kNoPermission, "the node refuses this token; bring the one it was started with");
  }
  std::unique_ptr<Session> session(new Session(*this, SessionId{++sessions_opened_}, TenantId{0}, kind));
  sessions_.push_back(session.get());
  return session;
}

void MemoryNode::forget(Session& session) {
  const std::lock_guard lock(mutex_);
  closed_counts_ += session.counts();
  std::erase(sessions_, &session);
}

NodeStats MemoryNode::stats() const {
  NodeStats stats;
  stats.pool = pool_.stats();
  stats.spaces = spaces_.live_count();
  const std::lock_guard lock(mutex_);
  stats.counts = closed_counts_;
  for (const Session* session : sessions_) stats.counts += session->counts();
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
