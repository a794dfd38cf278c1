#include "nic/node/tenants.h"

#include <algorithm>

#include "nic/node/pool_layout.h"
#include "nic/wire/control.h"
#include "runtime/base/config.h"

namespace tiara::nic {
namespace {

// Frames that calls under way may hold beyond what they will have stored, all tenants together: tables that a lost
// compare-and-swap gives back, and what waits to be reaped. One tenant's must not be missing from another's quota.
constexpr uint64_t kSlackFrames = 128;

// A tenant with less could not hold a page table and a page.
constexpr uint64_t kMinQuotaFrames = 16;

std::unexpected<Error> refuse(const TenantConfig& tenant, const std::string& why) {
  return fail(ErrorCode::kInvalidInput, "tenant \"" + tenant.name + "\" " + why);
}

Result<void> check(const TenantConfig& config, const std::vector<TenantConfig>& all) {
  if (config.name.empty() || config.name.size() > wire::kMaxName)
    return refuse(config, "needs a name of 1 to 64 bytes");
  if (config.token.empty() && all.size() > 1)
    return refuse(config, "needs a token: a node has one open tenant or none");
  if (config.token.size() > wire::kMaxToken) return refuse(config, "has a token of more than 256 bytes; shorten it");
  if (config.weight == 0 || config.weight > 1000) return refuse(config, "needs a weight of 1 to 1000");
  if (config.time_percent > 10'000) return refuse(config, "may have at most 10000 % of an engine's time");
  for (const TenantConfig& other : all) {
    if (&other == &config) break;
    if (other.name == config.name) return refuse(config, "stands twice in the list");
    if (other.token == config.token) return refuse(config, "has another tenant's token");
  }
  return {};
}

// The quota of each in frames; 0: none, which one tenant alone may have.
Result<std::vector<uint64_t>> divide_memory(const std::vector<TenantConfig>& configs, PageCount frames) {
  std::vector<uint64_t> quotas;
  uint64_t stated = 0, unstated = 0;
  for (const TenantConfig& config : configs) {
    quotas.push_back(config.memory.value >> kPageShift);
    stated += quotas.back();
    if (quotas.back() == 0) unstated++;
  }
  if (configs.size() == 1) return quotas;
  const uint64_t usable = frames.value - std::min(kSlackFrames, frames.value / 8);
  // The node's own frames are a part of its --memory: quotas that add up to that are meant to fit, and shrink a little.
  if (stated > frames.value + pool::kFirstDataFrame)
    return fail(ErrorCode::kInvalidInput, "the tenants' quotas are " + format_bytes(PageCount{stated}.bytes()) +
                                              " of memory together; the node has " + format_bytes(frames.bytes()));
  if (stated > usable)
    for (uint64_t& quota : quotas) quota = quota * usable / stated;
  const uint64_t left = usable - std::min(stated, usable);
  for (size_t i = 0; i < configs.size(); i++) {
    if (configs[i].memory.value == 0) quotas[i] = left / unstated;
    if (quotas[i] < kMinQuotaFrames)
      return refuse(configs[i], "is left with " + format_bytes(PageCount{quotas[i]}.bytes()) +
                                    " of memory; give it a quota, or the node more memory");
  }
  return quotas;
}

}  // namespace

bool tokens_match(std::string_view wanted, std::string_view given) noexcept {
  unsigned difference = wanted.size() == given.size() ? 0 : 1;
  const auto byte_of = [](std::string_view text, size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  for (size_t i = 0; i < wire::kMaxToken; i++) difference |= byte_of(wanted, i) ^ byte_of(given, i);
  return difference == 0;
}

const char* to_string(RefusalKind kind) noexcept {
  switch (kind) {
    case RefusalKind::kMemory: return "memory";
    case RefusalKind::kTime: return "time";
    case RefusalKind::kAuthority: return "authority";
    case RefusalKind::kPlaces: return "places";
    case RefusalKind::kMalformed: return "malformed";
  }
  return "unknown";
}

bool Tenant::try_hold(PageCount frames) noexcept {
  if (limits_.frames.value == 0) return true;
  // Acquire: pairs with release(), so that what a hold turned into is seen in used_ once the hold is gone.
  const uint64_t held = held_.fetch_add(frames.value, std::memory_order_acquire) + frames.value;
  if (used_.load(std::memory_order_relaxed) + held <= limits_.frames.value) return true;
  release(frames);
  return false;
}

void Tenant::release(PageCount frames) noexcept {
  if (limits_.frames.value != 0) held_.fetch_sub(frames.value, std::memory_order_release);
}

void Tenant::pay(uint64_t picoseconds, os::Nanoseconds now) noexcept {
  // At p percent, a nanosecond of operator time is earned in 100 / p nanoseconds.
  const auto cost = static_cast<int64_t>(picoseconds / 10 / config_.time_percent);
  int64_t until = spent_until_.load(std::memory_order_relaxed);
  while (!spent_until_.compare_exchange_weak(until, std::max(until, (now - kTimeSaved).count()) + cost,
                                             std::memory_order_relaxed)) {
  }
}

uint64_t Tenant::longest_run_ps() const noexcept {
  return has_time_quota() ? static_cast<uint64_t>(kTimeSaved.count()) * config_.time_percent * 10 : UINT64_MAX;
}

void Tenant::count(Refusal reason) noexcept {
  switch (reason) {
    case Refusal::kNone: return;
    case Refusal::kQuota: return count(RefusalKind::kMemory);
    case Refusal::kOverloaded: return count(RefusalKind::kTime);
    case Refusal::kUnknownOperator:
    case Refusal::kUnknownAddressSpace:
    case Refusal::kRegionUnbound:
    case Refusal::kNotAuthorised: return count(RefusalKind::kAuthority);
    case Refusal::kMalformedFrame:
    case Refusal::kArgumentCount:
    case Refusal::kArgumentRange:
    case Refusal::kPayloadSize:
    case Refusal::kReplyRoom: return count(RefusalKind::kMalformed);
  }
}

Result<TenantTable> TenantTable::create(std::vector<TenantConfig> configs, const TenantLimits& whole) {
  if (configs.empty()) configs.push_back({.name = "everyone", .may_share = true});
  if (configs.size() > kMaxTenants)
    return fail(ErrorCode::kInvalidInput, std::to_string(configs.size()) + " tenants; a node has at most " +
                                              std::to_string(kMaxTenants));
  for (const TenantConfig& config : configs) TIARA_TRY_VOID(check(config, configs));
  TIARA_TRY(const std::vector<uint64_t> frames, divide_memory(configs, whole.frames));
  TenantTable table;
  const auto count = static_cast<uint32_t>(configs.size());
  for (uint32_t i = 0; i < count; i++) {
    TenantLimits limits{{frames[i]}, configs[i].sessions, whole.spaces / count, whole.operators / count, whole.data};
    limits.data.value /= count;
    if (limits.sessions == 0) limits.sessions = count == 1 ? UINT32_MAX : whole.sessions / count;
    table.tenants_.push_back(std::make_unique<Tenant>(std::move(configs[i]), TenantId{i}, limits));
  }
  table.peers_ = std::make_unique<Tenant>(TenantConfig{.name = "peers", .may_share = true}, TenantId{count}, whole);
  return table;
}

Tenant* TenantTable::authenticate(std::string_view token) noexcept {
  // An open node takes whoever comes.
  if (tenants_.size() == 1 && tenants_[0]->config().token.empty()) return tenants_[0].get();
  Tenant* found = nullptr;
  for (const auto& tenant : tenants_)
    if (tokens_match(tenant->config().token, token)) found = tenant.get();
  return found;
}

}  // namespace tiara::nic
