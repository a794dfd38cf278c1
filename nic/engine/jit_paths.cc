// Where paths of a program part, meet and end.
#include <bit>
#include <utility>

#include "nic/engine/jit_compiler.h"

namespace tiara::nic::jit {

using namespace asmjit;
using namespace asmjit::x86;

namespace {

constexpr uint32_t kNowhere = UINT32_MAX;  // where exits go: out of every loop

// Longer tails are shared: what a copy saves is two additions to memory.
constexpr uint32_t kMostInTail = 3;

constexpr std::pair<int32_t, int32_t Pending::*> kCountFields[] = {{offsetof(Counts, steps), &Pending::steps},
                                                                   {offsetof(Counts, loads), &Pending::loads},
                                                                   {offsetof(Counts, stores), &Pending::stores},
                                                                   {offsetof(Counts, lines), &Pending::lines},
                                                                   {offsetof(Counts, atomics), &Pending::atomics}};

}  // namespace

// --- counts ---

Gp Compiler::outcome() {
  if (frame_->outcome_host()) return *frame_->outcome_host();
  a_.mov(rax, frame_->outcome());
  return rax;
}

void Compiler::multiply_add(const LoopCounts& loop, After after, int32_t by, int32_t count) {
  const bool is_in_host = loop.host && !(after == After::kCall && Frame::is_caller_saved(*loop.host));
  if (!is_in_host) {
    a_.imul(rdx, loop.slot, by);
    if (count != 0) a_.add(rdx, count);
  } else if (by == 1) {
    a_.lea(rdx, ptr(*loop.host, count));
  } else if (by == 2 || by == 4 || by == 8) {
    a_.mov(rdx, *loop.host);
    a_.shl(rdx, std::countr_zero(static_cast<uint32_t>(by)));
    if (count != 0) a_.add(rdx, count);
  } else {
    a_.imul(rdx, *loop.host, by);
    if (count != 0) a_.add(rdx, count);
  }
}

void Compiler::add_to_counts(const Pending& pending, const LoopIds& loops, After after) {
  bool is_nothing = pending.is_zero();
  for (const uint32_t loop : loops) is_nothing &= loop_counts_[loop].per_iteration.is_zero();
  if (is_nothing) return;
  const Gp to = outcome();
  for (const auto& [field, member] : kCountFields) {
    int32_t count = pending.*member;
    for (const uint32_t loop : loops) {
      const int32_t by = loop_counts_[loop].per_iteration.*member;
      if (by == 0) continue;
      multiply_add(loop_counts_[loop], after, by, std::exchange(count, 0));
      a_.add(qword_ptr(to, kCountsAt + field), rdx);
    }
    if (count != 0) a_.add(qword_ptr(to, kCountsAt + field), count);
  }
}

// --- paths ---

Compiler::LoopIds Compiler::loops_left(uint32_t to) const {
  LoopIds left;
  for (const OpenLoop& open : loops_)
    if (to > open.end) left.push_back(open.id);
  return left;
}

void Compiler::edge(std::optional<CondCode> condition, uint32_t to) {
  Target& target = targets_[to];
  LoopIds left = loops_left(to);
  const bool differs = !left.empty() || (target.pending && *target.pending != *pending_);
  Label label = target.label;
  if (const auto tail = differs ? tail_at(to) : std::nullopt) {
    label = a_.newLabel();
    exit_stubs_.push_back({label, *tail, *pending_, loops_left(kNowhere)});
  } else {
    if (!target.pending) target.pending = *pending_;
    if (differs) {
      label = a_.newLabel();
      merge_stubs_.push_back({label, target.label, *pending_ - *target.pending, std::move(left)});
    }
  }
  if (condition) a_.j(*condition, label);
  else a_.jmp(label);
}

Label Compiler::fault_stub(std::optional<Fault> fault) {
  // Several checks of one instruction may end alike.
  if (!fault_stubs_.empty() && fault && fault_stubs_.back().pc == pc_ && fault_stubs_.back().fault == fault)
    return fault_stubs_.back().label;
  fault_stubs_.push_back({a_.newLabel(), fault, pc_, *pending_, loops_left(kNowhere)});
  return fault_stubs_.back().label;
}

void Compiler::fault_if(CondCode condition, Fault fault) { a_.j(condition, fault_stub(fault)); }

// --- exits ---

std::optional<Compiler::Tail> Compiler::tail_at(uint32_t pc) const {
  for (uint32_t at = pc; at < program_.code.size() && at <= pc + kMostInTail; ++at) {
    const Instruction& i = program_.code[at];
    if (i.opcode == Opcode::kRet || i.opcode == Opcode::kFail) return Tail{pc, at};
    const CostClass cost = info(i.opcode).cost;
    if ((cost != CostClass::kAlu && cost != CostClass::kMul) || runs_on_machine(i.opcode)) return std::nullopt;
  }
  return std::nullopt;
}

void Compiler::ret() {
  const Tail tail{pc_, pc_};
  if (loops_.empty()) {
    leave(tail, *pending_, {});
  } else {  // what an iteration counts is not known yet
    exit_stubs_.push_back({a_.newLabel(), tail, *pending_, loops_left(kNowhere)});
    a_.jmp(exit_stubs_.back().label);
  }
  pending_.reset();
}

// Counts first: the tail may write to a loop's index.
void Compiler::leave(const Tail& tail, Pending pending, const LoopIds& loops) {
  pending.steps += static_cast<int32_t>(tail.last - tail.first + 1);
  add_to_counts(pending, loops, After::kCode);
  const auto counted = std::exchange(pending_, Pending{});  // arithmetic() counts as well
  for (uint32_t pc = tail.first; pc < tail.last; ++pc) arithmetic(program_.code[pc]);
  pending_ = counted;

  const Instruction& i = program_.code[tail.last];
  const bool is_ok = i.opcode == Opcode::kRet;
  const Gp to = outcome();
  if (is_ok)
    for (uint32_t n = 0; n < i.bits(); ++n)
      a_.mov(qword_ptr(to, kResultsAt + static_cast<int32_t>(n) * 8), use(n, rcx));
  else
    a_.mov(word_ptr(to, kCodeAt), i.bits());
  a_.mov(dword_ptr(to, kPcAt), tail.last);
  a_.mov(byte_ptr(to, kStatusAt), static_cast<uint32_t>(is_ok ? Status::kOk : Status::kFailed));
  epilogue();
}

void Compiler::stubs() {
  for (const MergeStub& stub : merge_stubs_) {
    a_.bind(stub.from);
    add_to_counts(stub.difference, stub.loops, After::kCode);
    a_.jmp(stub.to);
  }
  for (const ExitStub& stub : exit_stubs_) {
    a_.bind(stub.label);
    leave(stub.tail, stub.pending, stub.loops);
  }
  const Label faulted = a_.newLabel();
  for (const FaultStub& stub : fault_stubs_) {
    a_.bind(stub.label);
    if (stub.fault) a_.mov(ecx, static_cast<uint32_t>(*stub.fault));
    else a_.mov(ecx, eax);
    add_to_counts(stub.pending, stub.loops, stub.fault ? After::kCode : After::kCall);
    a_.mov(edx, stub.pc);
    a_.jmp(faulted);
  }
  if (!fault_stubs_.empty()) {
    a_.bind(faulted);
    const Gp to = outcome();
    a_.mov(word_ptr(to, kCodeAt), cx);
    a_.mov(dword_ptr(to, kPcAt), edx);
    a_.mov(byte_ptr(to, kStatusAt), static_cast<uint32_t>(Status::kFault));
    epilogue();
  }
  merge_stubs_.clear();
  exit_stubs_.clear();
  fault_stubs_.clear();
  loop_counts_.clear();
}

}  // namespace tiara::nic::jit
