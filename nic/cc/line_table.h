// From instructions back to the C: the line table that `clang -g` puts into .BTF and .BTF.ext.
// Format: Linux Documentation/bpf/btf.rst, "4.2 .BTF.ext section".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nic/cc/elf.h"

namespace tiara::nic::cc {

struct Place {
  std::string_view file;  // as clang was given it; empty: not known
  uint32_t line = 0;
  uint32_t column = 0;
  friend bool operator==(const Place&, const Place&) = default;
};

// "walk.c:12:5", "walk.c:12" or "".
std::string to_string(const Place& place);

class LineTable {
 public:
  // The lines of one section's code. An object without the table gives an empty one, a malformed
  // table an error.
  static Result<LineTable> read(const ElfFile& elf, std::string_view section);
  // Of the instruction at a byte offset: the record at or before it.
  Place at(uint64_t offset) const;

 private:
  struct Record {
    uint64_t offset = 0;
    Place place;
  };
  std::vector<Record> records_;  // ascending offsets
};

}  // namespace tiara::nic::cc
