// The compiler front end: from an eBPF object that stock clang made of restricted C to a Tiara
// program.
//
//   clang -target bpf ... FILE.c   (tiara_op.h says what FILE.c may use)
//     -> load_object   decode the ELF file whole: metadata, code, calls, source lines (object.h)
//     -> lift          BPF registers and stack slots become values in SSA form            (lift.h)
//     -> optimize      fused loads, bit fields, immediates, min and max, dead code (optimize.h)
//     -> allocate      values get the 16 registers; what does not fit, the scratchpad (allocate.h)
//     -> emit          loops become LOOP...ENDLOOP, everything else branches forward      (emit.h)
//
// The object is untrusted: every byte of it is checked before it is used. The program that comes
// out is only well formed; whether it is safe is, as for any other program, for the verifier to
// say.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nic/isa/program.h"
#include "runtime/base/error.h"

namespace tiara::nic::cc {

// What clang must be told besides `-c FILE.c -o FILE.o -I<folder of tiara_op.h>`: translate()
// understands other output too, but this is what it makes good programs of.
std::span<const char* const> clang_flags();

// The text of tiara_op.h.
std::string_view operator_header();

struct Translation {
  Program program;
  std::vector<std::string> lines;  // of each instruction: "walk.c:12", or empty
};

// kInvalidInput: not an object that clang -target bpf -g makes. kRejected: C that has no
// translation; the message begins with FILE:LINE:COLUMN where the object knows it, and says what to
// write instead.
Result<Translation> translate(std::span<const std::byte> elf);

}  // namespace tiara::nic::cc
