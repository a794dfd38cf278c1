// Who may use a node, and how much of it: a token, quotas of memory, of operator time and of places, and what was
// refused.
//
// The list is fixed when the node starts. Everything here may be called from any thread; what the data path calls takes
// no lock and does not allocate.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nic/isa/outcome.h"
#include "nic/wire/types.h"
#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/clock.h"

namespace tiara::nic {

// A node's schedulers keep a word for each.
inline constexpr uint32_t kMaxTenants = 255;

// Takes as long for a wrong token as for the right one, and as long for a short one as for a long one.
bool tokens_match(std::string_view wanted, std::string_view given) noexcept;

// As long as anybody's time may run ahead of what has been used of it: how much a tenant that was quiet may have saved
// up, and how long one of its calls may take at its proved worst.
inline constexpr os::Nanoseconds kTimeSaved{1'000'000'000};

struct TenantConfig {
  std::string name{};
  std::string token{};        // empty: anyone who reaches the node; then it is the only tenant
  Bytes memory{0};            // tables, pages and data regions of its address spaces; 0: an equal part of what is left
  uint32_t time_percent = 0;  // of one engine's time, as a device would need it (nic/verifier/bounds.h); 0: no quota
  uint32_t weight = 1;        // its share of the workers where several tenants wait, against the others' weights
  uint32_t sessions = 0;      // open at a time; 0: an equal part of the places; a tenant alone has no limit
  bool may_share = false;     // may name the regions `shared` and `peer`, which are not its own
};

// What there is to divide. Also what one tenant may have at most.
struct TenantLimits {
  PageCount frames;  // 0: no quota
  uint32_t sessions = 0;
  uint32_t spaces = 0;
  uint32_t operators = 0;
  Bytes data;  // data regions, which are no part of the pool; they count as frames too
};

// Why something was refused, as reports sort it.
enum class RefusalKind : uint8_t {
  kMemory,     // stores, clones and data regions that the quota has no room for
  kTime,       // calls beyond the quota of operator time: clients try again
  kAuthority,  // address spaces, operators, regions and tenants that are not the caller's, and changes of snapshots
  kPlaces,     // sessions, address spaces and operators beyond the tenant's part
  kMalformed,  // frames that cannot be decoded, and calls outside an operator's contract
};
inline constexpr size_t kRefusalKinds = 5;
const char* to_string(RefusalKind kind) noexcept;

class Tenant {
 public:
  Tenant(TenantConfig config, TenantId id, const TenantLimits& limits) noexcept
      : config_(std::move(config)), id_(id), limits_(limits) {}
  Tenant(const Tenant&) = delete;
  Tenant& operator=(const Tenant&) = delete;

  const TenantConfig& config() const noexcept { return config_; }
  TenantId id() const noexcept { return id_; }
  const TenantLimits& limits() const noexcept { return limits_; }

  // --- memory, in frames ---

  // Room for `frames` more, held until release(). False: the quota has none.
  [[nodiscard]] bool try_hold(PageCount frames) noexcept;
  void release(PageCount frames) noexcept;
  // An address space of its grew or shrank.
  void account(int64_t frames) noexcept { used_.fetch_add(static_cast<uint64_t>(frames), std::memory_order_relaxed); }
  PageCount used() const noexcept { return {used_.load(std::memory_order_relaxed)}; }

  // --- operator time: paid for after the run; what one run can cost is proved before it may be registered ---

  // Whether it has time left at `now`. Without a quota it always has.
  bool has_time(os::Nanoseconds now) const noexcept {
    return spent_until_.load(std::memory_order_relaxed) <= now.count();
  }
  bool has_time_quota() const noexcept { return config_.time_percent != 0; }
  void pay(uint64_t picoseconds, os::Nanoseconds now) noexcept;
  // The longest run that its quota covers; UINT64_MAX without a quota.
  uint64_t longest_run_ps() const noexcept;

  // --- figures. Relaxed ---

  void count(RefusalKind kind) noexcept {
    refused_[static_cast<size_t>(kind)].fetch_add(1, std::memory_order_relaxed);
  }
  void count(Refusal reason) noexcept;
  uint64_t refused(RefusalKind kind) const noexcept {
    return refused_[static_cast<size_t>(kind)].load(std::memory_order_relaxed);
  }

  // --- places; each is changed under the lock of who hands them out ---

  std::atomic<uint32_t> sessions{0};
  std::atomic<uint32_t> spaces{0};

 private:
  const TenantConfig config_;
  const TenantId id_;
  const TenantLimits limits_;
  alignas(64) std::atomic<uint64_t> used_{0};
  std::atomic<uint64_t> held_{0};
  // The moment, in nanoseconds, up to which the tenant has spent its share: a bucket in one word. Time that passes
  // fills it; it never runs more than kTimeSaved behind.
  alignas(64) std::atomic<int64_t> spent_until_{0};
  alignas(64) std::array<std::atomic<uint64_t>, kRefusalKinds> refused_{};
};

class TenantTable {
 public:
  // Names and tokens are distinct, tokens not empty unless there is one tenant only; an empty list makes one tenant
  // that anyone is. Several tenants divide `whole`: the quotas of memory that are stated must fit, and those without
  // one get equal parts of what is left. The error names what is wrong.
  static Result<TenantTable> create(std::vector<TenantConfig> configs, const TenantLimits& whole);

  // Nobody's token: nullptr. Takes as long for a wrong token as for a right one, whoever's it is.
  Tenant* authenticate(std::string_view token) noexcept;
  const std::vector<std::unique_ptr<Tenant>>& all() const noexcept { return tenants_; }
  // For sessions of other nodes, which are no tenant's: no quota, and an id that no tenant has.
  Tenant& peers() noexcept { return *peers_; }

 private:
  std::vector<std::unique_ptr<Tenant>> tenants_;  // by id
  std::unique_ptr<Tenant> peers_;
};

}  // namespace tiara::nic
