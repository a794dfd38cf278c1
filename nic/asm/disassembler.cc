#include "nic/asm/disassembler.h"

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cstdio>
#include <set>
#include <vector>

#include "nic/asm/operands.h"

namespace tiara::nic {
namespace {

using namespace assembly;

std::string number(uint64_t value) {
  char text[24];
  // Small numbers read best in decimal, masks and addresses in hex.
  snprintf(text, sizeof text, value < 10000 ? "%" PRIu64 : "0x%" PRIx64, value);
  return text;
}

std::string signed_number(int64_t value) {
  return value < 0 ? "-" + number(uint64_t{0} - static_cast<uint64_t>(value)) : number(static_cast<uint64_t>(value));
}

std::string reg(uint8_t number) { return "r" + std::to_string(number); }

std::string region_name(const Program& program, uint8_t region) {
  return region < program.regions.size() ? program.regions[region].name : "region" + std::to_string(region);
}

std::string offset(int64_t value) {
  if (value == 0) return "";
  return value < 0 ? " - " + number(static_cast<uint64_t>(-value)) : " + " + number(static_cast<uint64_t>(value));
}

std::string piece_text(const Program& program, const Instruction& instruction, Piece piece, const std::string& label) {
  switch (piece.kind) {
    case PieceKind::kSymbol: return std::string(1, piece.symbol) + (piece.symbol == ',' ? " " : "");
    case PieceKind::kRd: return reg(instruction.rd);
    case PieceKind::kRs1: return reg(instruction.rs1);
    case PieceKind::kRs2: return reg(instruction.rs2);
    case PieceKind::kRs3: return reg(instruction.rs3);
    case PieceKind::kRegion: return region_name(program, instruction.region);
    case PieceKind::kSourceRegion: return region_name(program, instruction.source_region());
    case PieceKind::kAddress:
      return is_absolute(instruction) ? number(instruction.bits()) : reg(instruction.rs1) + offset(instruction.imm);
    case PieceKind::kLineAddress: return reg(instruction.rs1) + offset(instruction.line_displacement());
    case PieceKind::kIndexField:
      return reg(instruction.rs1) + " + " + reg(instruction.rs2) + ".bits(" + std::to_string(instruction.lsb()) + "," +
             std::to_string(instruction.width()) + ") << " + std::to_string(instruction.scale());
    case PieceKind::kImmediate: return signed_number(instruction.imm);
    case PieceKind::kLsb: return number(instruction.lsb());
    case PieceKind::kWidth: return number(instruction.width());
    case PieceKind::kCompareValue: return signed_number(instruction.compare_value());
    case PieceKind::kBit: return number(instruction.bit_number());
    case PieceKind::kLabel: return label;
    case PieceKind::kPadOffset: return number(instruction.pad_offset());
  }
  return "";
}

std::string text_of(const Program& program, const Instruction& instruction, const std::string& label) {
  const InstructionInfo& row = info(instruction.opcode);
  std::string text(row.mnemonic);
  if (instruction.opcode == Opcode::kLoop)
    return text + " " + reg(instruction.rd) + ", " + reg(instruction.rs1) + ", " +
           number(instruction.loop_bound()) + " {";
  if (!pieces_of(row.format).empty()) text += " ";
  for (const Piece piece : pieces_of(row.format)) text += piece_text(program, instruction, piece, label);
  return text;
}

// Which loops are around each instruction, and which words have no structured spelling.
class Structure {
 public:
  explicit Structure(const Program& program) : code_(program.code), paths_(code_.size()), raw_(code_.size()) {
    std::vector<uint32_t> open;  // pcs of LOOPs
    for (uint32_t pc = 0; pc < code_.size(); ++pc) {
      const Instruction& instruction = code_[pc];
      paths_[pc] = open;
      if (instruction.opcode == Opcode::kLoop) {
        if (is_proper_loop(pc, open)) open.push_back(pc);
        else raw_[pc] = true;
      } else if (instruction.opcode == Opcode::kEndLoop) {
        if (!open.empty() && end_of(open.back()) == pc) open.pop_back();
        else raw_[pc] = true;
      }
    }
    for (uint32_t pc = 0; pc < code_.size(); ++pc) check_operands(program, pc);
  }

  bool is_raw(uint32_t pc) const { return raw_[pc]; }
  size_t depth(uint32_t pc) const { return paths_[pc].size(); }
  bool is_target(uint32_t pc) const { return targets_.contains(pc); }

 private:
  uint32_t end_of(uint32_t loop) const { return loop + 1 + code_[loop].body_length(); }

  bool is_proper_loop(uint32_t pc, const std::vector<uint32_t>& open) const {
    const uint32_t end = end_of(pc);
    if (end >= code_.size() || code_[end].opcode != Opcode::kEndLoop || open.size() == kMaxLoopDepth) return false;
    return open.empty() || end < end_of(open.back());
  }

  void check_operands(const Program& program, uint32_t pc) {
    const Instruction& instruction = code_[pc];
    const FormatInfo& format = info(info(instruction.opcode).format);
    if (format.has_region && instruction.region >= program.regions.size()) raw_[pc] = true;
    if (format.flags == FlagUse::kRegion && instruction.source_region() >= program.regions.size()) raw_[pc] = true;
    if (!is_branch(instruction)) return;
    const uint32_t target = pc + instruction.displacement();
    const bool is_structured = target < code_.size() && is_prefix(paths_[target], paths_[pc]) &&
                               paths_[pc].size() - paths_[target].size() == instruction.pops();
    if (is_structured) targets_.insert(target);
    else raw_[pc] = true;
  }

  static bool is_prefix(const std::vector<uint32_t>& prefix, const std::vector<uint32_t>& path) {
    return prefix.size() <= path.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
  }

  const std::vector<Instruction>& code_;
  std::vector<std::vector<uint32_t>> paths_;
  std::vector<bool> raw_;
  std::set<uint32_t> targets_;
};

std::string header(const Program& program) {
  std::string text = ".operator " + program.name + "\n.version " + std::to_string(program.version) + "\n";
  for (const RegionDeclaration& region : program.regions) {
    text += ".region " + region.name + " ";
    for (int bit = 0; bit < 3; ++bit)
      if ((static_cast<uint8_t>(region.permission) >> bit & 1) != 0) text += "rwa"[bit];
    text += std::string(region.is_cacheable ? " cacheable" : "") + (region.is_remote ? " remote" : "") + "\n";
  }
  for (const ArgumentContract& argument : program.arguments) {
    text += ".arg " + argument.name + " " + number(argument.min) + " " + number(argument.max);
    if (argument.known_zero != 0) {
      const bool is_alignment = std::has_single_bit(argument.known_zero + 1);
      text += is_alignment ? " align " + number(argument.known_zero + 1) : " zero " + number(argument.known_zero);
    }
    text += "\n";
  }
  if (program.results != 0) text += ".results " + std::to_string(program.results) + "\n";
  if (program.scratchpad_bytes != 0) text += ".scratchpad " + std::to_string(program.scratchpad_bytes) + "\n";
  if (program.declared.max_reply_bytes != 0) text += ".reply " + number(program.declared.max_reply_bytes) + "\n";
  if (program.declared.max_steps != UINT64_MAX) text += ".steps " + number(program.declared.max_steps) + "\n";
  return text + "\n";
}

std::string label_of(uint32_t pc) { return "L" + std::to_string(pc); }

}  // namespace

std::string disassemble(const Program& program) {
  const Structure structure(program);
  std::string text = header(program);
  for (uint32_t pc = 0; pc < program.code.size(); ++pc) {
    const Instruction& instruction = program.code[pc];
    if (structure.is_target(pc)) text += label_of(pc) + ":\n";
    const bool is_end = instruction.opcode == Opcode::kEndLoop && !structure.is_raw(pc);
    text.append(4 + 2 * (structure.depth(pc) - (is_end ? 1 : 0)), ' ');
    if (structure.is_raw(pc)) {
      char word[32];
      snprintf(word, sizeof word, ".word 0x%016" PRIx64, encode(instruction));
      text += word;
    } else if (is_end) {
      text += "}";
    } else {
      text += text_of(program, instruction, label_of(pc + instruction.displacement()));
    }
    text += "\n";
  }
  return text;
}

std::string disassemble(const Program& program, const Instruction& instruction) {
  return text_of(program, instruction, "+" + std::to_string(instruction.displacement()));
}

}  // namespace tiara::nic
