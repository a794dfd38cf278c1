#include "fault-handler/page_directory.h"

#include <bit>
#include <sys/mman.h>

#include "runtime/base/check.h"

namespace tiara::fault {
namespace {

Result<os::Mapping> sparse_array(uint64_t bytes) {
  TIARA_TRY(os::Mapping mapping, os::Mapping::anonymous(Bytes{round_up(bytes, kPageSize)}));
  // A huge page per touched word would cost 512 times the metadata. Refusal (no THP in this kernel) is fine.
  (void)os::raw_madvise(mapping.data(), mapping.size(), MADV_NOHUGEPAGE);
  return mapping;
}

}  // namespace

Result<PageDirectory> PageDirectory::create(PageCount pages, uint32_t cluster_pages) {
  TIARA_CHECK(std::has_single_bit(cluster_pages) && cluster_pages >= 4 && cluster_pages <= 64);
  PageDirectory directory;
  directory.pages_ = pages;
  directory.cluster_shift_ = static_cast<uint32_t>(std::countr_zero(cluster_pages));
  TIARA_CHECK((pages.value >> directory.cluster_shift_) < UINT32_MAX);
  TIARA_TRY(directory.memory_[0], sparse_array(pages.value * sizeof(AtomicPageWord)));
  TIARA_TRY(directory.memory_[1], sparse_array(pages.value * sizeof(ContentHash)));
  TIARA_TRY(directory.memory_[2], sparse_array(uint64_t{directory.cluster_count()} * sizeof(ClusterWord)));
  // Zeroed memory is a valid array of each: untouched pages, no hash, no slot.
  directory.words_ = reinterpret_cast<AtomicPageWord*>(directory.memory_[0].data());
  directory.hashes_ = reinterpret_cast<ContentHash*>(directory.memory_[1].data());
  directory.clusters_ = reinterpret_cast<ClusterWord*>(directory.memory_[2].data());
  return directory;
}

Bytes backed_bytes(std::span<const std::byte> memory) {
  constexpr size_t kPagesPerCall = 4096;
  static_assert(kPagesPerCall <= 16 * kKiB);  // the answer lives on a small stack
  unsigned char answer[kPagesPerCall];
  uint64_t backed = 0;
  for (size_t at = 0; at < memory.size(); at += kPagesPerCall * kPageSize) {
    const size_t length = std::min(memory.size() - at, kPagesPerCall * kPageSize);
    if (mincore(const_cast<std::byte*>(memory.data()) + at, length, answer) != 0) continue;
    for (size_t i = 0; i < length / kPageSize; ++i) backed += answer[i] & 1u;
  }
  return Bytes{backed * kPageSize};
}

Bytes PageDirectory::resident_bytes() const {
  Bytes total;
  for (const auto& mapping : memory_) total = total + backed_bytes(mapping.span());
  return total;
}

uint64_t PageDirectory::count(PageState state) const {
  uint64_t found = 0;
  for (uint64_t page = 0; page < pages_.value; ++page) found += load(words_[page]).state() == state;
  return found;
}

}  // namespace tiara::fault
