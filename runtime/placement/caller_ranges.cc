#include "runtime/placement/caller_ranges.h"

#include <elf.h>
#include <link.h>

namespace tiara::placement {
namespace {

struct Search {
  std::string_view name;
  CallerRanges* ranges;
  size_t added;
};

std::string_view file_name(const char* path) noexcept {
  const std::string_view text(path);
  return text.substr(text.rfind('/') + 1);  // npos + 1 == 0: a path without folders is its own name
}

int add_object(dl_phdr_info* object, size_t, void* argument) noexcept {
  auto& search = *static_cast<Search*>(argument);
  if (!file_name(object->dlpi_name).starts_with(search.name)) return 0;
  for (size_t i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    const uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    if (search.ranges->contains(reinterpret_cast<const void*>(begin))) continue;
    if (search.ranges->add(begin, segment.p_memsz)) ++search.added;
  }
  return 0;
}

}  // namespace

bool CallerRanges::add(uintptr_t begin, size_t size) noexcept {
  const size_t count = count_.load(std::memory_order_relaxed);
  if (count == kCapacity || size == 0) return false;
  ranges_[count] = {begin, size};
  count_.store(count + 1, std::memory_order_release);
  return true;
}

size_t CallerRanges::add_loaded(std::string_view name) noexcept {
  Search search{name, this, 0};
  dl_iterate_phdr(add_object, &search);
  return search.added;
}

}  // namespace tiara::placement
