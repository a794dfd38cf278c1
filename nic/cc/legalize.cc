#include <bit>
#include <limits>
#include <optional>
#include <utility>

#include "nic/cc/optimize.h"

namespace tiara::nic::cc {
namespace {

std::optional<uint64_t> constant_of(const Function& function, ValueId value) {
  if (value == kNoValue || !function.node(value).is_constant()) return std::nullopt;
  return static_cast<uint64_t>(function.node(value).imm);
}

// c < x as x >= c + 1, c >= x as x < c + 1: the constant has an immediate form on the right only.
void move_constant_right(Function& function, End& end) {
  const auto c = constant_of(function, end.a);
  if (!c || constant_of(function, end.b)) return;
  if (end.condition == Opcode::kBeq || end.condition == Opcode::kBne)
    return std::swap(end.a, end.b);
  const bool is_signed = end.condition == Opcode::kBlts || end.condition == Opcode::kBges;
  const bool is_unsigned = end.condition == Opcode::kBltu || end.condition == Opcode::kBgeu;
  const uint64_t greatest = is_signed ? static_cast<uint64_t>(INT64_MAX) : UINT64_MAX;
  if ((!is_signed && !is_unsigned) || *c == greatest) return;
  constexpr std::pair<Opcode, Opcode> kMirrored[] = {{Opcode::kBltu, Opcode::kBgeu},
                                                     {Opcode::kBlts, Opcode::kBges}};
  for (const auto& [less, at_least] : kMirrored) {
    if (end.condition != less && end.condition != at_least) continue;
    end.condition = end.condition == less ? at_least : less;
    break;
  }
  end.a = std::exchange(end.b, function.constant(static_cast<int64_t>(*c + 1)));
}

// (x & one bit) == 0, and fields of one bit.
void test_bits(Function& function, End& end) {
  const auto c = constant_of(function, end.b);
  const bool is_equal = end.condition == Opcode::kBeq;
  if (!c || (!is_equal && end.condition != Opcode::kBne)) return;
  const Node tested = function.node(end.a);
  const auto mask = tested.is(Opcode::kAnd) ? constant_of(function, tested.in[kRs2]) : std::nullopt;
  uint32_t bit = 64;
  bool is_set_wanted = false;
  if (mask && std::has_single_bit(*mask) && (*c == 0 || *c == *mask)) {
    bit = static_cast<uint32_t>(std::countr_zero(*mask));
    is_set_wanted = (*c != 0) == is_equal;
  } else if (tested.is(Opcode::kBfx) && (tested.imm >> 8 & 63) == 1 && *c <= 1) {
    bit = tested.imm & 63;
    is_set_wanted = (*c != 0) == is_equal;
  }
  if (bit == 64) return;
  end.condition = is_set_wanted ? Opcode::kBset : Opcode::kBclr;
  end.a = tested.in[kRs1];
  end.b = function.constant(bit);
}

// A comparison made only to be branched on is the branch.
void branch_on_comparison(Function& function, End& end) {
  const auto c = constant_of(function, end.b);
  const bool is_equal = end.condition == Opcode::kBeq;
  if (!c || *c > 1 || (!is_equal && end.condition != Opcode::kBne)) return;
  struct Row {
    Opcode set, when_true, when_false;
    bool is_swapped;
  };
  constexpr Row kRows[] = {
      {Opcode::kSeteq, Opcode::kBeq, Opcode::kBne, false},
      {Opcode::kSetne, Opcode::kBne, Opcode::kBeq, false},
      {Opcode::kSetltu, Opcode::kBltu, Opcode::kBgeu, false},
      {Opcode::kSetlts, Opcode::kBlts, Opcode::kBges, false},
      {Opcode::kSetleu, Opcode::kBgeu, Opcode::kBltu, true},
      {Opcode::kSetles, Opcode::kBges, Opcode::kBlts, true},
  };
  const Node tested = function.node(end.a);
  for (const Row& row : kRows) {
    if (!tested.is(row.set)) continue;
    end.condition = (*c == 1) == is_equal ? row.when_true : row.when_false;
    end.a = tested.in[row.is_swapped ? kRs2 : kRs1];
    end.b = tested.in[row.is_swapped ? kRs1 : kRs2];
    return;
  }
}

// The immediate form's opcode stands 0x20 above the register form's.
std::optional<Opcode> immediate_form(Opcode opcode) {
  if (info(opcode).format != Format::kRdRsRs) return std::nullopt;
  const InstructionInfo* const row =
      find_instruction(static_cast<uint8_t>(static_cast<uint8_t>(opcode) + 0x20));
  if (row == nullptr || (row->format != Format::kRdRsImm && row->format != Format::kRdRsShift))
    return std::nullopt;
  return row->opcode;
}

}  // namespace

void normalize_conditions(Function& function) {
  for (Block& block : function.blocks) {
    if (block.end.kind != EndKind::kBranch) continue;
    move_constant_right(function, block.end);
    branch_on_comparison(function, block.end);
    move_constant_right(function, block.end);
    if (constant_of(function, block.end.b) == uint64_t{1} && block.end.condition == Opcode::kBltu) {
      block.end.condition = Opcode::kBeq;
      block.end.b = function.constant(0);
    }
    test_bits(function, block.end);
  }
  clean_up(function);
}

void use_immediates(Function& function) {
  for (const Block& block : function.blocks) {
    for (const ValueId value : block.body) {
      Node& node = function.node(value);
      if (node.kind != NodeKind::kInstruction) continue;
      const auto form = immediate_form(node.opcode);
      const auto c = form ? constant_of(function, node.in[kRs2]) : std::nullopt;
      if (!c) continue;
      const bool is_shift = info(*form).format == Format::kRdRsShift;
      const auto number = is_shift ? static_cast<int64_t>(*c & 63) : static_cast<int64_t>(*c);
      if (number != static_cast<int32_t>(number)) continue;
      node.opcode = *form;
      node.imm = number;
      node.in[kRs2] = kNoValue;
    }
  }
}

void optimize(Function& function, const Program& header) {
  const ZeroBits zero_bits(function, header);
  combine(function, zero_bits);
  remove_branches(function);
  combine(function, zero_bits);
  normalize_conditions(function);
  fuse_addresses(function, zero_bits);
  use_immediates(function);
  sink_updates(function);
}

}  // namespace tiara::nic::cc
