// What an ELF file says about how it will be started: enough to know whether LD_PRELOAD reaches it.
// The file is untrusted: it is read piece by piece, every length is bounded, and what is not there
// is an error. Source: elf(5), System V ABI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "runtime/base/error.h"

namespace tiara::apps {

struct ElfFacts {
  bool is_64_bit = false;
  bool is_native_machine = false;  // the machine this command was built for
  bool is_dynamic = false;  // asks for a dynamic linker (PT_INTERP): only then LD_PRELOAD counts
  std::string interpreter;  // the dynamic linker's path
  bool is_go = false;       // has a Go build id: a Go runtime makes its system calls itself
};

// Fills `out` with the file's bytes from `offset`; false when they are not all there.
using ReadAt = std::function<bool(uint64_t offset, std::span<std::byte> out)>;

// kInvalidInput when it is not an ELF program or its headers contradict themselves.
Result<ElfFacts> inspect_elf(const ReadAt& read_at);

}  // namespace tiara::apps
