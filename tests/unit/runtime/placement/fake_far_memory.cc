#include "tests/unit/runtime/placement/fake_far_memory.h"

#include <sys/mman.h>

#include "runtime/base/check.h"
#include "runtime/base/stats.h"
#include "runtime/os/memory.h"
#include "runtime/residency/far_memory.h"

namespace tiara {

struct FarMemory::State {
  size_t used = 0;
};

namespace {
FarMemory* started = nullptr;
constexpr size_t kReservation = 4 * kGiB;
}  // namespace

Result<FarMemory*> FarMemory::start(const Config&, stats::ProcessStats&) {
  if (started != nullptr) return started;
  auto* far = new FarMemory;
  far->size_ = kReservation;
  far->base_ = reinterpret_cast<uintptr_t>(os::raw_mmap(nullptr, kReservation, PROT_READ | PROT_WRITE,
                                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  far->state_ = new State;
  return started = far;
}

FarMemory* FarMemory::instance() noexcept { return started; }

std::span<std::byte> FarMemory::reservation() const noexcept {
  return {reinterpret_cast<std::byte*>(base_), size_};
}

std::byte* FarMemory::map(size_t size, size_t alignment) noexcept {
  const size_t begin = round_up(base_ + state_->used, alignment) - base_;
  if (begin + size > size_) return nullptr;
  state_->used = begin + size;
  fake::far_calls().mapped_bytes += size;
  ++fake::far_calls().maps;
  return reinterpret_cast<std::byte*>(base_ + begin);
}

void FarMemory::discard(std::span<std::byte> pages) noexcept {
  TIARA_CHECK(contains(pages.data()) && contains(pages.data() + pages.size() - 1));
  TIARA_CHECK(reinterpret_cast<uintptr_t>(pages.data()) % kPageSize == 0 && pages.size() % kPageSize == 0);
  fake::far_calls().discarded_bytes += pages.size();
  os::raw_madvise(pages.data(), pages.size(), MADV_DONTNEED);
}

namespace fake {

FarCalls& far_calls() {
  static FarCalls calls;
  return calls;
}

void start_far_memory() {
  static stats::ProcessStats stats;
  (void)FarMemory::start(Config{}, stats);
}

}  // namespace fake
}  // namespace tiara
