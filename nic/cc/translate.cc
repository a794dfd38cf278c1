#include "nic/cc/translate.h"

#include <algorithm>
#include <iterator>

#include "nic/cc/allocate.h"
#include "nic/cc/emit.h"
#include "nic/cc/lift.h"
#include "nic/cc/object.h"
#include "nic/cc/optimize.h"
#include "nic/cc/shape.h"

namespace tiara::nic::cc {
namespace {

// -mcpu=v2: has all comparisons, but not the 32-bit instructions that would only be undone again.
// -fno-jump-tables: a switch stays a tree of branches. No tail merging: it makes the ways into a
// loop and back share code in front of the loop's head, which costs jumps. The loops' shape must
// survive to the end of clang's pipeline, and a loop that clang unrolls on its own costs program
// store on a NIC and gains nothing.
constexpr const char* kFlags[] = {
    "-target",      "bpf",
    "-mcpu=v2",     "-O2",
    "-g",           "-std=gnu11",
    "-Wall",        "-fno-jump-tables",
    "-fno-builtin", "-fno-unroll-loops",
    "-mllvm",       "-enable-tail-merge=false",
};

}  // namespace

std::span<const char* const> clang_flags() {
  return kFlags;
}

std::string_view operator_header() {
  return
#include "nic/cc/operator_header.inc"
      ;
}

Result<Translation> translate(std::span<const std::byte> elf) {
  TIARA_TRY(const ElfFile file, ElfFile::parse(elf));
  TIARA_TRY(Object object, load_object(file));
  TIARA_TRY(const Shape shape, find_shape(object.code));
  TIARA_TRY(Function function, lift(object, shape));
  optimize(function, object.header);
  TIARA_TRY(MachineFunction machine, allocate(function));
  const uint32_t scratchpad_bytes = machine.scratchpad_bytes;
  if (scratchpad_bytes > kMaxScratchpadBytes)
    return fail(ErrorCode::kRejected,
                "local arrays, spilled registers and .scratchpad_bytes need " +
                    std::to_string(scratchpad_bytes) + " bytes of scratchpad; there are 4096");
  TIARA_TRY(Emitted emitted, emit(std::move(machine)));

  Translation translation{.program = std::move(object.header), .lines = {}};
  translation.program.code = std::move(emitted.code);
  translation.program.scratchpad_bytes = static_cast<uint16_t>(scratchpad_bytes);
  for (const Instruction& instruction : translation.program.code)
    if (instruction.opcode == Opcode::kRet)
      translation.program.results =
          std::max(translation.program.results, static_cast<uint8_t>(instruction.imm));
  for (Place place : emitted.places) {
    place.column = 0;
    translation.lines.push_back(to_string(place));
  }
  TIARA_TRY_VOID(check_well_formed(translation.program));
  return translation;
}

}  // namespace tiara::nic::cc
