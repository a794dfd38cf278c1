// The microcode as the core reads it: a SystemVerilog package, and the contents of the ROM.
#include <array>
#include <iomanip>
#include <string_view>

#include "nic/isa/opcode.h"
#include "nic/isa/outcome.h"
#include "nic/rtl/microcode.h"

namespace tiara::nic::rtl {
namespace {

constexpr uint32_t width_of(std::string_view field) {
#define TIARA_UOP_WIDTH(name, bits) \
  if (field == #name) return bits;
  TIARA_UOP_FIELDS(TIARA_UOP_WIDTH)
#undef TIARA_UOP_WIDTH
  return 0;
}
// The rows' constants are laid over these three.
static_assert(width_of("permission") + width_of("align") + width_of("length") == 8);

void print_constant(std::ostream& out, uint32_t bits, std::string_view name, uint32_t value) {
  out << "  localparam logic [" << bits - 1 << ":0] " << name << " = " << bits << "'d" << value << ";\n";
}

std::string named(std::string_view prefix, std::string_view name) { return std::string(prefix) + std::string(name); }

constexpr std::string_view kFaultNames[] = {"None", "RegionBounds", "RegionPermission", "Misaligned",
                                            "ScratchpadBounds", "PayloadBounds", "ReplyBounds", "LoopBound",
                                            "StepBudget", "IllegalInstruction", "RemoteUnavailable"};
static_assert(std::size(kFaultNames) == kFaultKinds);

}  // namespace

void print_package(const Microcode& code, std::ostream& out) {
  out << "// Printed by rtl_microcode from nic/rtl/microcode.h and nic/isa/instruction_table.h.\n"
         "package tiara_pkg;\n"
         "  localparam int unsigned UopW = " << kUopBits << ";\n"
         "  typedef struct packed {\n";
#define TIARA_UOP_STRUCT(name, bits) out << "    logic [" << bits - 1 << ":0] " << #name << ";\n";
  TIARA_UOP_FIELDS(TIARA_UOP_STRUCT)
#undef TIARA_UOP_STRUCT
  out << "  } uop_t;\n\n";
#define TIARA_UOP_PRINT(prefix, name) print_constant(out, bits, #prefix #name, k##prefix##name);
#define TIARA_UOP_ENUM(prefix, width, list)      \
  {                                              \
    [[maybe_unused]] constexpr uint32_t bits = width; \
    list(TIARA_UOP_PRINT)                        \
    out << "\n";                                 \
  }
  TIARA_UOP_ENUMS(TIARA_UOP_ENUM)
#undef TIARA_UOP_ENUM
#undef TIARA_UOP_PRINT
  for (uint32_t fault = 0; fault < kFaultKinds; ++fault) print_constant(out, 4, named("Fault",
      kFaultNames[fault]), fault);
  out << "\n";
  print_constant(out, 5, "SelRs1", kRs1);
  print_constant(out, 5, "SelRs2", kRs2);
  print_constant(out, 5, "SelFrame", kFrame);
  print_constant(out, 8, "RowFault", code.fault);
  print_constant(out, 8, "RowIllegal", code.illegal);
  print_constant(out, 8, "RowSpent", code.spent);
  print_constant(out, 8, "OpcodeEndLoop", static_cast<uint8_t>(Opcode::kEndLoop));
  out << "endpackage\n";
}

void print_rom(const Microcode& code, std::ostream& out) {
  out << "// Printed by rtl_microcode.\n";
  for (size_t row = 0; row < code.rows.size(); ++row) {
    out << "rom_q[" << row << "] = {";
    const Uop& uop = code.rows[row];
    std::string_view comma;
#define TIARA_UOP_VALUE(name, bits)                             \
  out << comma << bits << "'d" << static_cast<unsigned>(uop.name); \
  comma = ", ";
    TIARA_UOP_FIELDS(TIARA_UOP_VALUE)
#undef TIARA_UOP_VALUE
    out << "};\n";
  }
}

}  // namespace tiara::nic::rtl
