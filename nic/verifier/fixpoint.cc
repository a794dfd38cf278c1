#include "nic/verifier/fixpoint.h"

#include <algorithm>
#include <memory>

#include "nic/verifier/counters.h"
#include "nic/verifier/precondition.h"
#include "nic/verifier/semantics.h"
#include "runtime/base/check.h"

namespace tiara::nic {
namespace {

// What a walk does at a loop's head when the invariant and what reaches it differ.
enum class Mode : uint8_t {
  kGrow,    // make the invariant larger until nothing changes
  kShrink,  // replace it by what reaches it: still an invariant, and often a smaller one
  kCheck,   // leave it, note whether it holds, prove preconditions, record facts
};

// A head is joined this often before it is widened: loops that settle by themselves keep their precision.
constexpr uint32_t kJoinsBeforeWidening = 2;
// Thresholds and known bits are finite, but their chains multiply; after this many changes a register that
// still moves may be anything.
constexpr uint32_t kWideningsBeforeTop = 10;
// A narrowing walk brings one loop's knowledge into the next inner one: more walks than nesting gain nothing.
constexpr int kNarrowingWalks = 3;

struct LoopInvariant {
  std::vector<Counter> counters;
  std::optional<AbstractState> head;  // holds at the start of every round
  std::optional<AbstractState> back;  // reached the head from the end of the body in the last walk
  uint32_t changes = 0;
};

// A loop that the walk is inside of.
struct Frame {
  uint32_t loop;
  AbstractValue trips;  // the trip count of runs that entered the body
};

class Walker {
 public:
  Walker(const Program& program, const Flow& flow, const VerifierLimits& limits)
      : program_(program),
        flow_(flow),
        limits_(limits),
        loops_(flow.loops().size()),
        pending_(program.code.size()),
        facts_(program.code.size()) {
    for (size_t i = 0; i < loops_.size(); ++i) {
      loops_[i].counters = counters_of(program.code, flow, flow.loops()[i]);
    }
  }

  std::expected<FixpointResult, Rejection> run(KeepStates keep);

 private:
  using State = std::optional<AbstractState>;  // nothing: no run gets here

  void walk(Mode mode);
  void step(uint32_t pc, State& state);
  void enter_loop(uint32_t pc, State& state);
  void end_loop(uint32_t pc, State& state);
  void branch(uint32_t pc, State& state);
  void flow_to(uint32_t target, AbstractState&& state);
  AbstractState initial_state() const;
  void meet_invariant(LoopInvariant& loop, const AbstractState& incoming);
  void fix_counters(LoopInvariant& loop, const AbstractState& entry, uint64_t most_trips) const;
  void record(uint32_t pc, const AbstractState& state);
  Rejection out_of_budget() const;
  bool check_preconditions(uint32_t pc, const AbstractState& state);

  const Program& program_;
  const Flow& flow_;
  const VerifierLimits& limits_;
  std::vector<LoopInvariant> loops_;
  std::vector<Frame> frames_;
  std::vector<std::unique_ptr<AbstractState>> pending_;  // what branches brought to an instruction ahead
  std::vector<InstructionFacts> facts_;
  std::vector<State> states_;
  std::vector<Precondition> preconditions_;
  std::optional<Rejection> rejection_;
  Mode mode_ = Mode::kGrow;
  bool is_changed_ = false;  // some invariant did not include what reached it
  KeepStates keep_ = KeepStates::kNo;
  uint64_t work_ = 0;
};

AbstractState Walker::initial_state() const {
  AbstractState state;
  for (uint8_t i = 0; i < program_.arguments.size(); ++i) {
    const ArgumentContract& contract = program_.arguments[i];
    const AbstractValue range = AbstractValue::range(contract.min, contract.max, Origin::kArgument);
    AbstractValue masked = range;
    AbstractValue mask = AbstractValue::constant(contract.known_zero);
    AbstractValue zero = range;
    // A contract that admits nothing admits no run either; its range is as good a description as any.
    state.set(i, nic::assume(Relation::kBitsClear, masked, mask) ? masked : zero);
  }
  return state;
}

void Walker::flow_to(uint32_t target, AbstractState&& state) {
  if (pending_[target] == nullptr) {
    pending_[target] = std::make_unique<AbstractState>(std::move(state));
  } else {
    join_into(*pending_[target], state);
  }
}

// The counters' rule, from the entry alone. They are not part of what meet_invariant() compares.
void Walker::fix_counters(LoopInvariant& loop, const AbstractState& entry, uint64_t most_trips) const {
  for (const Counter& counter : loop.counters) {
    if (!entry.is_defined(counter.reg)) continue;
    loop.head->registers[counter.reg] = after_rounds(counter, entry.registers[counter.reg], most_trips - 1);
  }
}

void Walker::meet_invariant(LoopInvariant& loop, const AbstractState& incoming) {
  AbstractState compared = incoming;
  for (const Counter& counter : loop.counters) {
    if (compared.is_defined(counter.reg)) compared.registers[counter.reg] = loop.head->registers[counter.reg];
  }
  if (loop.head->includes(compared)) return;
  is_changed_ = true;
  if (mode_ != Mode::kGrow) return;
  AbstractState grown = *loop.head;
  join_into(grown, compared);
  ++loop.changes;
  if (loop.changes > kWideningsBeforeTop) {
    for (uint8_t reg = 0; reg < kRegisters; ++reg) {
      if (grown.is_defined(reg) && !(grown.registers[reg] == loop.head->registers[reg])) {
        grown.registers[reg] =
            AbstractValue::top(Origin::kConstant | Origin::kArgument | Origin::kLoaded | Origin::kInduction);
      }
    }
    *loop.head = grown;
  } else {
    *loop.head = loop.changes <= kJoinsBeforeWidening ? grown : widen(*loop.head, grown);
  }
}

void Walker::enter_loop(uint32_t pc, State& state) {
  const Instruction& i = program_.code[pc];
  LoopInvariant& loop = loops_[flow_.loop_at(pc)];
  frames_.push_back({flow_.loop_at(pc), AbstractValue()});
  if (!state) return;
  const AbstractValue trips = state->registers[i.rs1];
  if (const auto none = trips.meet(AbstractValue::constant(0))) {
    AbstractState skipped = *state;
    skipped.set(i.rs1, *none);
    skipped.set(i.rd, AbstractValue::constant(0));
    flow_to(flow_.loops()[flow_.loop_at(pc)].end + 1, std::move(skipped));
    if (mode_ == Mode::kCheck) facts_[pc].can_branch = true;
  }
  const auto entered = trips.meet(AbstractValue::range(1, i.loop_bound()));
  if (!entered) {
    state.reset();  // always 0, or always above the bound
    return;
  }
  frames_.back().trips = *entered;
  AbstractState entry = *state;
  entry.set(i.rs1, *entered);
  const auto index = AbstractValue::range(0, entered->umax() - 1, entered->origin() | Origin::kInduction);
  entry.set(i.rd, index);

  if (!loop.head) {
    loop.head = entry;
    is_changed_ = true;
  } else if (mode_ == Mode::kShrink) {
    loop.head = entry;
    if (loop.back) join_into(*loop.head, *loop.back);
  }
  // The counters first: what the comparison sees of them is then what the walk goes on with.
  fix_counters(loop, entry, entered->umax());
  meet_invariant(loop, entry);
  fix_counters(loop, entry, entered->umax());
  state = loop.head;
  state->set(i.rd, index);
  if (mode_ == Mode::kCheck) {
    facts_[pc].can_fall_through = true;
    facts_[pc].most_trips = entered->umax();
    facts_[pc].is_trip_count_proved = trips.umax() <= i.loop_bound();
  }
}

void Walker::end_loop(uint32_t pc, State& state) {
  const Frame frame = frames_.back();
  frames_.pop_back();
  LoopInvariant& loop = loops_[frame.loop];
  loop.back.reset();
  if (!state) return;
  const uint8_t counter = program_.code[flow_.loops()[frame.loop].begin].rd;
  if (frame.trips.umax() > 1) {
    // Another round: the register holds the index again, whatever the body did to it.
    loop.back = *state;
    loop.back->set(counter, loop.head->registers[counter]);
    meet_invariant(loop, *loop.back);
    if (mode_ == Mode::kCheck) facts_[pc].can_branch = true;
  }
  state->set(counter, frame.trips.with_origin(frame.trips.origin() | Origin::kInduction));
  if (mode_ == Mode::kCheck) facts_[pc].can_fall_through = true;
}

void Walker::branch(uint32_t pc, State& state) {
  const Instruction& i = program_.code[pc];
  const uint32_t target = branch_target(i, pc);
  if (i.opcode == Opcode::kJump) {
    flow_to(target, std::move(*state));
    state.reset();
    if (mode_ == Mode::kCheck) facts_[pc].can_branch = true;
    return;
  }
  const Condition condition = condition_of(i, *state);
  AbstractState taken = *state;
  if (assume(condition, condition.relation, taken)) {
    flow_to(target, std::move(taken));
    if (mode_ == Mode::kCheck) facts_[pc].can_branch = true;
  }
  if (!assume(condition, negate(condition.relation), *state)) state.reset();
  if (state && mode_ == Mode::kCheck) facts_[pc].can_fall_through = true;
}

bool Walker::check_preconditions(uint32_t pc, const AbstractState& state) {
  preconditions_.clear();
  append_preconditions(program_, pc, preconditions_);
  for (const Precondition& precondition : preconditions_) {
    rejection_ = prove(precondition, program_, state);
    if (rejection_) return false;
  }
  return true;
}

uint64_t extent_of(const AbstractValue& offset, uint64_t bytes) {
  uint64_t extent;
  return __builtin_add_overflow(offset.umax(), bytes, &extent) ? UINT64_MAX : extent;
}

void Walker::record(uint32_t pc, const AbstractState& state) {
  const Instruction& i = program_.code[pc];
  const InstructionInfo& row = info(i.opcode);
  InstructionFacts& facts = facts_[pc];
  facts.is_reachable = true;
  facts.most_bytes = most_bytes_moved(i, state);
  if (info(row.format).has_region || row.format == Format::kPayloadLoad) {
    const AbstractValue offset = access_offset(i, state);
    const unsigned needed = row.cost == CostClass::kLine ? 6 : 3;
    const bool needs_alignment = row.cost == CostClass::kLine || row.cost == CostClass::kAtomic ||
                                 (row.cost == CostClass::kRemote && row.access_bytes != 0);
    facts.is_aligned = needs_alignment && offset.alignment_log2() >= needed;
    // Strided and list operations touch what lies at their strides and lists: nothing is claimed of them.
    if (info(row.format).immediate != ImmediateUse::kElement) {
      facts.extent = extent_of(offset, row.access_bytes != 0 ? row.access_bytes : facts.most_bytes);
    }
    if (i.opcode == Opcode::kCopy) facts.source_extent = extent_of(state.registers[i.rs2], facts.most_bytes);
  }
}

void Walker::step(uint32_t pc, State& state) {
  const Instruction& i = program_.code[pc];
  if (state && mode_ == Mode::kCheck) {
    if (!check_preconditions(pc, *state)) return;
    record(pc, *state);
  }
  if (i.opcode == Opcode::kLoop) return enter_loop(pc, state);
  if (i.opcode == Opcode::kEndLoop) return end_loop(pc, state);
  if (!state) return;
  if (i.opcode == Opcode::kRet || i.opcode == Opcode::kFail) {
    state.reset();
    return;
  }
  if (is_branch(i)) return branch(pc, state);
  apply(i, *state);
  if (mode_ == Mode::kCheck) facts_[pc].can_fall_through = true;
}

void Walker::walk(Mode mode) {
  mode_ = mode;
  is_changed_ = false;
  if (mode == Mode::kCheck) {
    std::fill(facts_.begin(), facts_.end(), InstructionFacts{});
    states_.assign(keep_ == KeepStates::kYes ? program_.code.size() : 0, std::nullopt);
  }
  State state = initial_state();
  for (uint32_t pc = 0; pc < program_.code.size() && !rejection_; ++pc) {
    if (auto brought = std::move(pending_[pc])) {
      if (state) join_into(*state, *brought);
      else state = *brought;
    }
    if (state) ++work_;
    if (mode == Mode::kCheck && keep_ == KeepStates::kYes) states_[pc] = state;
    step(pc, state);
  }
  TIARA_CHECK(rejection_ || (!state && frames_.empty()));  // the flow's shape was checked
}

Rejection Walker::out_of_budget() const {
  return {.requirement = Requirement::kAnalysisBudget,
          .instruction = 0,
          .detail = std::to_string(work_) + " instructions were looked at without an end",
          .state = {},
          .cure = "split the operator"};
}

std::expected<FixpointResult, Rejection> Walker::run(KeepStates keep) {
  keep_ = keep;
  do {
    if (work_ > limits_.max_work) return std::unexpected(out_of_budget());
    walk(Mode::kGrow);
  } while (is_changed_);

  const std::vector<LoopInvariant> grown = loops_;
  if (!loops_.empty()) {
    for (int i = 0; i < kNarrowingWalks; ++i) walk(Mode::kShrink);
  }
  walk(Mode::kCheck);
  if (is_changed_) {
    // Narrowed invariants that do not carry themselves (transfer functions are not all monotone) prove
    // nothing; the grown ones were found by a walk that changed nothing. What was rejected may be accepted
    // with neither.
    loops_ = grown;
    rejection_.reset();
    frames_.clear();
    for (auto& brought : pending_) brought.reset();
    walk(Mode::kCheck);
    if (is_changed_) return std::unexpected(out_of_budget());  // cannot be; but nothing unproved leaves here
  }
  if (rejection_) return std::unexpected(*rejection_);
  return FixpointResult{std::move(facts_), std::move(states_), work_};
}

}  // namespace

std::expected<FixpointResult, Rejection> find_fixpoint(const Program& program, const Flow& flow,
                                                       const VerifierLimits& limits, KeepStates keep) {
  return Walker(program, flow, limits).run(keep);
}

}  // namespace tiara::nic
