#include "nic/cc/bind.h"

#include <algorithm>
#include <optional>
#include <string>

#include "nic/cc/shape.h"

namespace tiara::nic::cc {
namespace {

constexpr uint32_t kMaxReason = 0xffff;

class Binder {
 public:
  Binder(const Program& header, Lifted lifted)
      : header_(header), function_(std::move(lifted.function)), calls_(std::move(lifted.calls)) {}

  Result<Function> run() {
    clean_up(function_);
    TIARA_TRY_VOID(bind_loops());
    TIARA_TRY_VOID(bind_calls());
    TIARA_TRY_VOID(bind_ends());
    clean_up(function_);
    TIARA_TRY_VOID(check_parameters());
    TIARA_TRY_VOID(check_pointers());
    settle();
    clean_up(function_);
    return std::move(function_);
  }

 private:
  std::optional<int64_t> constant_of(ValueId value) const {
    const Node& node = function_.node(value);
    if (!node.is_constant()) return std::nullopt;
    return node.imm;
  }

  // --- loops ---

  Result<void> bind_loops() {
    const Dominators dominators = dominators_of(function_.successors());
    auto& loops = function_.loops;
    std::erase_if(loops, [&](const Loop& loop) { return !dominators.is_reachable(loop.head); });
    // A head that dominates another comes first in reverse postorder: outer loops before inner
    // ones.
    std::sort(loops.begin(), loops.end(), [&](const Loop& a, const Loop& b) {
      return dominators.position[a.head] < dominators.position[b.head];
    });
    TIARA_TRY_VOID(find_members(dominators));
    for (Loop& loop : loops) TIARA_TRY_VOID(bind_trips(dominators, loop));
    for (Block& block : function_.blocks)
      std::erase_if(block.body, [&](ValueId value) {
        return function_.node(value).kind == NodeKind::kLoopBegin;
      });
    return remove_loops_that_do_not_loop();
  }

  bool does_loop(const Dominators& dominators, const Loop& loop) const {
    return loop.latch != kNoBlock && dominators.is_reachable(loop.latch);
  }

  Result<void> find_members(const Dominators& dominators) {
    for (uint32_t number = 0; number < function_.loops.size(); ++number) {
      Loop& loop = function_.loops[number];
      loop.parent = function_.blocks[loop.entry].loop;
      if (!does_loop(dominators, loop)) continue;
      loop.depth = loop.parent == kNoLoop ? 1 : function_.loops[loop.parent].depth + 1;
      if (loop.depth > kMaxLoopDepth)
        return refuse_at(
            function_.blocks[loop.head].end.place,
            "loops nest deeper than 4, which is what a NIC keeps frames for; merge two of them");
      std::vector<BlockId> work{loop.latch};
      function_.blocks[loop.head].loop = number;
      while (!work.empty()) {
        const BlockId block = work.back();
        work.pop_back();
        if (function_.blocks[block].loop == number) continue;
        function_.blocks[block].loop = number;
        work.insert(work.end(), function_.blocks[block].from.begin(),
                    function_.blocks[block].from.end());
      }
    }
    return {};
  }

  // The nearest tiara_loop_begin above the loop that has its number.
  const Node* find_marker(const Dominators& dominators, const Loop& loop, int64_t number) const {
    for (BlockId block = loop.entry;; block = dominators.parent[block]) {
      const std::vector<ValueId>& body = function_.blocks[block].body;
      for (auto value = body.rbegin(); value != body.rend(); ++value) {
        const Node& node = function_.node(*value);
        if (node.kind == NodeKind::kLoopBegin && constant_of(node.incoming[2]) == number)
          return &node;
      }
      if (block == 0) return nullptr;
    }
  }

  Result<void> bind_trips(const Dominators& dominators, const Loop& loop) {
    End& end = function_.blocks[loop.head].end;
    const auto number = constant_of(end.a);
    const Node* const marker = number ? find_marker(dominators, loop, *number) : nullptr;
    if (marker == nullptr || function_.blocks[marker->block].loop != loop.parent)
      return refuse_at(end.place,
                       "this loop has no tiara_loop_begin of its own; write it with TIARA_LOOP");
    const auto bound = constant_of(marker->incoming[1]);
    if (!bound || *bound < 1 || *bound > kMaxLoopBound)
      return refuse_at(end.place, "the bound of a loop is a constant from 1 to 1048575");
    end.a = marker->incoming[0];
    end.bound = static_cast<uint32_t>(*bound);
    return {};
  }

  // A body that always leaves runs once or not at all: a branch says so in one instruction.
  Result<void> remove_loops_that_do_not_loop() {
    const Dominators dominators = dominators_of(function_.successors());
    for (const Loop& loop : function_.loops) {
      if (does_loop(dominators, loop)) continue;
      End& end = function_.blocks[loop.head].end;
      const Node zero{.kind = NodeKind::kConstant, .imm = 0};
      function_.node(end.index) = zero;
      end.kind = EndKind::kBranch;
      end.condition = Opcode::kBeq;
      end.b = function_.add(zero);
      end.index = kNoValue;
      std::swap(end.to[0], end.to[1]);
    }
    // Numbers of the loops that stay do not change: a loop that does not loop just has no member.
    return {};
  }

  // --- calls ---

  Result<void> bind_calls() {
    std::vector<bool> is_there(function_.nodes.size());
    for (const Block& block : function_.blocks)
      for (const ValueId value : block.body) is_there[value] = true;
    std::vector<ValueId> forward(function_.nodes.size());
    for (ValueId i = 0; i < forward.size(); ++i) forward[i] = i;
    for (const auto& [value, intrinsic] : calls_) {
      if (!is_there[value]) continue;
      if (intrinsic->kind == IntrinsicKind::kInstruction) {
        TIARA_TRY_VOID(bind_call(function_.node(value), *intrinsic));
      } else if (intrinsic->kind == IntrinsicKind::kArgument) {
        TIARA_TRY(forward[value], argument(function_.node(value)));
        forward.resize(function_.nodes.size(), forward[value]);
        forward[forward[value]] = forward[value];
      }
    }
    apply(function_, forward);
    return {};
  }

  Result<ValueId> argument(const Node& call) {
    const auto number = constant_of(call.incoming[0]);
    if (!number || *number < 0 || *number >= kMaxProgramArguments)
      return refuse_at(call.place, "tiara_argument takes a constant from 0 to 7");
    return function_.add(
        {.kind = NodeKind::kParameter, .imm = *number, .block = 0, .place = call.place});
  }

  Result<void> bind_call(Node& node, const Intrinsic& intrinsic) {
    const std::vector<ValueId> values = std::move(node.incoming);
    node.incoming.clear();
    for (size_t i = 0; i < values.size(); ++i) {
      const auto constant = constant_of(values[i]);
      const auto refuse = [&](const char* what) {
        return refuse_at(node.place, std::string(intrinsic.name) + ": parameter " +
                                         std::to_string(i + 1) + " " + what);
      };
      switch (intrinsic.parameters[i]) {
        case 'a':
        case 'p': node.in[kRs1] = values[i]; continue;
        case 't':
        case 'l': node.in[kRs2] = values[i]; continue;
        case 'u': node.in[kRs3] = values[i]; continue;
        case 'd': node.in[kRd] = values[i]; continue;
        case 'R':
        case 'r': {
          if (!constant || *constant < 0 ||
              static_cast<uint64_t>(*constant) >= header_.regions.size())
            return refuse("is a region number: a constant that TIARA_REGION declares");
          (intrinsic.parameters[i] == 'R' ? node.region : node.source_region) =
              static_cast<uint8_t>(*constant);
          continue;
        }
        case 'E': {
          if (!constant || *constant < 0 ||
              static_cast<uint64_t>(*constant & 0xff) >= header_.regions.size())
            return refuse("is a region number: a constant that TIARA_REGION declares");
          node.region = static_cast<uint8_t>(*constant & 0xff);
          node.imm = *constant >> 8;
          if (node.imm < 1 || node.imm > kMaxElementBytes)
            return refuse("has a size of elements outside 1 to 1048576");
          continue;
        }
        case 'P':
          // A line in a local array cannot be: the frame's offsets are not multiples of 64.
          if (!constant || *constant < 0 || *constant % kLineBytes != 0 ||
              *constant >= kMaxScratchpadBytes)
            return refuse("is a scratchpad offset: a constant multiple of 64");
          node.imm = pack_line(static_cast<uint32_t>(*constant), 0);
          continue;
        default:
          if (!constant || *constant < 1 || *constant > kMaxElementBytes)
            return refuse("is a size of elements: a constant from 1 to 1048576");
          node.imm = *constant;
      }
    }
    return {};
  }

  Result<void> bind_ends() {
    for (Block& block : function_.blocks) {
      End& end = block.end;
      if (!block.is_reachable) continue;
      if (end.kind == EndKind::kFail) {
        const auto reason = end.results.empty() ? std::nullopt : constant_of(end.results[0]);
        if (!reason || *reason < 0 || *reason > kMaxReason)
          return refuse_at(end.place, "tiara_fail takes a constant from 0 to 65535");
        end.reason = static_cast<uint32_t>(*reason);
        end.results.clear();
      }
      // A void function that returns has nothing in r0.
      if (end.kind == EndKind::kReturn && end.results.size() == 1 &&
          function_.node(end.results[0]).kind == NodeKind::kUndefined)
        end.results.clear();
    }
    return {};
  }

  // --- checks ---

  template <typename Visit>
  void visit_live(Visit visit) {
    for (Block& block : function_.blocks) {
      for (const ValueId value : block.phis) visit(value);
      for (const ValueId value : block.body) visit(value);
    }
  }

  Result<void> check_parameter(ValueId value, const Place& place) const {
    const Node& node = function_.node(value);
    if (node.kind != NodeKind::kParameter ||
        static_cast<uint64_t>(node.imm) < header_.arguments.size())
      return {};
    return refuse_at(place.line != 0 ? place : node.place,
                     "argument " + std::to_string(node.imm) +
                         " is used but not declared; write TIARA_ARGUMENT(" +
                         std::to_string(node.imm) + ", name, min, max, zero_bits)");
  }

  Result<void> check_parameters() {
    Result<void> verdict;
    const auto check = [&](ValueId value, const Place& place) {
      if (value != kNoValue && verdict) verdict = check_parameter(value, place);
    };
    visit_live([&](ValueId value) {
      for (const ValueId operand : function_.node(value).in)
        check(operand, function_.node(value).place);
      for (const ValueId operand : function_.node(value).incoming)
        check(operand, function_.node(value).place);
    });
    for (const Block& block : function_.blocks) {
      check(block.end.a, block.end.place);
      check(block.end.b, block.end.place);
      for (const ValueId operand : block.end.results) check(operand, block.end.place);
    }
    return verdict;
  }

  // The values that come from those of `is_seed` by what keeps an address one: sums, differences,
  // choices.
  std::vector<bool> derived_from(std::vector<bool> is_seed) {
    for (bool has_changed = true; has_changed;) {
      has_changed = false;
      visit_live([&](ValueId value) {
        const Node& node = function_.node(value);
        const bool can_be =
            node.kind == NodeKind::kPhi || node.is(Opcode::kAdd) || node.is(Opcode::kSub);
        if (is_seed[value] || !can_be) return;
        const auto is_one = [&](ValueId operand) {
          return operand != kNoValue && is_seed[operand];
        };
        if (is_one(node.in[kRs1]) || (is_one(node.in[kRs2]) && node.is(Opcode::kAdd)) ||
            std::any_of(node.incoming.begin(), node.incoming.end(), is_one))
          is_seed[value] = has_changed = true;
      });
    }
    return is_seed;
  }

  bool is_frame_access(ValueId value, const std::vector<bool>& is_call) const {
    const Node& node = function_.node(value);
    if (node.kind != NodeKind::kInstruction || is_call[value]) return false;
    const Format format = info(node.opcode).format;
    return format == Format::kPadLoad || format == Format::kPadStore;
  }

  // Addresses of local variables are numbers to a NIC, but not to the C: what they would be used
  // for but loads, stores and lists is a mistake. clang may keep one on the stack for a while; then
  // what is loaded from there may be an address.
  Result<void> check_pointers() {
    std::vector<bool> is_call(function_.nodes.size()), is_frame(function_.nodes.size()),
        is_loaded(function_.nodes.size());
    for (const auto& call : calls_) is_call[call.first] = true;
    for (ValueId i = 0; i < is_frame.size(); ++i)
      is_frame[i] = function_.node(i).kind == NodeKind::kFrame;
    const std::vector<bool> is_pointer = derived_from(std::move(is_frame));
    const auto points = [&](ValueId value) { return value != kNoValue && is_pointer[value]; };
    bool keeps_pointers = false;
    visit_live([&](ValueId value) {
      const Node& node = function_.node(value);
      if (!is_frame_access(value, is_call)) return;
      is_loaded[value] = node.is(Opcode::kSpLd8);
      keeps_pointers |= node.is(Opcode::kSpSt8) && points(node.in[kRs2]);
    });
    const std::vector<bool> may_point = derived_from(std::move(is_loaded));

    constexpr const char* kEscapes =
        "the address of a local variable is used as a number; it can be loaded from, stored "
        "to and given as a list, nothing else";
    Result<void> verdict;
    const auto refuse = [&](const Place& place, const char* what) {
      if (verdict) verdict = refuse_at(place, what);
    };
    visit_live([&](ValueId value) {
      const Node& node = function_.node(value);
      if (node.kind != NodeKind::kInstruction) return;
      const ValueId base = node.in[kRs1];
      const bool is_access = is_frame_access(value, is_call);
      if (is_access && !points(base) && !(keeps_pointers && may_point[base]))
        return refuse(
            node.place,
            "a pointer is followed that is not the address of a local variable; memory is read "
            "and written with tiara_ld8, tiara_st8 and their like");
      const Format format = info(node.opcode).format;
      const bool is_pad = format == Format::kPadLoad || format == Format::kPadStore;
      const bool is_list = node.opcode == Opcode::kGatherL || node.opcode == Opcode::kScatterL;
      for (uint32_t i = 0; i < node.in.size(); ++i) {
        const bool is_kept = i == kRs2 && is_access && node.is(Opcode::kSpSt8);
        const bool is_right =
            is_pointer[value] || is_kept || (is_pad && i == kRs1) || (is_list && i == kRs2);
        if (points(node.in[i]) && !is_right) return refuse(node.place, kEscapes);
      }
      if (node.is(Opcode::kAdd) && points(base) && points(node.in[kRs2]))
        refuse(node.place, kEscapes);
    });
    for (const Block& block : function_.blocks) {
      const End& end = block.end;
      if (points(end.a) || points(end.b) ||
          std::any_of(end.results.begin(), end.results.end(), points))
        refuse(end.place, kEscapes);
    }
    return verdict;
  }

  // The frame has its place, and a value that may be anything is zero.
  void settle() {
    for (Node& node : function_.nodes) {
      if (node.kind == NodeKind::kUndefined) node.imm = 0;
      if (node.kind == NodeKind::kUndefined || node.kind == NodeKind::kFrame)
        node.kind = NodeKind::kConstant;
    }
  }

  const Program& header_;
  Function function_;
  std::vector<std::pair<ValueId, const Intrinsic*>> calls_;
};

}  // namespace

Result<Function> bind(const Program& header, Lifted lifted) {
  return Binder(header, std::move(lifted)).run();
}

}  // namespace tiara::nic::cc
