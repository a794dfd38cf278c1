#include "runtime/placement/heap.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <thread>
#include <vector>

#include "runtime/base/units.h"
#include "runtime/residency/far_memory.h"
#include "tests/unit/runtime/placement/fake_far_memory.h"

using namespace tiara;
using namespace tiara::placement;

namespace {

const void* here() { return reinterpret_cast<const void*>(&here); }
const void* in_libc() { return reinterpret_cast<const void*>(&qsort); }

int starts = 0;

void start() {
  ++starts;
  fake::start_far_memory();
  REQUIRE(heap::switch_to_far());
}

bool is_far(const void* block) { return FarMemory::instance() != nullptr && FarMemory::instance()->contains(block); }

// The process's heap goes through its life once: the test cases of this file run in order and build on one another.
void begin_far() {
  static bool is_begun = false;
  if (is_begun) return;
  is_begun = true;
  heap::wait_for_demand(*Rules::parse("size<32,calloc>=1M,mmap>=1G,caller=libm.so"), 2 * kMiB, start);
}

}  // namespace

TEST_CASE("Before anybody asks for far memory everything is near") {
  void* block = heap::allocate(100, here());
  CHECK_FALSE(is_far(block));
  heap::release(block);
  CHECK(heap::phase() == heap::Phase::kNear);
}

TEST_CASE("Demand below the threshold does not start far memory, demand beyond it does, once") {
  begin_far();
  std::vector<void*> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(heap::allocate(100 * kKiB, here()));
  CHECK(starts == 0);
  for (int i = 0; i < 30; ++i) blocks.push_back(heap::allocate(100 * kKiB, here()));
  CHECK(starts == 1);
  CHECK_FALSE(is_far(blocks.front()));
  CHECK(is_far(blocks.back()));
  for (void* block : blocks) heap::release(block);
}

TEST_CASE("After the switch blocks are far unless a rule or their caller says near") {
  begin_far();
  const auto placed = [](void* block) {
    const bool far = is_far(block);
    heap::release(block);
    return far;
  };
  CHECK(placed(heap::allocate(100, here())));
  CHECK(placed(heap::allocate(3 * kMiB, here())));
  CHECK(placed(heap::allocate_aligned(4096, 5000, here())));
  CHECK_FALSE(placed(heap::allocate(31, here())));
  CHECK_FALSE(placed(heap::allocate(100, in_libc())));
  CHECK(placed(heap::allocate(kMiB, in_libc())));
  CHECK(placed(heap::allocate_zeroed(1, kMiB - 1, here())));
  CHECK_FALSE(placed(heap::allocate_zeroed(4, kMiB, here())));
  CHECK_FALSE(placed(heap::allocate_near(100)));
  CHECK(heap::mapping_stays_near(kGiB, here()));
  CHECK_FALSE(heap::mapping_stays_near(kMiB, here()));
}

TEST_CASE("Freed near blocks are not handed out as far ones, nor far as near") {
  begin_far();
  for (int round = 0; round < 1000; ++round) {
    void* near = heap::allocate(200, in_libc());
    void* far = heap::allocate(200, here());
    REQUIRE_FALSE(is_far(near));
    REQUIRE(is_far(far));
    heap::release(far);
    heap::release(near);
  }
}

TEST_CASE("Far memory is asked for in steps of 2 MiB or more") {
  begin_far();
  const auto before = fake::far_calls();
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(heap::allocate(64 * kKiB, here()));
  const auto after = fake::far_calls();
  CHECK(after.mapped_bytes - before.mapped_bytes >= (after.maps - before.maps) * 2 * kMiB);
  for (void* block : blocks) heap::release(block);
}

TEST_CASE("Zeroed far blocks are zeros, also when their pages were used before") {
  begin_far();
  for (int round = 0; round < 20; ++round) {
    const size_t size = 40000 + static_cast<size_t>(round) * 5000;
    auto* bytes = static_cast<unsigned char*>(heap::allocate_zeroed(1, size, here()));
    REQUIRE(is_far(bytes));
    for (size_t i = 0; i < size; ++i) REQUIRE(bytes[i] == 0);
    memset(bytes, 0xa5, size);
    heap::release(bytes);
  }
}

TEST_CASE("A zeroed block whose size overflows is refused") {
  CHECK(heap::allocate_zeroed(SIZE_MAX / 2, 3, here()) == nullptr);
  CHECK(errno == ENOMEM);
}

TEST_CASE("Reallocation keeps contents, moves near blocks out and leaves far blocks far") {
  begin_far();
  auto* block = static_cast<char*>(heap::allocate(100, in_libc()));
  REQUIRE_FALSE(is_far(block));
  memset(block, 'x', 100);
  block = static_cast<char*>(heap::reallocate(block, 5000, here()));
  CHECK(is_far(block));
  for (int i = 0; i < 100; ++i) REQUIRE(block[i] == 'x');
  block = static_cast<char*>(heap::reallocate(block, 4 * kMiB, here()));
  CHECK(is_far(block));
  for (int i = 0; i < 100; ++i) REQUIRE(block[i] == 'x');
  CHECK(heap::reallocate(block, 0, here()) == nullptr);
}

TEST_CASE("Aligned blocks are aligned, near and far") {
  begin_far();
  for (size_t alignment = 16; alignment <= 2 * kMiB; alignment *= 2) {
    void* far = heap::allocate_aligned(alignment, 100, here());
    void* near = heap::allocate_aligned(alignment, 100, in_libc());
    CHECK(reinterpret_cast<uintptr_t>(far) % alignment == 0);
    CHECK(reinterpret_cast<uintptr_t>(near) % alignment == 0);
    CHECK(is_far(far));
    CHECK_FALSE(is_far(near));
    heap::release(far);
    heap::release(near);
  }
}

TEST_CASE("Other threads switch at their first allocation and free what others made") {
  begin_far();
  void* far_block = heap::allocate(500, here());
  void* near_block = heap::allocate(500, in_libc());
  bool is_first_far = false;
  std::thread([&] {
    heap::release(far_block);
    heap::release(near_block);
    void* block = heap::allocate(500, here());
    is_first_far = is_far(block);
    heap::release(block);
    for (int i = 0; i < 100; ++i) heap::release(heap::allocate(40, in_libc()));
  }).join();
  CHECK(is_first_far);
}

TEST_CASE("In a forked child everything is near again and old blocks can be freed") {
  begin_far();
  void* far_block = heap::allocate(500, here());
  auto* growing = static_cast<char*>(heap::allocate(500, here()));
  strcpy(growing, "kept");
  heap::switch_to_near();
  heap::release(far_block);
  growing = static_cast<char*>(heap::reallocate(growing, 1000, here()));
  CHECK_FALSE(is_far(growing));
  CHECK(strcmp(growing, "kept") == 0);
  CHECK_FALSE(is_far(heap::allocate(500, here())));
  CHECK_FALSE(is_far(heap::allocate(5 * kMiB, here())));
}
