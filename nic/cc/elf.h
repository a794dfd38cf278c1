// As much of ELF (System V gABI, "Object Files") as a relocatable BPF object needs: sections,
// symbols, relocations.
//
// Total: parse() accepts or refuses any bytes without reading outside them, and what it accepts has
// no index or range that leaves its table. All views borrow the bytes given to parse().
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "nic/cc/bytes.h"
#include "runtime/base/error.h"

namespace tiara::nic::cc {

struct Section {
  std::string_view name;
  uint32_t type = 0;
  uint64_t flags = 0;
  uint32_t link = 0;
  uint32_t info = 0;
  uint64_t entry_bytes = 0;
  Bytes data;
  bool is_executable() const { return (flags & 4) != 0; }
};

struct Symbol {
  std::string_view name;
  uint8_t type = 0;  // STT_...
  bool is_global = false;
  uint32_t section =
      0;  // 0: undefined; else an index into sections, or one of the reserved numbers above them
  uint64_t value = 0;
  uint64_t bytes = 0;
};

inline constexpr uint8_t kSymbolFunction = 2;
inline constexpr uint8_t kSymbolSection = 3;

struct Relocation {
  uint64_t offset = 0;  // in the section it applies to
  uint32_t type = 0;
  uint32_t symbol = 0;  // index into symbols
};

inline constexpr uint32_t kRelocation64 = 1;     // R_BPF_64_64: an lddw
inline constexpr uint32_t kRelocationCall = 10;  // R_BPF_64_32: a call

class ElfFile {
 public:
  static Result<ElfFile> parse(Bytes file);

  const std::vector<Section>& sections() const { return sections_; }
  const std::vector<Symbol>& symbols() const { return symbols_; }
  // nullptr: there is none of that name.
  const Section* find_section(std::string_view name) const;
  // The relocations that apply to a section, in the order of the file.
  Result<std::vector<Relocation>> relocations_of(uint32_t section) const;

 private:
  std::vector<Section> sections_;
  std::vector<Symbol> symbols_;
};

}  // namespace tiara::nic::cc
