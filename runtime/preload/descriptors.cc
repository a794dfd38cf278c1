#include "runtime/preload/descriptors.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <unistd.h>

#include "runtime/preload/real.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(close);
TIARA_DEFINE_REAL(close_range);
TIARA_DEFINE_REAL(dup2);
TIARA_DEFINE_REAL(dup3);

namespace {

// userfaultfd, the node's connections and memory: a handful.
constexpr size_t kMaxProtected = 32;
constinit std::atomic<int> protected_descriptors[kMaxProtected];  // sorted
constinit std::atomic<size_t> protected_count{0};

}  // namespace

void protect_descriptors(const std::vector<int>& descriptors) noexcept {
  std::vector<int> sorted(descriptors);
  std::sort(sorted.begin(), sorted.end());
  protected_count.store(0, std::memory_order_release);
  const size_t count = std::min(sorted.size(), kMaxProtected);
  for (size_t i = 0; i < count; ++i) protected_descriptors[i].store(sorted[i], std::memory_order_relaxed);
  protected_count.store(count, std::memory_order_release);
}

bool is_protected(int descriptor) noexcept {
  const size_t count = protected_count.load(std::memory_order_acquire);
  for (size_t i = 0; i < count; ++i)
    if (protected_descriptors[i].load(std::memory_order_relaxed) == descriptor) return true;
  return false;
}

namespace {

// The parts of [first, last] between protected descriptors, one after the other.
template <typename F>
int for_each_gap(unsigned first, unsigned last, F close_part) noexcept {
  const size_t count = protected_count.load(std::memory_order_acquire);
  for (size_t i = 0; i < count; ++i) {
    const auto kept = static_cast<unsigned>(protected_descriptors[i].load(std::memory_order_relaxed));
    if (kept < first || kept > last) continue;
    if (kept > first && close_part(first, kept - 1) != 0) return -1;
    if (kept == last) return 0;
    first = kept + 1;
  }
  return close_part(first, last);
}

}  // namespace
}  // namespace tiara::preload

using namespace tiara::preload;

TIARA_INTERPOSE int close(int descriptor) {
  if (is_protected(descriptor)) [[unlikely]] {
    errno = EBADF;
    return -1;
  }
  return TIARA_REAL(close)(descriptor);
}

TIARA_INTERPOSE int close_range(unsigned first, unsigned last, int flags) noexcept {
  if (first > last) {
    errno = EINVAL;
    return -1;
  }
  return for_each_gap(first, last,
                      [flags](unsigned from, unsigned to) { return TIARA_REAL(close_range)(from, to, flags); });
}

TIARA_INTERPOSE void closefrom(int first) noexcept {
  for_each_gap(static_cast<unsigned>(std::max(first, 0)), UINT_MAX,
               [](unsigned from, unsigned to) { return TIARA_REAL(close_range)(from, to, 0); });
}

// EBUSY is what Linux answers when the target is being opened at this moment; programs know it.
TIARA_INTERPOSE int dup2(int from, int to) {
  if (!is_protected(to)) [[likely]] return TIARA_REAL(dup2)(from, to);
  errno = EBUSY;
  return -1;
}

TIARA_INTERPOSE int dup3(int from, int to, int flags) {
  if (!is_protected(to)) [[likely]] return TIARA_REAL(dup3)(from, to, flags);
  errno = EBUSY;
  return -1;
}
