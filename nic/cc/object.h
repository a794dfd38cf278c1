// A BPF object as the compiler wants it: what the C file declares, and the code of the operator's
// function with calls and lines resolved. Everything is checked; views borrow the ELF file's bytes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "nic/cc/line_table.h"
#include "nic/isa/program.h"

namespace tiara::nic::cc {

// One 8-byte slot of eBPF code (RFC 9669). A 64-bit load of an immediate takes two slots; the
// second is marked and nothing may branch to it.
struct BpfInstruction {
  uint8_t opcode = 0;
  uint8_t dst = 0;
  uint8_t src = 0;
  int16_t offset = 0;
  int64_t imm = 0;
  bool is_second_slot = false;
  std::string_view
      symbol;  // what a relocation names here: the callee, a global variable; empty: none
  bool is_relocated = false;
  bool is_symbol_defined = false;  // in this object: not one of ours
  Place place;

  uint8_t instruction_class() const { return opcode & 7; }
};

namespace bpf {
inline constexpr uint8_t kClassLd = 0, kClassLdx = 1, kClassSt = 2, kClassStx = 3, kClassAlu = 4,
                         kClassJmp = 5, kClassJmp32 = 6, kClassAlu64 = 7;
inline constexpr uint8_t kOperation = 0xf0;  // of an arithmetic or jump opcode: which one it is
inline constexpr uint8_t kLoadImmediate64 = 0x18, kCall = 0x85, kExit = 0x95, kJump = 0x05;
inline constexpr uint8_t kRegisterSource = 0x08;
inline constexpr uint8_t kFrameRegister = 10;
}  // namespace bpf

struct Object {
  Program header;  // everything but the code
  std::vector<BpfInstruction> code;
};

// More slots than this cannot become 4096 instructions by any optimisation that we do.
inline constexpr uint32_t kMaxBpfSlots = 4 * kMaxInstructions;

Result<Object> load_object(const ElfFile& elf);

}  // namespace tiara::nic::cc
