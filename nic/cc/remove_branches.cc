#include <algorithm>
#include <optional>

#include "nic/cc/optimize.h"

namespace tiara::nic::cc {
namespace {

// A branch whose two ways meet again at `join` with nothing on them.
struct Choice {
  BlockId join = kNoBlock;
  size_t taken = 0;  // position of each way among the join's predecessors
  size_t not_taken = 0;
};

class BranchRemover {
 public:
  explicit BranchRemover(Function& function) : function_(function) {}

  void run() {
    bool has_changed = false;
    for (BlockId block = 0; block < function_.blocks.size(); ++block) {
      if (function_.blocks[block].end.kind != EndKind::kBranch) continue;
      const auto choice = find_choice(block);
      if (choice && remove(block, *choice)) has_changed = true;
    }
    if (has_changed) clean_up(function_);
  }

 private:
  // Where the edge `from` -> `to` leads when it passes through a block without contents; `last` is
  // the block that the join knows as its predecessor.
  struct Way {
    BlockId to;
    BlockId last;
  };
  Way way_of(BlockId from, BlockId to) const {
    const Block& block = function_.blocks[to];
    const bool is_empty = block.phis.empty() && block.body.empty() &&
                          block.end.kind == EndKind::kJump && block.from.size() == 1;
    return is_empty ? Way{block.end.to[0], to} : Way{to, from};
  }

  std::optional<Choice> find_choice(BlockId block) const {
    const End& end = function_.blocks[block].end;
    const Way direct[2] = {{end.to[0], block}, {end.to[1], block}};
    const Way through[2] = {way_of(block, end.to[0]), way_of(block, end.to[1])};
    const std::pair<Way, Way> candidates[] = {
        {through[0], through[1]}, {direct[0], through[1]}, {through[0], direct[1]}};
    for (const auto& [taken, not_taken] : candidates) {
      if (taken.to != not_taken.to || taken.last == not_taken.last) continue;
      const Block& join = function_.blocks[taken.to];
      if (join.end.kind == EndKind::kLoop) continue;  // entry and latch of a loop stay
      const auto position = [&](BlockId from) {
        return static_cast<size_t>(std::find(join.from.begin(), join.from.end(), from) -
                                   join.from.begin());
      };
      const Choice choice{taken.to, position(taken.last), position(not_taken.last)};
      if (choice.taken < join.from.size() && choice.not_taken < join.from.size()) return choice;
    }
    return std::nullopt;
  }

  std::optional<uint64_t> constant_of(ValueId value) const {
    const Node& node = function_.node(value);
    if (!node.is_constant()) return std::nullopt;
    return static_cast<uint64_t>(node.imm);
  }
  bool is_same(ValueId a, ValueId b) const {
    const auto ca = constant_of(a), cb = constant_of(b);
    return a == b || (ca && cb && *ca == *cb);
  }

  bool remove(BlockId block, const Choice& choice) {
    Block& join = function_.blocks[choice.join];
    ValueId different = kNoValue;
    for (const ValueId phi : join.phis) {
      const auto& incoming = function_.node(phi).incoming;
      if (is_same(incoming[choice.taken], incoming[choice.not_taken])) continue;
      if (different != kNoValue) return false;
      different = phi;
    }
    if (different == kNoValue) return false;
    const auto& incoming = function_.node(different).incoming;
    auto chosen =
        choose(function_.blocks[block].end, incoming[choice.taken], incoming[choice.not_taken]);
    if (!chosen) return false;
    chosen->block = block;
    chosen->place = function_.blocks[block].end.place;
    const ValueId value = function_.add(std::move(*chosen));
    function_.blocks[block].body.push_back(value);
    function_.node(different).incoming[choice.taken] = value;
    merge_edges(block, choice);
    return true;
  }

  // One edge stays, and now comes straight from `block`.
  void merge_edges(BlockId block, const Choice& choice) {
    Block& join = function_.blocks[choice.join];
    const BlockId from_taken = join.from[choice.taken],
                  from_not_taken = join.from[choice.not_taken];
    join.from[choice.taken] = block;
    for (const ValueId phi : join.phis) {
      auto& incoming = function_.node(phi).incoming;
      incoming.erase(incoming.begin() + static_cast<ptrdiff_t>(choice.not_taken));
    }
    join.from.erase(join.from.begin() + static_cast<ptrdiff_t>(choice.not_taken));
    for (const BlockId empty : {from_taken, from_not_taken}) {
      if (empty == block) continue;
      function_.blocks[empty].is_reachable = false;
      function_.blocks[empty].end = End{};
      function_.blocks[empty].from.clear();
    }
    End end{.kind = EndKind::kJump, .to = {choice.join, kNoBlock}};
    end.place = function_.blocks[block].end.place;
    function_.blocks[block].end = std::move(end);
  }

  // The instruction that gives `yes` when the branch is taken and `no` when it is not.
  std::optional<Node> choose(const End& end, ValueId yes, ValueId no) const {
    if (auto node = choose_extreme(end, yes, no)) return node;
    if (auto node = choose_truth(end, yes, no)) return node;
    const bool is_zero_test = constant_of(end.b) == uint64_t{0};
    if (end.condition == Opcode::kBne && is_zero_test)
      return Node{.opcode = Opcode::kSel, .in = {end.a, yes, no, kNoValue}};
    if (end.condition == Opcode::kBeq && is_zero_test)
      return Node{.opcode = Opcode::kSel, .in = {end.a, no, yes, kNoValue}};
    return std::nullopt;
  }

  // a < b ? a : b and its relatives; with a constant, a < c is also a <= c - 1.
  std::optional<Node> choose_extreme(const End& end, ValueId yes, ValueId no) const {
    const bool is_below = end.condition == Opcode::kBltu || end.condition == Opcode::kBlts;
    const bool is_signed = end.condition == Opcode::kBlts || end.condition == Opcode::kBges;
    if (!is_below && end.condition != Opcode::kBgeu && end.condition != Opcode::kBges)
      return std::nullopt;
    const auto is_limit = [&](ValueId value, ValueId limit) {
      if (is_same(value, limit)) return true;
      const auto c = constant_of(limit), v = constant_of(value);
      const uint64_t least = is_signed ? static_cast<uint64_t>(INT64_MIN) : 0;
      return c && v && *c != least && *v == *c - 1;
    };
    const bool takes_a = is_same(yes, end.a) && is_limit(no, end.b);
    const bool takes_b = is_same(no, end.a) && is_limit(yes, end.b);
    if (!takes_a && !takes_b) return std::nullopt;
    const bool is_min = is_below == takes_a;
    const Opcode opcode = is_signed ? (is_min ? Opcode::kMins : Opcode::kMaxs)
                                    : (is_min ? Opcode::kMin : Opcode::kMax);
    return Node{.opcode = opcode, .in = {end.a, takes_a ? no : yes, kNoValue, kNoValue}};
  }

  std::optional<Node> choose_truth(const End& end, ValueId yes, ValueId no) const {
    const auto y = constant_of(yes), n = constant_of(no);
    if (!y || !n || *y > 1 || *n > 1 || *y == *n) return std::nullopt;
    struct Row {
      Opcode condition, when_true, when_false;
      bool swap_true, swap_false;
    };
    constexpr Row kRows[] = {
        {Opcode::kBeq, Opcode::kSeteq, Opcode::kSetne, false, false},
        {Opcode::kBne, Opcode::kSetne, Opcode::kSeteq, false, false},
        {Opcode::kBltu, Opcode::kSetltu, Opcode::kSetleu, false, true},
        {Opcode::kBgeu, Opcode::kSetleu, Opcode::kSetltu, true, false},
        {Opcode::kBlts, Opcode::kSetlts, Opcode::kSetles, false, true},
        {Opcode::kBges, Opcode::kSetles, Opcode::kSetlts, true, false},
    };
    for (const Row& row : kRows) {
      if (row.condition != end.condition) continue;
      const bool swap = *y == 1 ? row.swap_true : row.swap_false;
      return Node{.opcode = *y == 1 ? row.when_true : row.when_false,
                  .in = {swap ? end.b : end.a, swap ? end.a : end.b, kNoValue, kNoValue}};
    }
    return std::nullopt;
  }

  Function& function_;
};

}  // namespace

void remove_branches(Function& function) {
  BranchRemover(function).run();
}

}  // namespace tiara::nic::cc
