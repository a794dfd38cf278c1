#include "nic/asm/assembler.h"

#include <algorithm>
#include <bit>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nic/asm/lexer.h"
#include "nic/asm/operands.h"

namespace tiara::nic {
namespace {

using namespace assembly;

constexpr std::string_view kRegisterWanted = "a register (r0 to r15 or a name for one)";

std::optional<uint8_t> register_of_name(std::string_view name) {
  if (name.size() < 2 || name.size() > 3 || name[0] != 'r') return std::nullopt;
  uint32_t number = 0;
  for (const char c : name.substr(1)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  if (number >= kRegisters || (name.size() == 3 && name[1] == '0')) return std::nullopt;
  return static_cast<uint8_t>(number);
}

bool fits_signed(uint64_t value, int bits) {
  const auto number = static_cast<int64_t>(value);
  return number >= -(int64_t{1} << (bits - 1)) && number < int64_t{1} << (bits - 1);
}

class Assembler {
 public:
  explicit Assembler(std::string_view file) : file_(file) {}

  Result<Program> run(std::string_view source) {
    uint32_t number = 0;
    while (!source.empty()) {
      const size_t end = std::min(source.find('\n'), source.size());
      last_ = Place{file_, ++number};
      TIARA_TRY(const std::vector<Token> tokens, tokenize(source.substr(0, end), last_));
      Cursor cursor(tokens, last_);
      TIARA_TRY_VOID(line(cursor));
      source.remove_prefix(std::min(end + 1, source.size()));
    }
    return finish();
  }

 private:
  // A loop that is open, with the branches that wait for its end.
  struct OpenLoop {
    uint32_t id;
    uint32_t pc;
    Place place;
    std::vector<uint32_t> breaks;
    std::vector<uint32_t> continues;
  };
  struct Label {
    uint32_t pc;
    std::vector<uint32_t> loops;  // ids of the loops around it, outermost first
  };
  struct Fixup {
    uint32_t pc;
    std::string label;
    Place place;
    uint32_t column;
    std::vector<uint32_t> loops;
  };

  uint32_t pc() const { return static_cast<uint32_t>(program_.code.size()); }

  std::vector<uint32_t> open_loop_ids() const {
    std::vector<uint32_t> ids;
    for (const OpenLoop& loop : open_loops_) ids.push_back(loop.id);
    return ids;
  }

  Result<void> line(Cursor& cursor) {
    if (cursor.is_symbol(".")) return directive(cursor);
    while (cursor.peek().kind == TokenKind::kName && cursor.is_symbol(":", 1)) TIARA_TRY_VOID(label(cursor));
    if (cursor.is_at_end()) return {};
    if (cursor.try_symbol("}")) return close_loop(cursor);
    TIARA_TRY_VOID(instruction(cursor));
    return cursor.expect_end();
  }

  Result<void> label(Cursor& cursor) {
    const Token name = cursor.take();
    cursor.take();
    if (!labels_.emplace(name.text, Label{pc(), open_loop_ids()}).second)
      return cursor.error(name.column, "label '" + std::string(name.text) + "' is defined twice");
    return {};
  }

  // --- directives ---

  Result<void> directive(Cursor& cursor) {
    cursor.take();
    const uint32_t column = cursor.peek().column;
    TIARA_TRY(const std::string name, cursor.expect_name("a directive"));
    if (name == "operator") {
      TIARA_TRY(program_.name, cursor.expect_name("the operator's name"));
    } else if (name == "version") {
      TIARA_TRY(const uint64_t value, constant_up_to(cursor, UINT32_MAX));
      program_.version = static_cast<uint32_t>(value);
    } else if (name == "region") {
      TIARA_TRY_VOID(region(cursor));
    } else if (name == "arg") {
      TIARA_TRY_VOID(argument(cursor));
    } else if (name == "results") {
      TIARA_TRY(const uint64_t value, constant_up_to(cursor, 4));
      program_.results = static_cast<uint8_t>(value);
    } else if (name == "scratchpad") {
      TIARA_TRY(const uint64_t value, constant_up_to(cursor, kMaxScratchpadBytes));
      program_.scratchpad_bytes = static_cast<uint16_t>(value);
    } else if (name == "reply") {
      TIARA_TRY(program_.declared.max_reply_bytes, constant(cursor));
    } else if (name == "steps") {
      TIARA_TRY(program_.declared.max_steps, constant(cursor));
    } else if (name == "const") {
      TIARA_TRY(const std::string constant_name, new_name(cursor, "the constant's name"));
      TIARA_TRY(const uint64_t value, constant(cursor));
      constants_[constant_name] = value;
    } else if (name == "reg") {
      TIARA_TRY(const std::string alias, new_name(cursor, "a name for the register"));
      TIARA_TRY(registers_[alias], register_operand(cursor));
    } else if (name == "word") {
      TIARA_TRY_VOID(raw_word(cursor));
    } else {
      return cursor.error(column, "unknown directive ." + name +
                                      "; there are operator, version, region, arg, results, scratchpad, reply, "
                                      "steps, const, reg and word");
    }
    return cursor.expect_end();
  }

  Result<std::string> new_name(Cursor& cursor, std::string_view what) {
    const uint32_t column = cursor.peek().column;
    TIARA_TRY(std::string name, cursor.expect_name(what));
    if (register_of_name(name) || registers_.contains(name) || constants_.contains(name))
      return cursor.error(column, "'" + name + "' already has a meaning");
    return name;
  }

  Result<void> region(Cursor& cursor) {
    RegionDeclaration region;
    TIARA_TRY(region.name, cursor.expect_name("the region's name"));
    const Token letters = cursor.peek();
    TIARA_TRY(const std::string permission, cursor.expect_name("the region's permissions, some of r, w and a"));
    uint8_t bits = 0;
    for (const char c : permission) {
      const size_t index = std::string_view("rwa").find(c);
      if (index == std::string_view::npos || (bits >> index & 1) != 0)
        return cursor.error(letters.column, "'" + permission + "' are not permissions; use some of r, w and a");
      bits = static_cast<uint8_t>(bits | 1u << index);
    }
    region.permission = Permission{bits};
    while (!cursor.is_at_end()) {
      if (cursor.try_name("cacheable")) region.is_cacheable = true;
      else if (cursor.try_name("remote")) region.is_remote = true;
      else return cursor.expected("'cacheable', 'remote' or the end of the line");
    }
    if (program_.regions.size() == kMaxRegions) return cursor.error(letters.column, "more than 16 regions");
    program_.regions.push_back(std::move(region));
    return {};
  }

  Result<void> argument(Cursor& cursor) {
    ArgumentContract argument;
    const uint32_t column = cursor.peek().column;
    TIARA_TRY(argument.name, new_name(cursor, "the argument's name"));
    TIARA_TRY(argument.min, constant(cursor));
    TIARA_TRY(argument.max, constant(cursor));
    while (!cursor.is_at_end()) {
      const uint32_t at = cursor.peek().column;
      if (cursor.try_name("align")) {
        TIARA_TRY(const uint64_t alignment, constant(cursor));
        if (!std::has_single_bit(alignment)) return cursor.error(at, "an alignment is a power of two");
        argument.known_zero |= alignment - 1;
      } else if (cursor.try_name("zero")) {
        TIARA_TRY(const uint64_t mask, constant(cursor));
        argument.known_zero |= mask;
      } else {
        return cursor.expected("'align N', 'zero MASK' or the end of the line");
      }
    }
    if (argument.min > argument.max) return cursor.error(column, "the argument's minimum is above its maximum");
    if (program_.arguments.size() == kMaxProgramArguments) return cursor.error(column, "more than 8 arguments");
    registers_[argument.name] = static_cast<uint8_t>(program_.arguments.size());
    program_.arguments.push_back(std::move(argument));
    return {};
  }

  Result<void> raw_word(Cursor& cursor) {
    const uint32_t column = cursor.peek().column;
    TIARA_TRY(const uint64_t word, constant(cursor));
    const auto decoded = decode(word);
    if (!decoded) return cursor.error(column, "not an instruction: " + std::string(to_string(decoded.error())));
    program_.code.push_back(*decoded);
    return {};
  }

  // --- constants and registers ---

  // sum := product {(+ | -) product}; product := atom {(* | <<) atom}. Arithmetic is modulo 2^64.
  Result<uint64_t> constant(Cursor& cursor) {
    TIARA_TRY(uint64_t sum, product(cursor));
    for (;;) {
      if (cursor.try_symbol("+")) {
        TIARA_TRY(const uint64_t term, product(cursor));
        sum += term;
      } else if (cursor.try_symbol("-")) {
        TIARA_TRY(const uint64_t term, product(cursor));
        sum -= term;
      } else {
        return sum;
      }
    }
  }

  Result<uint64_t> product(Cursor& cursor) {
    TIARA_TRY(uint64_t value, atom(cursor));
    for (;;) {
      const uint32_t column = cursor.peek().column;
      if (cursor.try_symbol("*")) {
        TIARA_TRY(const uint64_t factor, atom(cursor));
        value *= factor;
      } else if (cursor.try_symbol("<<")) {
        TIARA_TRY(const uint64_t shift, atom(cursor));
        if (shift > 63) return cursor.error(column, "shifts of constants are at most 63");
        value <<= shift;
      } else {
        return value;
      }
    }
  }

  Result<uint64_t> atom(Cursor& cursor) {
    // Unary minus in a loop: nesting by recursion would let a long line exhaust the stack.
    bool is_negative = false;
    while (cursor.try_symbol("-")) is_negative = !is_negative;
    uint64_t value = 0;
    if (cursor.peek().kind == TokenKind::kNumber) {
      value = cursor.take().number;
    } else {
      const auto found = constants_.find(cursor.peek().text);
      if (cursor.peek().kind != TokenKind::kName || found == constants_.end())
        return cursor.expected("a number or the name of a constant");
      value = found->second;
      cursor.take();
    }
    return is_negative ? -value : value;
  }

  Result<uint64_t> constant_up_to(Cursor& cursor, uint64_t limit) {
    const uint32_t column = cursor.peek().column;
    TIARA_TRY(const uint64_t value, constant(cursor));
    if (value > limit) return cursor.error(column, "the value is above " + std::to_string(limit));
    return value;
  }

  Result<int32_t> signed_constant(Cursor& cursor, int bits) {
    const uint32_t column = cursor.peek().column;
    TIARA_TRY(const uint64_t value, constant(cursor));
    if (!fits_signed(value, bits))
      return cursor.error(column, "the value does not fit a signed field of " + std::to_string(bits) + " bits");
    return static_cast<int32_t>(value);
  }

  std::optional<uint8_t> peek_register(const Token& token) const {
    if (token.kind != TokenKind::kName) return std::nullopt;
    if (const auto found = registers_.find(token.text); found != registers_.end()) return found->second;
    return register_of_name(token.text);
  }

  Result<uint8_t> register_operand(Cursor& cursor) {
    const auto number = peek_register(cursor.peek());
    if (!number) return cursor.expected(kRegisterWanted);
    cursor.take();
    return *number;
  }

  // --- instructions ---

  Result<void> instruction(Cursor& cursor) {
    const Token first = cursor.peek();
    TIARA_TRY(const std::string word, cursor.expect_name("an instruction, a label or a directive"));
    if (program_.code.size() >= kMaxInstructions) return cursor.error(first.column, "more than 4096 instructions");
    if (word == "loop") return open_loop(cursor);
    if (word == "break" || word == "continue") return leave_loop(cursor, word == "break", first.column);
    if (word == "ret" && cursor.is_at_end()) {
      program_.code.push_back({.opcode = Opcode::kRet, .imm = program_.results});
      return {};
    }
    const InstructionInfo* row = find_instruction(word);
    if (row == nullptr || row->opcode == Opcode::kEndLoop)
      return cursor.error(first.column, "unknown instruction '" + word + "'");
    if (row->opcode == Opcode::kLi) return load_constant(cursor);
    return operands(cursor, immediate_form_if_written(cursor, *row));
  }

  // `add r1, r2, 5` means addi, `beq r1, 5, x` means beqi: the operand says which.
  const InstructionInfo& immediate_form_if_written(const Cursor& cursor, const InstructionInfo& row) const {
    size_t operand = 0;
    if (row.format == Format::kRdRsRs) operand = 2;
    if (row.format == Format::kBranch) operand = 1;
    if (operand == 0) return row;
    size_t at = 0;
    for (size_t commas = 0; commas < operand; ++at) {
      if (cursor.peek(at).kind == TokenKind::kEnd) return row;
      if (cursor.is_symbol(",", at)) ++commas;
    }
    const InstructionInfo* immediate = find_instruction(std::string(row.mnemonic) + "i");
    const bool is_register = peek_register(cursor.peek(at)).has_value();
    const bool is_operand = cursor.peek(at).kind == TokenKind::kNumber || cursor.is_symbol("-", at) ||
                            constants_.contains(cursor.peek(at).text);
    return !is_register && is_operand && immediate != nullptr ? *immediate : row;
  }

  // Any 64-bit constant: one instruction when it fits, two otherwise.
  Result<void> load_constant(Cursor& cursor) {
    Instruction li{.opcode = Opcode::kLi};
    TIARA_TRY(li.rd, register_operand(cursor));
    TIARA_TRY_VOID(cursor.expect_symbol(","));
    TIARA_TRY(const uint64_t value, constant(cursor));
    li.imm = static_cast<int32_t>(value);
    program_.code.push_back(li);
    if (!fits_signed(value, 32))
      program_.code.push_back({.opcode = Opcode::kLih, .rd = li.rd, .imm = static_cast<int32_t>(value >> 32)});
    return {};
  }

  Result<void> operands(Cursor& cursor, const InstructionInfo& row) {
    Instruction built{.opcode = row.opcode};
    const uint32_t column = cursor.peek().column;
    for (const Piece piece : pieces_of(row.format)) TIARA_TRY_VOID(operand(cursor, piece, built));
    if (const auto checked = decode(encode(built)); !checked && !is_branch(built))
      return cursor.error(column, std::string(row.mnemonic) + ": " + std::string(to_string(checked.error())));
    program_.code.push_back(built);
    return {};
  }

  Result<void> operand(Cursor& cursor, Piece piece, Instruction& built) {
    const auto merge = [&](uint32_t bits) { built.imm = static_cast<int32_t>(built.bits() | bits); };
    switch (piece.kind) {
      case PieceKind::kSymbol: return cursor.expect_symbol({&piece.symbol, 1});
      case PieceKind::kRd: return assign(built.rd, register_operand(cursor));
      case PieceKind::kRs1: return assign(built.rs1, register_operand(cursor));
      case PieceKind::kRs2: return assign(built.rs2, register_operand(cursor));
      case PieceKind::kRs3: return assign(built.rs3, register_operand(cursor));
      case PieceKind::kRegion: return assign(built.region, region_operand(cursor));
      case PieceKind::kSourceRegion: return assign(built.flags, region_operand(cursor));
      case PieceKind::kAddress: return address(cursor, built);
      case PieceKind::kLineAddress: return line_address(cursor, built);
      case PieceKind::kIndexField: return index_field(cursor, built);
      case PieceKind::kImmediate: return assign(built.imm, signed_constant(cursor, 32));
      case PieceKind::kLsb: {
        TIARA_TRY(const uint64_t lsb, constant_up_to(cursor, 63));
        merge(static_cast<uint32_t>(lsb));
        return {};
      }
      case PieceKind::kWidth: {
        TIARA_TRY(const uint64_t width, constant_up_to(cursor, 63));
        merge(static_cast<uint32_t>(width) << 8);
        return {};
      }
      case PieceKind::kCompareValue: {
        TIARA_TRY(const int32_t value, signed_constant(cursor, 16));
        merge(static_cast<uint32_t>(value) << 16);
        return {};
      }
      case PieceKind::kBit: {
        TIARA_TRY(const uint64_t number, constant_up_to(cursor, 63));
        merge(static_cast<uint32_t>(number) << 16);
        return {};
      }
      case PieceKind::kLabel: return label_operand(cursor);
      case PieceKind::kPadOffset: {
        TIARA_TRY(const uint64_t offset, constant_up_to(cursor, kMaxScratchpadBytes));
        merge(static_cast<uint32_t>(offset));
        return {};
      }
    }
    return {};
  }

  template <typename Field, typename Value>
  static Result<void> assign(Field& field, Result<Value> value) {
    if (!value) return std::unexpected(std::move(value).error());
    field = *value;
    return {};
  }

  Result<uint8_t> region_operand(Cursor& cursor) {
    const Token name = cursor.peek();
    for (size_t i = 0; i < program_.regions.size(); ++i)
      if (name.kind == TokenKind::kName && program_.regions[i].name == name.text) {
        cursor.take();
        return static_cast<uint8_t>(i);
      }
    return cursor.expected("the name of a declared region");
  }

  // rs1, rs1 + imm, rs1 - imm, or imm alone.
  Result<void> address(Cursor& cursor, Instruction& built) {
    if (peek_register(cursor.peek())) {
      TIARA_TRY(built.rs1, register_operand(cursor));
      if (cursor.is_symbol("]")) return {};
      if (cursor.is_symbol("-")) return assign(built.imm, signed_constant(cursor, 32));
      if (!cursor.try_symbol("+")) return cursor.expected("'+', '-' or ']'");
      return assign(built.imm, signed_constant(cursor, 32));
    }
    built.flags = 1;
    return assign(built.imm, signed_constant(cursor, 32));
  }

  Result<void> line_address(Cursor& cursor, Instruction& built) {
    TIARA_TRY(built.rs1, register_operand(cursor));
    if (!cursor.is_symbol("-") && !cursor.try_symbol("+")) return {};
    TIARA_TRY(const int32_t displacement, signed_constant(cursor, 16));
    built.imm = pack_line(built.pad_offset(), displacement);
    return {};
  }

  // rs1 + rs2.bits(lsb,width) << scale
  Result<void> index_field(Cursor& cursor, Instruction& built) {
    TIARA_TRY(built.rs1, register_operand(cursor));
    TIARA_TRY_VOID(cursor.expect_symbol("+"));
    TIARA_TRY(built.rs2, register_operand(cursor));
    TIARA_TRY_VOID(cursor.expect_symbol("."));
    if (!cursor.try_name("bits")) return cursor.expected("'bits(lsb,width)'");
    TIARA_TRY_VOID(cursor.expect_symbol("("));
    TIARA_TRY(const uint64_t lsb, constant_up_to(cursor, 63));
    TIARA_TRY_VOID(cursor.expect_symbol(","));
    TIARA_TRY(const uint64_t width, constant_up_to(cursor, 63));
    TIARA_TRY_VOID(cursor.expect_symbol(")"));
    uint64_t scale = 0;
    if (cursor.try_symbol("<<")) {
      TIARA_TRY(scale, constant_up_to(cursor, 7));
    }
    built.imm = pack_bits(static_cast<uint32_t>(lsb), static_cast<uint32_t>(width), static_cast<uint32_t>(scale));
    return {};
  }

  // The branch is not in the code yet: its pc is the next one.
  Result<void> label_operand(Cursor& cursor) {
    const uint32_t column = cursor.peek().column;
    TIARA_TRY(std::string name, cursor.expect_name("a label"));
    fixups_.push_back({pc(), std::move(name), cursor.place(), column, open_loop_ids()});
    return {};
  }

  // --- loops ---

  // loop rd, rs1, bound {
  Result<void> open_loop(Cursor& cursor) {
    Instruction loop{.opcode = Opcode::kLoop};
    const uint32_t column = cursor.peek().column;
    TIARA_TRY(loop.rd, register_operand(cursor));
    TIARA_TRY_VOID(cursor.expect_symbol(","));
    TIARA_TRY(loop.rs1, register_operand(cursor));
    TIARA_TRY_VOID(cursor.expect_symbol(","));
    TIARA_TRY(const uint64_t bound, constant_up_to(cursor, kMaxLoopBound));
    if (bound == 0) return cursor.error(column, "the bound of a loop is at least 1");
    TIARA_TRY_VOID(cursor.expect_symbol("{"));
    loop.imm = pack_loop(static_cast<uint32_t>(bound), 0);
    if (open_loops_.size() == kMaxLoopDepth) return cursor.error(column, "loops nest at most 4 deep");
    open_loops_.push_back({next_loop_id_++, pc(), cursor.place(), {}, {}});
    program_.code.push_back(loop);
    return {};
  }

  Result<void> close_loop(Cursor& cursor) {
    if (open_loops_.empty()) return cursor.error(1, "'}' without a loop");
    TIARA_TRY_VOID(cursor.expect_end());
    if (program_.code.size() >= kMaxInstructions) return cursor.error(1, "more than 4096 instructions");
    const OpenLoop loop = std::move(open_loops_.back());
    open_loops_.pop_back();
    const uint32_t end = pc();
    program_.code.push_back({.opcode = Opcode::kEndLoop});
    Instruction& opener = program_.code[loop.pc];
    opener.imm = pack_loop(opener.loop_bound(), end - loop.pc - 1);
    for (const uint32_t at : loop.breaks) set_displacement(at, end + 1 - at);
    for (const uint32_t at : loop.continues) set_displacement(at, end - at);
    return {};
  }

  // break [LEVELS] [if CONDITION a, b]; continue likewise. LEVELS counts from the innermost loop.
  Result<void> leave_loop(Cursor& cursor, bool is_break, uint32_t column) {
    uint64_t levels = 1;
    if (cursor.peek().kind == TokenKind::kNumber) levels = cursor.take().number;
    if (levels < 1 || levels > open_loops_.size())
      return cursor.error(column, open_loops_.empty() ? "there is no loop around this"
                                                      : "there are only " + std::to_string(open_loops_.size()) +
                                                            " loops around this");
    Instruction branch{.opcode = Opcode::kJump};
    if (cursor.try_name("if")) {
      const uint32_t at = cursor.peek().column;
      TIARA_TRY(const std::string condition, cursor.expect_name("a condition"));
      const InstructionInfo* row = find_instruction("b" + condition);
      if (row == nullptr || row->format != Format::kBranch)
        return cursor.error(at, "'" + condition + "' is not a condition; " +
                                    "there are eq, ne, ltu, geu, lts, ges, set and clr");
      row = &immediate_form_if_written(cursor, *row);
      branch.opcode = row->opcode;
      for (const Piece piece : pieces_of(row->format)) {
        if (piece.kind == PieceKind::kLabel) break;
        if (piece.kind == PieceKind::kSymbol && cursor.is_at_end()) break;  // the comma before the label
        TIARA_TRY_VOID(operand(cursor, piece, branch));
      }
    }
    OpenLoop& target = open_loops_[open_loops_.size() - levels];
    (is_break ? target.breaks : target.continues).push_back(pc());
    branch.flags = static_cast<uint8_t>(is_break ? levels : levels - 1);
    program_.code.push_back(branch);
    return {};
  }

  void set_displacement(uint32_t at, uint32_t displacement) {
    Instruction& branch = program_.code[at];
    branch.imm = static_cast<int32_t>((branch.bits() & ~0xffffu) | displacement);
  }

  // --- the end ---

  Result<void> resolve(const Fixup& fixup) {
    const auto refuse = [&](std::string why) {
      return error_at(fixup.place, fixup.column, "label '" + fixup.label + "' " + std::move(why));
    };
    const auto found = labels_.find(fixup.label);
    if (found == labels_.end()) return refuse("is not defined");
    const Label& label = found->second;
    if (label.pc <= fixup.pc) return refuse("stands before the branch; branches go forward, use a loop");
    if (label.pc >= pc()) return refuse("has no instruction behind it");
    const bool is_around = label.loops.size() <= fixup.loops.size() &&
                           std::equal(label.loops.begin(), label.loops.end(), fixup.loops.begin());
    if (!is_around) return refuse("is inside a loop that the branch is not in");
    set_displacement(fixup.pc, label.pc - fixup.pc);
    program_.code[fixup.pc].flags = static_cast<uint8_t>(fixup.loops.size() - label.loops.size());
    return {};
  }

  Result<Program> finish() {
    if (!open_loops_.empty()) return error_at(open_loops_.back().place, 1, "this loop has no '}'");
    for (const Fixup& fixup : fixups_) TIARA_TRY_VOID(resolve(fixup));
    if (program_.name.empty()) return error_at(last_, 1, "the program has no name; begin with .operator NAME");
    if (auto formed = check_well_formed(program_); !formed) return error_at(last_, 1, formed.error().message);
    return std::move(program_);
  }

  std::string_view file_;
  Place last_{};
  Program program_;
  std::map<std::string, uint64_t, std::less<>> constants_;
  std::map<std::string, uint8_t, std::less<>> registers_;
  std::map<std::string, Label, std::less<>> labels_;
  std::vector<Fixup> fixups_;
  std::vector<OpenLoop> open_loops_;
  uint32_t next_loop_id_ = 0;
};

}  // namespace

Result<Program> assemble(std::string_view source, std::string_view file_name) {
  return Assembler(file_name).run(source);
}

}  // namespace tiara::nic
