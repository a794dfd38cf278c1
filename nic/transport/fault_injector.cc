#include "nic/transport/fault_injector.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "nic/timing/engine_timing.h"
#include "runtime/base/check.h"
#include "runtime/os/futex.h"
#include "runtime/os/spin.h"

namespace tiara::nic {

using os::Nanoseconds;

namespace {

// SplitMix64 (Steele, Lea, Flood 2014): a good word for every (seed, request, purpose) without state.
uint64_t draw(uint64_t seed, uint64_t request, uint64_t purpose) noexcept {
  uint64_t z = seed * 0x9e3779b97f4a7c15 + request * 8 + purpose;
  for (int round = 0; round < 2; round++) {
    z += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
  }
  return z;
}

// In [0, 1).
double fraction(uint64_t word) noexcept { return static_cast<double>(word >> 11) * 0x1p-53; }

// Microseconds cannot be slept, so they are spun; most of a longer time is slept.
void wait_until(Nanoseconds when) noexcept {
  constexpr Nanoseconds kWorthSleeping{1'000'000};
  const std::atomic<uint32_t> nobody{0};
  for (Nanoseconds now = os::monotonic_now(); now < when; now = os::monotonic_now()) {
    if (when - now > kWorthSleeping)
      (void)os::futex_wait(nobody, 0, when - now - kWorthSleeping / 2, os::FutexScope::kPrivate);
    else
      os::cpu_relax();
  }
}

std::optional<double> parse_number(std::string_view& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !(value >= 0) || value > 1e15) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

// "5us" in picoseconds.
std::optional<double> parse_time_ps(std::string_view text) {
  auto value = parse_number(text);
  if (!value) return std::nullopt;
  if (text == "ps") return *value;
  if (text == "ns") return *value * 1e3;
  if (text == "us") return *value * 1e6;
  if (text == "ms") return *value * 1e9;
  if (text == "s") return *value * 1e12;
  return std::nullopt;
}

std::optional<Nanoseconds> parse_time(std::string_view text) {
  const auto ps = parse_time_ps(text);
  if (!ps || *ps > 1e15) return std::nullopt;  // 1000 s
  return Nanoseconds(static_cast<int64_t>(*ps / 1e3));
}

std::optional<double> parse_rate(std::string_view text) {
  const auto value = parse_number(text);
  return value && *value <= 1 && text.empty() ? value : std::nullopt;
}

template <typename From, typename To>
bool set(const std::optional<From>& value, To& field) {
  if (value) field = static_cast<To>(*value);
  return value.has_value();
}

bool parse_part(std::string_view name, std::string_view value, FaultPlan& plan) {
  const auto whole = [value]() -> std::optional<uint64_t> {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    return error == std::errc() && end == value.data() + value.size() ? std::optional(number) : std::nullopt;
  };
  if (name == "seed") return set(whole(), plan.seed);
  if (name == "cut") return set(whole(), plan.cut_after);
  if (name == "one_way") return set(parse_time(value), plan.one_way);
  if (name == "jitter") return set(parse_time(value), plan.jitter);
  if (name == "corrupt") return set(parse_rate(value), plan.corrupt_rate);
  if (name == "access") return set(parse_time(value), plan.device.access);
  if (name == "cycle") return set(parse_time_ps(value), plan.device.cycle_ps);
  if (name == "step") return set(parse_time_ps(value), plan.device.step_ps);
  if (name == "byte") return set(parse_time_ps(value), plan.device.byte_ps);
  const size_t at = value.find('@');
  return name == "stall" && at != std::string_view::npos && set(parse_time(value.substr(0, at)), plan.stall) &&
         set(parse_rate(value.substr(at + 1)), plan.stall_rate);
}

}  // namespace

Nanoseconds DeviceModel::time_of(const Counts& counts) const noexcept {
  const EngineCost cost = estimate(counts);
  const uint64_t ps = cost.cycles * cycle_ps + counts.steps * step_ps + counts.bytes_moved * byte_ps;
  return access * static_cast<int64_t>(cost.waits) + Nanoseconds(static_cast<int64_t>(ps / 1000));
}

Result<FaultPlan> parse_fault_plan(std::string_view text) {
  FaultPlan plan;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || !parse_part(part.substr(0, equals), part.substr(equals + 1), plan))
      return fail(ErrorCode::kInvalidInput,
                  "fault plan: \"" + std::string(part) +
                      "\" is malformed; use one_way=, jitter=, access= TIME, stall=TIME@RATE, "
                      "corrupt=RATE, cut=COUNT, seed=NUMBER, cycle=, step=, byte= TIME");
  }
  return plan;
}

FaultInjector::FaultInjector(std::unique_ptr<Channel> inner, const FaultPlan& plan) noexcept
    : inner_(std::move(inner)), plan_(plan) {}

FaultInjector::~FaultInjector() = default;

FaultInjector::Fate FaultInjector::next_fate() noexcept {
  const uint64_t request = requests_.fetch_add(1, std::memory_order_relaxed);
  const auto word = [&](uint64_t purpose) { return draw(plan_.seed, request, purpose); };
  const auto jitter = [&](uint64_t purpose) {
    return Nanoseconds(static_cast<int64_t>(fraction(word(purpose)) * static_cast<double>(plan_.jitter.count())));
  };
  Fate fate;
  fate.is_cut = request >= plan_.cut_after;
  fate.there = plan_.one_way + jitter(0);
  fate.back = plan_.one_way + jitter(1);
  if (fraction(word(2)) < plan_.stall_rate) fate.there += plan_.stall;
  fate.is_corrupted = fraction(word(3)) < plan_.corrupt_rate;
  fate.corrupted_bit = word(4);
  if (fate.is_cut) is_cut_.store(true, std::memory_order_release);  // pairs with is_lost()
  return fate;
}

void FaultInjector::corrupt(const Fate& fate, Reply& reply, std::span<std::byte> room) const noexcept {
  const uint64_t bytes = reply.outcome.reply_bytes;
  if (!fate.is_corrupted || reply.call != CallStatus::kAnswered || bytes == 0 || bytes > room.size()) return;
  const uint64_t bit = fate.corrupted_bit % (bytes * 8);
  room[bit / 8] ^= std::byte{1} << (bit % 8);
}

bool FaultInjector::is_lost() const noexcept { return is_cut_.load(std::memory_order_acquire) || inner_->is_lost(); }

Reply FaultInjector::call(const Request& request, std::span<std::byte> reply_room) noexcept {
  if (is_lost()) return {};
  const Fate fate = next_fate();
  // A cut request may have run or not: half of them do, and nobody hears of it.
  if (fate.is_cut && fate.corrupted_bit % 2 == 0) return {};
  wait_until(os::monotonic_now() + fate.there);
  Reply reply = inner_->call(request, reply_room);
  if (fate.is_cut) return {};
  wait_until(os::monotonic_now() + fate.back + plan_.device.time_of(reply.outcome.counts));
  corrupt(fate, reply, reply_room);
  return reply;
}

// The node gets a posted request at once and its answer is kept back for the whole way: the caller cannot tell.
Ticket FaultInjector::post(const Request& request, std::span<std::byte> reply_room) noexcept {
  if (is_lost()) return {};
  const Ticket ticket = inner_->post(request, reply_room);
  if (!ticket.is_valid()) return ticket;
  TIARA_CHECK(ticket.value < posted_.size());
  const Fate fate = next_fate();
  posted_[ticket.value] = {fate, os::monotonic_now(), reply_room};
  return ticket;
}

bool FaultInjector::is_done(Ticket ticket) noexcept {
  if (is_lost()) return true;
  if (!inner_->is_done(ticket)) return false;
  const Posted& posted = posted_[ticket.value];
  return os::monotonic_now() >= posted.posted_at + posted.fate.there + posted.fate.back;
}

Reply FaultInjector::collect(Ticket ticket) noexcept {
  const Posted posted = posted_[ticket.value];
  Reply reply = inner_->collect(ticket);  // also when cut: the slot is spent
  if (is_lost() || posted.fate.is_cut) return {};
  wait_until(posted.posted_at + posted.fate.there + posted.fate.back + plan_.device.time_of(reply.outcome.counts));
  corrupt(posted.fate, reply, posted.reply_room);
  return reply;
}

Result<void> FaultInjector::check_connected() const {
  if (is_cut_.load(std::memory_order_acquire))
    return fail(ErrorCode::kUnavailable, "the connection was cut by the fault plan; connect again");
  return {};
}

Result<NodeInfo> FaultInjector::info() {
  TIARA_TRY_VOID(check_connected());
  return inner_->info();
}
Result<AddressSpaceId> FaultInjector::create_space(uint64_t max_pages) {
  TIARA_TRY_VOID(check_connected());
  return inner_->create_space(max_pages);
}
Result<void> FaultInjector::destroy_space(AddressSpaceId space) {
  TIARA_TRY_VOID(check_connected());
  return inner_->destroy_space(space);
}
Result<ClonedSpace> FaultInjector::clone_space(AddressSpaceId space, CloneKind kind) {
  TIARA_TRY_VOID(check_connected());
  return inner_->clone_space(space, kind);
}

Result<void> FaultInjector::adopt_space(const ClonedSpace& clone) {
  TIARA_TRY_VOID(check_connected());
  return inner_->adopt_space(clone);
}

Result<void> FaultInjector::allocate_data(AddressSpaceId space, Bytes size) {
  TIARA_TRY_VOID(check_connected());
  return inner_->allocate_data(space, size);
}
Result<OperatorId> FaultInjector::register_operator(std::span<const std::byte> container) {
  TIARA_TRY_VOID(check_connected());
  return inner_->register_operator(container);
}

}  // namespace tiara::nic
