// The public C interface (runtime/include/tiara/tiara.h).
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "runtime/base/units.h"
#include "runtime/include/tiara/tiara.h"
#include "runtime/preload/process.h"
#include "runtime/residency/far_memory.h"

namespace {

using tiara::FarMemory;

// The whole pages of far memory that [address, address + length) touches.
std::span<std::byte> far_pages(const FarMemory& far, const void* address, size_t length) noexcept {
  const auto all = far.reservation();
  const auto begin = reinterpret_cast<uintptr_t>(all.data());
  const auto from = reinterpret_cast<uintptr_t>(address);
  const uintptr_t first = std::max(begin, tiara::round_down(from, tiara::kPageSize));
  const uintptr_t last = std::min(begin + all.size(), tiara::round_up(from + length, tiara::kPageSize));
  if (length == 0 || first >= last) return {};
  return {reinterpret_cast<std::byte*>(first), last - first};
}

template <typename F>
int with_far_pages(const void* address, size_t length, F apply) noexcept {
  FarMemory* far = FarMemory::instance();
  if (far == nullptr) {
    errno = ENOTSUP;
    return -1;
  }
  if (const auto pages = far_pages(*far, address, length); !pages.empty()) apply(*far, pages);
  return 0;
}

}  // namespace

extern "C" {

int tiara_is_active() { return FarMemory::instance() != nullptr ? 1 : 0; }

int tiara_is_far(const void* address) {
  const FarMemory* far = FarMemory::instance();
  return far != nullptr && far->contains(address) ? 1 : 0;
}

int tiara_bring_near(const void* address, size_t length) {
  return with_far_pages(address, length, [](FarMemory& far, std::span<std::byte> pages) { far.make_near(pages); });
}

int tiara_let_go(const void* address, size_t length) {
  return with_far_pages(address, length, [](FarMemory& far, std::span<std::byte> pages) { far.release_near(pages); });
}

int tiara_follow(const void* objects, size_t length, const tiara_links* links) {
  FarMemory* far = FarMemory::instance();
  if (far == nullptr) {
    errno = ENOTSUP;
    return -1;
  }
  const auto* first = static_cast<const std::byte*>(objects);
  const bool is_far = length > 0 && far->contains(first) && far->contains(first + length - 1);
  if (!is_far || links->size < sizeof(tiara_links) || links->link_offset % sizeof(uint64_t) != 0 || links->hops < 1 ||
      links->hops > tiara::kMostLinkHops || links->object_bytes > length || links->object_bytes < sizeof(uint64_t) ||
      links->link_offset > links->object_bytes - sizeof(uint64_t)) {
    errno = EINVAL;
    return -1;
  }
  if (far->follow_links({first, length}, {links->object_bytes, links->link_offset, links->hops})) return 0;
  errno = ENOSPC;
  return -1;
}

int tiara_forget(const void* objects, size_t length) {
  FarMemory* far = FarMemory::instance();
  if (far == nullptr) {
    errno = ENOTSUP;
    return -1;
  }
  if (length > 0) far->forget_links({static_cast<const std::byte*>(objects), length});
  return 0;
}

int tiara_get_stats(tiara_stats* stats) {
  const tiara::stats::ProcessStats* slot = tiara::preload::process_stats();
  constexpr size_t kFirstVersion = offsetof(tiara_stats, fetch_calls);
  if (slot == nullptr || stats->size < kFirstVersion) {
    errno = slot == nullptr ? ENOTSUP : EINVAL;
    return -1;
  }
  const tiara::stats::Counters& now = slot->counters;
  const auto read = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  const tiara_stats all{stats->size,
                        read(now.far_pages),
                        read(now.resident_pages),
                        read(now.remote_pages),
                        read(now.budget_pages),
                        read(now.fetched_pages),
                        read(now.pages_written),
                        read(now.fetch_invocations)};
  // What the caller's version has.
  memcpy(stats, &all, std::min(stats->size, sizeof all));
  return 0;
}

}  // extern "C"
