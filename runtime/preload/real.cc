#include "runtime/preload/real.h"

#include <cstdint>
#include <cstring>
#include <elf.h>
#include <link.h>

#include "runtime/base/check.h"
#include "runtime/base/log.h"

extern "C" {
// Bounds of the section that TIARA_DEFINE_REAL fills; the linker makes these names.
extern tiara::preload::RealSymbol __start_tiara_real[] __attribute__((visibility("hidden")));
extern tiara::preload::RealSymbol __stop_tiara_real[] __attribute__((visibility("hidden")));
}

namespace tiara::preload {
namespace {

// What a lookup needs of one loaded object; all from its dynamic section.
struct SymbolTable {
  const ElfW(Sym)* symbols = nullptr;
  const char* strings = nullptr;
  const uint32_t* gnu_hash = nullptr;
  const ElfW(Half)* versions = nullptr;
  ElfW(Addr) base = 0;

  explicit SymbolTable(const link_map& object) noexcept : base(object.l_addr) {
    for (const ElfW(Dyn)* entry = object.l_ld; entry != nullptr && entry->d_tag != DT_NULL; ++entry) {
      // glibc relocates these in place, except in the read-only vDSO (whose addresses stay below its base).
      const ElfW(Addr) address = entry->d_un.d_ptr < base ? entry->d_un.d_ptr + base : entry->d_un.d_ptr;
      if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(address);
      if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(address);
      if (entry->d_tag == DT_GNU_HASH) gnu_hash = reinterpret_cast<const uint32_t*>(address);
      if (entry->d_tag == DT_VERSYM) versions = reinterpret_cast<const ElfW(Half)*>(address);
    }
  }
  bool is_complete() const noexcept { return symbols != nullptr && strings != nullptr && gnu_hash != nullptr; }
};

uint32_t gnu_hash_of(const char* name) noexcept {
  uint32_t hash = 5381;
  for (; *name != 0; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

constexpr ElfW(Half) kHiddenVersion = 0x8000;  // an old version, kept for old programs: not the default one

bool defines(const SymbolTable& table, uint32_t index, const char* name) noexcept {
  const ElfW(Sym)& symbol = table.symbols[index];
  if (symbol.st_shndx == SHN_UNDEF || strcmp(table.strings + symbol.st_name, name) != 0) return false;
  return table.versions == nullptr || (table.versions[index] & kHiddenVersion) == 0;
}

// The layout of DT_GNU_HASH: buckets, first symbol, bloom words, bloom shift; then bloom filter, buckets, chains.
void* look_up(const SymbolTable& table, const char* name, uint32_t hash) noexcept {
  const uint32_t buckets = table.gnu_hash[0], first = table.gnu_hash[1], words = table.gnu_hash[2];
  const uint32_t shift = table.gnu_hash[3];
  if (buckets == 0 || words == 0) return nullptr;
  const auto* bloom = reinterpret_cast<const ElfW(Addr)*>(table.gnu_hash + 4);
  const ElfW(Addr) word = bloom[(hash / 64) % words];
  if (((word >> (hash % 64)) & (word >> ((hash >> shift) % 64)) & 1) == 0) return nullptr;
  const auto* bucket = reinterpret_cast<const uint32_t*>(bloom + words);
  const uint32_t* chain = bucket + buckets;
  for (uint32_t index = bucket[hash % buckets]; index >= first; ++index) {
    const uint32_t link = chain[index - first];
    if ((link | 1) == (hash | 1) && defines(table, index, name)) {
      const ElfW(Addr) address = table.base + table.symbols[index].st_value;
      if (ELF64_ST_TYPE(table.symbols[index].st_info) == STT_GNU_IFUNC)
        return reinterpret_cast<void* (*)()>(address)();
      return reinterpret_cast<void*>(address);
    }
    if ((link & 1) != 0) break;
  }
  return nullptr;
}

bool holds_this_code(const link_map& object) noexcept { return object.l_ld == _DYNAMIC; }

}  // namespace

void* find_next_definition(const char* name) noexcept {
  const uint32_t hash = gnu_hash_of(name);
  bool is_after_us = false;
  for (const link_map* object = _r_debug.r_map; object != nullptr; object = object->l_next) {
    if (!is_after_us) {
      is_after_us = holds_this_code(*object);
      continue;
    }
    const SymbolTable table(*object);
    if (!table.is_complete()) continue;
    if (void* found = look_up(table, name, hash); found != nullptr) return found;
  }
  return nullptr;
}

void* RealSymbol::find_quietly() noexcept {
  if (void* known = address_.load(std::memory_order_relaxed); known != nullptr) return known;
  void* found = find_next_definition(name_);
  address_.store(found, std::memory_order_relaxed);
  return found;
}

void* RealSymbol::find() noexcept {
  void* found = find_quietly();
  if (found == nullptr) {
    LogLine("bug: no definition of ").text(name_).text(" after libtiara.so").write();
    check_failed(__FILE__, __LINE__, "found != nullptr");
  }
  return found;
}

void resolve_all() noexcept {
  for (RealSymbol* symbol = __start_tiara_real; symbol != __stop_tiara_real; ++symbol) symbol->find_quietly();
}

}  // namespace tiara::preload
