#include "fault-handler/pager_parts.h"

namespace tiara::fault {
namespace {

bool holds_data(PageState state) { return state != PageState::kUntouched && state != PageState::kPoisoned; }

void raise_to(std::atomic<uint64_t>& peak, uint64_t value) {
  uint64_t seen = peak.load(std::memory_order_relaxed);
  while (seen < value && !peak.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

void grow(std::atomic<uint64_t>& gauge, uint64_t by, std::atomic<uint64_t>& peak) {
  raise_to(peak, gauge.fetch_add(by, std::memory_order_relaxed) + by);
}

}  // namespace

void PagerParts::account(PageState from, PageState to, uint64_t count) const noexcept {
  stats::Counters& gauges = counters();
  if (from == PageState::kResident && to != from) gauges.resident_pages.fetch_sub(count, std::memory_order_relaxed);
  if (from == PageState::kRemote && to != from) gauges.remote_pages.fetch_sub(count, std::memory_order_relaxed);
  if (to == PageState::kResident && to != from) grow(gauges.resident_pages, count, gauges.resident_pages_peak);
  if (to == PageState::kRemote && to != from) gauges.remote_pages.fetch_add(count, std::memory_order_relaxed);
  if (!holds_data(from) && holds_data(to)) grow(gauges.far_pages, count, gauges.far_pages_peak);
  if (holds_data(from) && !holds_data(to)) gauges.far_pages.fetch_sub(count, std::memory_order_relaxed);
}

void PagerParts::account_staged(int64_t pages) const noexcept {
  counters().staged_pages.fetch_add(static_cast<uint64_t>(pages), std::memory_order_relaxed);
}

}  // namespace tiara::fault
