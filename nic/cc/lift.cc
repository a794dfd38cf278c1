#include "nic/cc/lift.h"

#include <algorithm>
#include <bit>
#include <map>
#include <string>
#include <utility>

#include "nic/cc/bind.h"
#include "nic/cc/frame_plan.h"
#include "nic/cc/intrinsics.h"
#include "nic/cc/ssa.h"

namespace tiara::nic::cc {
namespace {

constexpr uint32_t kBpfRegisters = 10;  // r10 is the frame pointer and never changes
constexpr int32_t kLow32 = pack_bits(0, 32);

class Lifter {
 public:
  Lifter(const Object& object, const Shape& shape)
      : object_(object),
        shape_(shape),
        plan_(object.code),
        function_(blocks_of(shape)),
        ssa_(function_, kBpfRegisters + plan_.variables()) {}

  Result<Lifted> run() {
    const uint32_t pad = (object_.header.scratchpad_bytes + 7u) / 8 * 8;
    function_.scratchpad_bytes =
        plan_.bytes() == 0 ? object_.header.scratchpad_bytes : pad + plan_.bytes();
    frame_ = function_.add({.kind = NodeKind::kFrame, .imm = pad + plan_.bytes()});
    for (uint32_t i = 0; i < 5; ++i)
      ssa_.write(0, i + 1,
                 function_.add({.kind = NodeKind::kParameter,
                                .imm = i,
                                .block = 0,
                                .place = object_.code[0].place}));
    const Dominators dominators = dominators_of(function_.successors());
    for (const BlockId block : dominators.order) TIARA_TRY_VOID(fill(block));
    ssa_.finish();
    return Lifted{.function = std::move(function_), .calls = std::move(calls_)};
  }

 private:
  static Function blocks_of(const Shape& shape) {
    Function function;
    for (const ShapeBlock& from : shape.blocks) {
      End end{.kind = from.kind == ShapeKind::kJump       ? EndKind::kJump
                      : from.kind == ShapeKind::kBranch   ? EndKind::kBranch
                      : from.kind == ShapeKind::kLoopHead ? EndKind::kLoop
                                                          : EndKind::kReturn,
              .to = from.to};
      function.blocks.push_back({.end = std::move(end)});
    }
    const Dominators dominators = dominators_of(function.successors());
    for (BlockId block = 0; block < function.blocks.size(); ++block) {
      function.blocks[block].is_reachable = dominators.is_reachable(block);
      if (!dominators.is_reachable(block)) {
        function.blocks[block].end = End{};
        continue;
      }
      for (uint32_t i = 0; i < function.blocks[block].end.ways(); ++i)
        function.blocks[function.blocks[block].end.to[i]].from.push_back(block);
    }
    for (const ShapeLoop& loop : shape.loops)
      function.loops.push_back({.entry = loop.entry, .head = loop.head, .latch = loop.latch});
    return function;
  }

  // --- values ---

  ValueId constant(int64_t value) {
    const auto [at, is_new] = constants_.try_emplace(value, kNoValue);
    if (is_new) at->second = function_.constant(value);
    return at->second;
  }
  ValueId append(Node node) {
    node.block = block_;
    node.place = place_;
    const ValueId value = function_.add(std::move(node));
    function_.blocks[block_].body.push_back(value);
    return value;
  }
  ValueId binary(Opcode opcode, ValueId a, ValueId b) {
    return append({.opcode = opcode, .in = {a, b, kNoValue, kNoValue}});
  }
  ValueId field(Opcode opcode, ValueId a, int32_t bits) {
    return append({.opcode = opcode, .in = {a, kNoValue, kNoValue, kNoValue}, .imm = bits});
  }
  ValueId zext32(ValueId a) { return field(Opcode::kBfx, a, kLow32); }
  ValueId sext32(ValueId a) { return field(Opcode::kBfxs, a, kLow32); }
  ValueId read(uint8_t reg) { return reg == bpf::kFrameRegister ? frame_ : ssa_.read(block_, reg); }
  void write(uint8_t reg, ValueId value) { ssa_.write(block_, reg, value); }
  ValueId source_of(const BpfInstruction& instruction) {
    return (instruction.opcode & bpf::kRegisterSource) != 0 ? read(instruction.src)
                                                            : constant(instruction.imm);
  }
  std::unexpected<Error> refuse(const std::string& what) const { return refuse_at(place_, what); }

  // --- one block ---

  Result<void> fill(BlockId block) {
    block_ = block;
    const ShapeBlock& shape = shape_.blocks[block];
    if (shape.kind == ShapeKind::kLoopHead) return fill_loop_head(shape);
    const std::vector<BlockId>& from = function_.blocks[block].from;
    if (from.size() == 1 && function_.blocks[from[0]].end.kind == EndKind::kLoop)
      write(0, shape.is_after_loop ? constant(-1) : function_.blocks[from[0]].end.index);
    for (uint32_t at = shape.first; at < shape.last; ++at) {
      place_ = object_.code[at].place;
      if (!object_.code[at].is_second_slot) TIARA_TRY_VOID(instruction(object_.code[at]));
    }
    if (shape.kind == ShapeKind::kBranch) TIARA_TRY_VOID(branch(object_.code[shape.last]));
    if (shape.kind == ShapeKind::kEnd) end_operator(object_.code[shape.last]);
    ssa_.mark_filled(block);
    return {};
  }

  Result<void> fill_loop_head(const ShapeBlock& shape) {
    place_ = object_.code[shape.first].place;
    End& end = function_.blocks[block_].end;
    end.index = function_.add({.kind = NodeKind::kIndex, .block = block_, .place = place_});
    end.place = place_;
    const ValueId number =
        ssa_.read(block_, 1);  // of the loop; the trip count when bind_loops() has seen it
    function_.blocks[block_].end.a = number;
    for (uint8_t reg = 0; reg <= 5; ++reg) write(reg, undefined());
    ssa_.mark_filled(block_);
    return {};
  }

  ValueId undefined() {
    if (undefined_ == kNoValue)
      undefined_ = function_.add({.kind = NodeKind::kUndefined, .block = 0});
    return undefined_;
  }

  Result<void> instruction(const BpfInstruction& in) {
    if (in.dst > bpf::kFrameRegister || in.src > bpf::kFrameRegister)
      return fail(ErrorCode::kInvalidInput, "malformed BPF code: a register that does not exist");
    switch (in.instruction_class()) {
      case bpf::kClassAlu64: return alu64(in);
      case bpf::kClassAlu: return alu32(in);
      case bpf::kClassLd: return load_immediate(in);
      case bpf::kClassLdx:
      case bpf::kClassSt:
      case bpf::kClassStx: return memory(in);
      default: return call(in);  // any other: the two classes of jumps, of which only calls get here
    }
  }

  static constexpr const char* kByteSwap =
      "a change of byte order; operators run on little-endian machines: take the "
      "bytes apart with shifts";
  static constexpr const char* kNewer =
      "an instruction that only newer BPF has; compile with the flags of `tiara cc`";

  // The instruction of one operation nibble; nullopt: it is not simply one.
  static std::optional<Opcode> alu_opcode(uint8_t operation) {
    constexpr std::array<Opcode, 16> kOpcodes = {
        Opcode::kAdd, Opcode::kSub, Opcode::kMul, Opcode::kDivu, Opcode::kOr,  Opcode::kAnd,
        Opcode::kShl, Opcode::kShr, Opcode::kRet, Opcode::kRemu, Opcode::kXor, Opcode::kMov,
        Opcode::kSar, Opcode::kRet, Opcode::kRet, Opcode::kRet};
    const Opcode opcode = kOpcodes[operation];
    if (opcode == Opcode::kRet) return std::nullopt;
    return opcode;
  }
  static constexpr uint8_t kNegate = 8, kByteOrder = 13;

  Result<void> alu64(const BpfInstruction& in) {
    const uint8_t operation = in.opcode >> 4;
    if (operation == kByteOrder) return refuse(kByteSwap);
    const auto opcode = alu_opcode(operation);
    if (in.offset != 0 || in.dst == bpf::kFrameRegister || (!opcode && operation != kNegate))
      return refuse(kNewer);
    if (operation == kNegate) {
      write(in.dst, binary(Opcode::kSub, constant(0), read(in.dst)));
    } else if (*opcode == Opcode::kMov) {
      write(in.dst, source_of(in));
    } else {
      write(in.dst, binary(*opcode, read(in.dst), source_of(in)));
    }
    return {};
  }

  Result<void> alu32(const BpfInstruction& in) {
    const uint8_t operation = in.opcode >> 4;
    if (operation == kByteOrder) return refuse(kByteSwap);
    const auto opcode = alu_opcode(operation);
    if (in.offset != 0 || in.dst == bpf::kFrameRegister || (!opcode && operation != kNegate))
      return refuse(kNewer);
    const bool has_register = (in.opcode & bpf::kRegisterSource) != 0;
    const ValueId source = has_register ? zext32(read(in.src)) : constant(in.imm & 0xffffffff);
    if (operation == kNegate) {
      write(in.dst, zext32(binary(Opcode::kSub, constant(0), read(in.dst))));
    } else if (*opcode == Opcode::kMov) {
      write(in.dst, source);
    } else if (*opcode == Opcode::kShl || *opcode == Opcode::kShr || *opcode == Opcode::kSar) {
      const ValueId amount = binary(Opcode::kAnd, source, constant(31));
      const ValueId value = *opcode == Opcode::kSar ? sext32(read(in.dst)) : zext32(read(in.dst));
      write(in.dst, zext32(binary(*opcode, value, amount)));
    } else {
      write(in.dst, zext32(binary(*opcode, zext32(read(in.dst)), source)));
    }
    return {};
  }

  Result<void> load_immediate(const BpfInstruction& in) {
    if (in.opcode != bpf::kLoadImmediate64) return refuse(kNewer);
    if (in.is_relocated || in.src != 0)
      return refuse(
          "the global variable or string " + std::string(in.symbol) +
          ": an operator has none; keep state in a region, constants in enums and macros");
    write(in.dst, constant(in.imm));
    return {};
  }

  // C memory is the stack: what is not a variable of the frame plan is an access to the scratchpad.
  // bind.cc checks that the address is one of the frame's.
  Result<void> memory(const BpfInstruction& in) {
    const uint32_t bytes = memory_bytes(in);
    if (bytes == 0)
      return refuse(in.instruction_class() == bpf::kClassStx
                        ? "an atomic operation on C memory; use tiara_cas, tiara_faa or tiara_swp, "
                          "which have 8 bytes"
                        : kNewer);
    const bool is_load = in.instruction_class() == bpf::kClassLdx;
    const uint8_t base = is_load ? in.src : in.dst;
    if (base == bpf::kFrameRegister && (in.offset < -static_cast<int32_t>(kBpfStackBytes) ||
                                        in.offset + static_cast<int32_t>(bytes) > 0))
      return refuse("an access outside of the stack");
    const ValueId stored = in.instruction_class() == bpf::kClassSt ? constant(in.imm)
                           : is_load                               ? kNoValue
                                                                   : read(in.src);
    if (const auto variable = plan_.variable_of(in)) {
      const uint32_t number = kBpfRegisters + *variable;
      if (!is_load) {
        ssa_.write(block_, number, stored);
      } else {
        const ValueId value = ssa_.read(block_, number);
        write(in.dst, bytes == 8 ? value : field(Opcode::kBfx, value, pack_bits(0, bytes * 8)));
      }
      return {};
    }
    const auto index = static_cast<uint8_t>(std::countr_zero(bytes));
    const auto opcode = static_cast<Opcode>(
        static_cast<uint8_t>(is_load ? Opcode::kSpLd1 : Opcode::kSpSt1) + index);
    const ValueId made = append(
        {.opcode = opcode, .in = {read(base), stored, kNoValue, kNoValue}, .imm = in.offset});
    if (is_load) write(in.dst, made);
    return {};
  }

  Result<void> call(const BpfInstruction& in) {
    if (in.opcode != bpf::kCall)
      return refuse((in.opcode & bpf::kOperation) == (bpf::kCall & bpf::kOperation)
                        ? "an indirect call; operators call nothing but tiara_op.h"
                        : kNewer);
    constexpr uint8_t kFunctionCall = 1;
    if (!in.is_relocated && in.src != kFunctionCall)
      return refuse("a call of BPF helper " + std::to_string(in.imm) +
                    "; operators call nothing but tiara_op.h");
    const Intrinsic* const intrinsic =
        in.is_relocated && !in.is_symbol_defined ? find_intrinsic(in.symbol) : nullptr;
    if (intrinsic == nullptr && (!in.is_relocated || in.is_symbol_defined))
      return refuse(
          "a call of a function that was not inlined (is it recursive, or not static?); make it "
          "static with "
          "__attribute__((always_inline))");
    if (intrinsic == nullptr)
      return refuse("a call of " + std::string(in.symbol) + ", which tiara_op.h does not have");

    Node node{.kind = intrinsic->kind == IntrinsicKind::kLoopBegin ? NodeKind::kLoopBegin
                                                                   : NodeKind::kInstruction,
              .opcode = intrinsic->opcode,
              .incoming = parameters_of(*intrinsic)};
    const ValueId made = append(std::move(node));
    calls_.emplace_back(made, intrinsic);
    for (uint8_t reg = 1; reg <= 5; ++reg) write(reg, undefined());
    write(0, function_.node(made).has_result() ? made : undefined());
    return {};
  }

  std::vector<ValueId> parameters_of(const Intrinsic& intrinsic) {
    std::vector<ValueId> values;
    for (uint8_t i = 0; i < intrinsic.parameters.size(); ++i)
      values.push_back(read(static_cast<uint8_t>(i + 1)));
    return values;
  }

  Result<void> branch(const BpfInstruction& in) {
    place_ = in.place;
    if (in.dst > bpf::kFrameRegister || in.src > bpf::kFrameRegister)
      return fail(ErrorCode::kInvalidInput, "malformed BPF code: a register that does not exist");
    enum {
      kEqual = 1,
      kAbove,
      kAtLeast,
      kBits,
      kNotEqual,
      kGreater,
      kGreaterEqual,
      kBelow = 10,
      kAtMost,
      kLess,
      kLessEqual
    };
    const int operation = in.opcode >> 4;
    ValueId a = read(in.dst);
    ValueId b = source_of(in);
    if (in.instruction_class() == bpf::kClassJmp32) {
      const bool is_signed = operation == kGreater || operation == kGreaterEqual ||
                             operation == kLess || operation == kLessEqual;
      a = is_signed ? sext32(a) : zext32(a);
      b = is_signed ? sext32(b) : zext32(b);
    }
    Opcode condition = Opcode::kJump;
    switch (operation) {
      case kEqual: condition = Opcode::kBeq; break;
      case kNotEqual: condition = Opcode::kBne; break;
      case kAbove: condition = Opcode::kBltu, std::swap(a, b); break;
      case kAtLeast: condition = Opcode::kBgeu; break;
      case kBelow: condition = Opcode::kBltu; break;
      case kAtMost: condition = Opcode::kBgeu, std::swap(a, b); break;
      case kGreater: condition = Opcode::kBlts, std::swap(a, b); break;
      case kGreaterEqual: condition = Opcode::kBges; break;
      case kLess: condition = Opcode::kBlts; break;
      case kLessEqual: condition = Opcode::kBges, std::swap(a, b); break;
      case kBits: condition = Opcode::kBne, a = binary(Opcode::kAnd, a, b), b = constant(0); break;
      default: return refuse(kNewer);  // any other number
    }
    End& end = function_.blocks[block_].end;
    end.condition = condition;
    end.a = a;
    end.b = b;
    end.place = place_;
    return {};
  }

  void end_operator(const BpfInstruction& in) {
    End& end = function_.blocks[block_].end;
    end.place = place_ = in.place;
    if (in.opcode == bpf::kExit) {
      end.results = {read(0)};
      return;
    }
    const Intrinsic* const intrinsic = find_intrinsic(in.symbol);
    if (intrinsic->kind == IntrinsicKind::kFail) end.kind = EndKind::kFail;
    end.results = parameters_of(*intrinsic);
  }

  const Object& object_;
  const Shape& shape_;
  FramePlan plan_;
  Function function_;
  SsaBuilder ssa_;
  std::map<int64_t, ValueId> constants_;
  std::vector<std::pair<ValueId, const Intrinsic*>> calls_;
  ValueId frame_ = kNoValue;
  ValueId undefined_ = kNoValue;
  BlockId block_ = 0;
  Place place_;
};

}  // namespace

Result<Function> lift(const Object& object, const Shape& shape) {
  TIARA_TRY(Lifted lifted, Lifter(object, shape).run());
  return bind(object.header, std::move(lifted));
}

}  // namespace tiara::nic::cc
