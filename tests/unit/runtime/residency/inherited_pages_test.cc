#include "runtime/residency/inherited_pages.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "runtime/base/hash.h"
#include "tests/support/array_page_store.h"
#include "tests/support/fake_kernel.h"

using namespace tiara;
using namespace tiara::residency;
using fault::PageState;
using fault::PageWord;
using tiara::testing::ArrayPageStore;
using tiara::testing::FakeKernel;

namespace {

constexpr PageCount kPages{64};

PagerOptions small_options() {
  PagerOptions options;
  options.staging_slots = 4;
  return options;
}

// A directory as a fork found it, over the copy of the parent's store and the child's own memory.
struct Child {
  void find(uint64_t page, PageState state, uint32_t flags) {
    pager.parts().directory.word(PageNumber{page}).store(PageWord().in(state).with(flags).raw());
  }
  void store_page(uint64_t page) {
    alignas(8) std::byte bytes[kPageSize];
    memset(bytes, static_cast<int>(page + 1), sizeof bytes);
    const std::byte* const pages[] = {bytes};
    REQUIRE(store.write({PageNumber{page}, 1}, pages) == pagetable::StoreStatus::kOk);
    pager.parts().directory.hash(PageNumber{page}) = hash_page(bytes);
  }
  void map_page(uint64_t page) { memory.data()[page << kPageShift] = std::byte{1}; }
  void settle() { settle_inherited_pages(pager, PageNumber{16}, memory.data(), fault::Pagemap::open()); }
  PageWord word(uint64_t page) { return fault::load(pager.parts().directory.word(PageNumber{page})); }

  PagerOptions options = small_options();
  stats::ProcessStats stats{};
  ArrayPageStore store{kPages};
  FakeKernel kernel{kPages.value, 4, directory_cluster_pages(options.evict_cluster), 0};
  Pager pager{*Pager::create_memory(kPages, options), kernel, store, stats, options};
  os::Mapping memory = *os::Mapping::anonymous(kPages.bytes());
};

}  // namespace

TEST_CASE("A forked child knows of each page where its bytes are, whatever a thread of its parent was doing to it") {
  Child child;
  for (const uint64_t page : {0, 1, 2, 6}) child.store_page(page);
  constexpr uint32_t kOwned = fault::kBusy | fault::kHasFrame;
  child.find(0, PageState::kRemote, fault::kHasFrame);
  child.find(1, PageState::kRemote, kOwned);  // its flags were being changed, say
  // Discarded after the store was copied: the copy has a page of which the directory has forgotten what it was.
  child.find(2, PageState::kRemote, kOwned);
  child.pager.parts().directory.hash(PageNumber{2}) = 0;
  child.find(3, PageState::kRemote, kOwned);  // discarded before
  child.pager.parts().directory.hash(PageNumber{3}) = 77;
  child.find(4, PageState::kResident, kOwned);
  child.map_page(4);
  child.find(5, PageState::kResident, kOwned);  // the kernel has dropped it
  child.find(6, PageState::kFetching, kOwned);
  child.find(7, PageState::kFetching, fault::kBusy);
  child.map_page(7);
  child.settle();
  const auto is = [&](uint64_t page, PageState state, bool has_frame) {
    INFO("page " << page);
    CHECK(child.word(page).state() == state);
    CHECK(child.word(page).has(fault::kHasFrame) == has_frame);
    CHECK_FALSE(child.word(page).has(fault::kBusy));
  };
  is(0, PageState::kRemote, true);
  is(1, PageState::kRemote, true);
  is(2, PageState::kUntouched, false);
  is(3, PageState::kUntouched, false);
  is(4, PageState::kResident, false);
  is(5, PageState::kUntouched, false);
  is(6, PageState::kRemote, true);
  is(7, PageState::kResident, false);
  CHECK(child.stats.counters.remote_pages.load() == 3);
  CHECK(child.stats.counters.resident_pages.load() == 2);
}
