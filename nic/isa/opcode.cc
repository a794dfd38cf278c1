#include "nic/isa/opcode.h"

#include "runtime/base/check.h"

namespace tiara::nic {
namespace {

constexpr bool has(std::string_view uses, char letter) { return uses.find(letter) != std::string_view::npos; }

constexpr FormatInfo kFormats[] = {
#define TIARA_FORMAT(name, uses, region, flags, immediate, operands)                              \
  {has(uses, 's'), has(uses, 't'), has(uses, 'u'), has(uses, 'd'), has(uses, 'D'), region, FlagUse::flags, \
   ImmediateUse::immediate, operands},
    TIARA_FORMATS(TIARA_FORMAT)
#undef TIARA_FORMAT
};

constexpr InstructionInfo kInstructions[] = {
#define TIARA_ROW(name, mnemonic, code, format, cost, bytes, semantics, example) \
  {Opcode::k##name, mnemonic, Format::k##format, CostClass::k##cost, bytes, semantics, example},
    TIARA_INSTRUCTIONS(TIARA_ROW)
#undef TIARA_ROW
};

constexpr uint8_t kNoInstruction = 0xff;
static_assert(std::size(kInstructions) < kNoInstruction);

constexpr std::array<uint8_t, 256> kIndexOfOpcode = [] {
  std::array<uint8_t, 256> index{};
  index.fill(kNoInstruction);
  for (size_t i = 0; i < std::size(kInstructions); ++i)
    index[static_cast<uint8_t>(kInstructions[i].opcode)] = static_cast<uint8_t>(i);
  return index;
}();

consteval bool is_ascending() {
  for (size_t i = 1; i < std::size(kInstructions); ++i)
    if (kInstructions[i - 1].opcode >= kInstructions[i].opcode) return false;
  return true;
}
static_assert(is_ascending(), "rows of the instruction table stand in order of opcode, each once");
static_assert(kIndexOfOpcode[0] == kNoInstruction, "a word of zeros must be illegal");

}  // namespace

std::span<const InstructionInfo> all_instructions() { return kInstructions; }

const InstructionInfo* find_instruction(uint8_t opcode) {
  const uint8_t index = kIndexOfOpcode[opcode];
  return index == kNoInstruction ? nullptr : &kInstructions[index];
}

const InstructionInfo* find_instruction(std::string_view mnemonic) {
  for (const InstructionInfo& row : kInstructions)
    if (row.mnemonic == mnemonic) return &row;
  return nullptr;
}

const InstructionInfo& info(Opcode opcode) {
  const InstructionInfo* row = find_instruction(static_cast<uint8_t>(opcode));
  TIARA_CHECK(row != nullptr);
  return *row;
}

const FormatInfo& info(Format format) { return kFormats[static_cast<size_t>(format)]; }

std::string_view to_string(CostClass cost) {
  switch (cost) {
    case CostClass::kControl: return "control";
    case CostClass::kWait: return "wait";
    case CostClass::kAlu: return "alu";
    case CostClass::kMul: return "mul";
    case CostClass::kDiv: return "div";
    case CostClass::kBranch: return "branch";
    case CostClass::kLoop: return "loop";
    case CostClass::kScratchpad: return "scratchpad";
    case CostClass::kHint: return "hint";
    case CostClass::kLoad: return "load";
    case CostClass::kStore: return "store";
    case CostClass::kLine: return "line";
    case CostClass::kAtomic: return "atomic";
    case CostClass::kBulk: return "bulk";
    case CostClass::kRemote: return "remote";
  }
  return "";
}

}  // namespace tiara::nic
