#include "nic/engine/jit_compiler.h"

#include <cstddef>

// The switches here are over the opcodes of one cost class; their defaults say what is left.
#pragma GCC diagnostic ignored "-Wswitch-enum"

namespace tiara::nic::jit {

using namespace asmjit;
using namespace asmjit::x86;

namespace {

// A region that proofs ask to be larger than this keeps its checks: a small region that is bound one day should not
// throw out all the other proofs.
constexpr uint64_t kMaxProvedExtent = uint64_t{1} << 20;

constexpr int32_t kStatusAt = offsetof(Outcome, status);
constexpr int32_t kCodeAt = offsetof(Outcome, code);
constexpr int32_t kPcAt = offsetof(Outcome, pc);
constexpr int32_t kResultsAt = offsetof(Outcome, results);
constexpr int32_t kCountsAt = offsetof(Outcome, counts);

constexpr uint32_t kNowhere = UINT32_MAX;  // where exits go: out of every loop

constexpr std::pair<int32_t, int32_t Pending::*> kCountFields[] = {{offsetof(Counts, steps), &Pending::steps},
                                                                   {offsetof(Counts, loads), &Pending::loads},
                                                                   {offsetof(Counts, stores), &Pending::stores},
                                                                   {offsetof(Counts, lines), &Pending::lines},
                                                                   {offsetof(Counts, atomics), &Pending::atomics}};

uint16_t run_on_machine(Machine* machine, const Instruction* instruction, uint64_t* registers) noexcept {
  return static_cast<uint16_t>(machine->execute(*instruction, registers));
}

uint64_t address_of(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

bool has_bounds_check(const Instruction& i) {
  const InstructionInfo& row = info(i.opcode);
  return info(row.format).has_region && row.cost != CostClass::kBulk && row.cost != CostClass::kRemote &&
         row.cost != CostClass::kHint;
}

CondCode condition_of(Opcode opcode) {
  switch (opcode) {
    case Opcode::kBeq: case Opcode::kBeqi: return CondCode::kEqual;
    case Opcode::kBne: case Opcode::kBnei: return CondCode::kNotEqual;
    case Opcode::kBltu: case Opcode::kBltui: return CondCode::kUnsignedLT;
    case Opcode::kBgeu: case Opcode::kBgeui: return CondCode::kUnsignedGE;
    case Opcode::kBlts: case Opcode::kBltsi: return CondCode::kSignedLT;
    case Opcode::kBges: case Opcode::kBgesi: return CondCode::kSignedGE;
    case Opcode::kBset: case Opcode::kBseti: return CondCode::kC;
    default: return CondCode::kNC;  // any other conditional branch is bclr or bclri
  }
}

}  // namespace

Compiler::Compiler(const VerifiedProgram& program, Checks checks, CodeHolder& code)
    : verified_(program), program_(program.program()), checks_(checks), a_(&code) {}

// --- values ---

Gp Compiler::use(uint32_t value, const Gp& scratch) {
  if (frame_->host(value)) return *frame_->host(value);
  a_.mov(scratch, frame_->slot(value));
  return scratch;
}

Operand Compiler::operand(uint32_t value) const {
  if (frame_->host(value)) return *frame_->host(value);
  return frame_->slot(value);
}

Gp Compiler::target(uint32_t reg, const Gp& scratch) const { return frame_->host(reg).value_or(scratch); }

void Compiler::commit(uint32_t reg, const Gp& computed) {
  if (!frame_->host(reg)) a_.mov(frame_->slot(reg), computed);
  else if (*frame_->host(reg) != computed) a_.mov(*frame_->host(reg), computed);
}

void Compiler::move(const Gp& to, uint32_t value) {
  if (frame_->host(value) != to) emit(Inst::kIdMov, to, operand(value));
}

void Compiler::emit(InstId id, const Operand& a, const Operand& b) { a_.emit(id, a, b); }

// --- paths and counts ---

void Compiler::add_to_counts(const Pending& pending) {
  if (pending.is_zero()) return;
  a_.mov(rax, frame_->outcome());
  for (const auto& [field, count] : kCountFields)
    if (pending.*count != 0) a_.add(qword_ptr(rax, kCountsAt + field), pending.*count);
}

void Compiler::add_to_counts(const LoopCounts& loop, After after) {
  if (loop.per_iteration.is_zero()) return;
  const bool is_in_host = loop.host && !(after == After::kCall && Frame::is_caller_saved(*loop.host));
  a_.mov(rax, frame_->outcome());
  for (const auto& [field, count] : kCountFields) {
    const int32_t by = loop.per_iteration.*count;
    if (by == 0) continue;
    if (is_in_host) a_.imul(rdx, *loop.host, by);
    else a_.imul(rdx, loop.slot, by);
    a_.add(qword_ptr(rax, kCountsAt + field), rdx);
  }
}

Compiler::LoopIds Compiler::loops_left(uint32_t to) const {
  LoopIds left;
  for (const OpenLoop& open : loops_)
    if (to > open.end) left.push_back(open.id);
  return left;
}

void Compiler::edge(std::optional<CondCode> condition, uint32_t to) {
  Target& target = targets_[to];
  if (!target.pending) target.pending = *pending_;
  Label label = target.label;
  LoopIds left = loops_left(to);
  if (!left.empty() || *target.pending != *pending_) {
    label = a_.newLabel();
    merge_stubs_.push_back({label, target.label, *pending_ - *target.pending, std::move(left)});
  }
  if (condition) a_.j(*condition, label);
  else a_.jmp(label);
}

Label Compiler::fault_stub(std::optional<Fault> fault) {
  // Several checks of one instruction may end alike.
  if (!fault_stubs_.empty() && fault && fault_stubs_.back().pc == pc_ && fault_stubs_.back().fault == fault &&
      fault_stubs_.back().variant == variant_)
    return fault_stubs_.back().label;
  fault_stubs_.push_back({a_.newLabel(), fault, variant_, pc_, *pending_, loops_left(kNowhere)});
  return fault_stubs_.back().label;
}

void Compiler::fault_if(CondCode condition, Fault fault) { a_.j(condition, fault_stub(fault)); }

// --- control ---

// Leaves the outcome's address in rax: a RET or FAIL always has a step to add.
void Compiler::leave(const Instruction& i, uint32_t pc, const Pending& pending, const LoopIds& loops) {
  for (const uint32_t loop : loops) add_to_counts(loop_counts_[loop], After::kCode);
  add_to_counts(pending);
  const bool is_ok = i.opcode == Opcode::kRet;
  if (is_ok)
    for (uint32_t n = 0; n < i.bits(); ++n)
      a_.mov(qword_ptr(rax, kResultsAt + static_cast<int32_t>(n) * 8), use(n, rcx));
  else
    a_.mov(word_ptr(rax, kCodeAt), i.bits());
  a_.mov(dword_ptr(rax, kPcAt), pc);
  a_.mov(byte_ptr(rax, kStatusAt), static_cast<uint32_t>(is_ok ? Status::kOk : Status::kFailed));
  epilogue();
}

void Compiler::ret(const Instruction& i) {
  retire();
  if (loops_.empty()) {
    leave(i, pc_, *pending_, {});
  } else {
    exit_stubs_.push_back({a_.newLabel(), pc_, *pending_, loops_left(kNowhere)});
    a_.jmp(exit_stubs_.back().label);
  }
  pending_.reset();
}

void Compiler::branch(const Instruction& i) {
  if (i.opcode == Opcode::kJump) {
    retire();
    edge(std::nullopt, pc_ + i.displacement());
    pending_.reset();
    return;
  }
  const Format format = info(i.opcode).format;
  const Gp left = use(i.rs1, rax);
  if (format == Format::kBranchBit) {
    a_.bt(left, i.bit_number());
  } else if (i.opcode == Opcode::kBset || i.opcode == Opcode::kBclr) {
    a_.bt(left, use(i.rs2, rcx));
  } else if (format == Format::kBranchImm) {
    if (i.compare_value() == 0) a_.test(left, left);
    else a_.cmp(left, i.compare_value());
  } else {
    emit(Inst::kIdCmp, left, operand(i.rs2));
  }
  retire();
  edge(condition_of(i.opcode), pc_ + i.displacement());
}

void Compiler::loop(const Instruction& i) {
  const uint32_t end = pc_ + 1 + i.body_length();
  uint16_t written = 0;
  for (uint32_t at = pc_ + 1; at < end; ++at) written |= registers_written(program_.code[at]);
  OpenLoop open{.pc = pc_,
                .end = end,
                .id = static_cast<uint32_t>(loop_counts_.size()),
                .at_head = {},
                .head = a_.newLabel(),
                .has_own_index = (written >> i.rd & 1) != 0,
                .has_own_trips = i.rd == i.rs1 || (written >> i.rs1 & 1) != 0};
  const uint32_t depth = static_cast<uint32_t>(loops_.size());
  move(rcx, i.rs1);
  if (variant_ == Variant::kChecked || !verified_.facts(pc_).is_trip_count_proved) {
    a_.cmp(rcx, i.loop_bound());
    fault_if(CondCode::kUnsignedGT, Fault::kLoopBound);
  }
  retire();
  if (frame_->host(i.rd)) a_.xor_(frame_->host(i.rd)->r32(), frame_->host(i.rd)->r32());
  else a_.mov(frame_->slot(i.rd), 0);
  a_.test(rcx, rcx);
  edge(CondCode::kZero, end + 1);
  if (open.has_own_trips) a_.mov(frame_->loop_trips(depth), rcx);
  if (open.has_own_index) a_.mov(frame_->loop_index(depth), 0);
  a_.bind(open.head);
  open.at_head = *pending_;
  loops_.push_back(open);
  loop_counts_.push_back({open.has_own_index ? std::nullopt : frame_->host(i.rd),
                          open.has_own_index ? frame_->loop_index(depth) : frame_->slot(i.rd),
                          {}});
}

void Compiler::end_loop() {
  const OpenLoop open = loops_.back();
  if (!pending_) return;  // every path of the body leaves the loop
  const Instruction& opener = program_.code[open.pc];
  const uint32_t depth = static_cast<uint32_t>(loops_.size()) - 1;
  retire();
  LoopCounts& counts = loop_counts_[open.id];
  counts.per_iteration = *pending_ - open.at_head;
  Gp index = rcx;
  if (open.has_own_index) {
    a_.mov(rcx, frame_->loop_index(depth));
    a_.inc(rcx);
    a_.mov(frame_->loop_index(depth), rcx);
  } else {
    index = use(opener.rd, rcx);
    a_.inc(index);
  }
  commit(opener.rd, index);
  if (open.has_own_trips) a_.cmp(index, frame_->loop_trips(depth));
  else emit(Inst::kIdCmp, index, operand(opener.rs1));
  a_.jb(open.head);
  add_to_counts(counts, After::kCode);  // the index is the trip count now
  pending_ = open.at_head;
}

// What Machine::execute() does: operands go to their homes, the call destroys the caller-saved registers.
void Compiler::call(const Instruction& i) {
  const uint16_t read = registers_read(i);
  for (uint32_t reg = 0; reg < kRegisters; ++reg) {
    const auto& host = frame_->host(reg);
    if (host && ((read >> reg & 1) != 0 || Frame::is_caller_saved(*host))) a_.mov(frame_->slot(reg), *host);
  }
  a_.mov(rdi, frame_->machine());
  a_.mov(rsi, address_of(&i));
  a_.mov(rdx, rsp);
  a_.mov(rax, reinterpret_cast<uint64_t>(&run_on_machine));
  a_.call(rax);
  a_.test(ax, ax);
  a_.jnz(fault_stub(std::nullopt));
  const uint16_t written = registers_written(i);
  for (uint32_t value = 0; value < kValues; ++value) {
    const auto& host = frame_->host(value);
    if (host && (Frame::is_caller_saved(*host) || (value < kRegisters && (written >> value & 1) != 0)))
      a_.mov(*host, frame_->slot(value));
  }
  retire();
}

void Compiler::control(const Instruction& i) {
  switch (i.opcode) {
    case Opcode::kRet:
    case Opcode::kFail: return ret(i);
    case Opcode::kLoop: return loop(i);
    case Opcode::kEndLoop: return end_loop();
    default: return retire();  // any other one is `wait`: bulk operations are done where they stand
  }
}

void Compiler::instruction(const Instruction& i) {
  if (runs_on_machine(i.opcode)) return call(i);
  switch (info(i.opcode).cost) {
    case CostClass::kControl:
    case CostClass::kWait:
    case CostClass::kLoop: return control(i);
    case CostClass::kBranch: return branch(i);
    case CostClass::kAlu:
    case CostClass::kMul:
    case CostClass::kDiv: return arithmetic(i);
    case CostClass::kScratchpad:
    case CostClass::kHint:
    case CostClass::kLoad:
    case CostClass::kStore:
    case CostClass::kLine:
    case CostClass::kAtomic: return memory(i);
    case CostClass::kBulk:
    case CostClass::kRemote: return;  // call()
  }
}

// --- the whole ---

void Compiler::find_proved() {
  proved_.resize(program_.code.size());
  for (uint32_t pc = 0; pc < program_.code.size(); ++pc) {
    const Instruction& i = program_.code[pc];
    has_calls_ |= runs_on_machine(i.opcode);
    needs_machine_ |= has_calls_ || info(i.opcode).cost == CostClass::kScratchpad ||
                      info(i.opcode).cost == CostClass::kLine;
    const uint64_t extent = verified_.facts(pc).extent;
    has_elided_ |= i.opcode == Opcode::kLoop || info(i.opcode).cost == CostClass::kScratchpad;
    if (!has_bounds_check(i) || extent > kMaxProvedExtent) continue;
    proved_[pc] = true;
    extents_[i.region] = std::max(extents_[i.region], extent);
    has_elided_ = true;
  }
  if (checks_ == Checks::kKeepAll) has_elided_ = false;
}

// Arguments: rdi outcome, rsi regions, rdx arguments, rcx machine, r8 scratchpad. Until enter(), rax is regions.
void Compiler::prologue() {
  for (const Gp& host : frame_->saved()) a_.push(host);
  a_.sub(rsp, frame_->bytes());
  a_.mov(frame_->outcome(), rdi);
  if (needs_machine_) {
    a_.mov(frame_->machine(), rcx);
    a_.mov(frame_->scratchpad(), r8);
  }
  a_.mov(rax, rsi);
}

void Compiler::epilogue() {
  a_.add(rsp, frame_->bytes());
  const auto saved = frame_->saved();
  for (size_t n = saved.size(); n-- > 0;) a_.pop(saved[n]);
  a_.ret();
}

void Compiler::check_arguments() {
  for (size_t n = 0; n < program_.arguments.size(); ++n) {
    const ArgumentContract& argument = program_.arguments[n];
    a_.mov(rcx, qword_ptr(rdx, static_cast<int32_t>(n) * 8));
    if (argument.min != 0) {
      a_.mov(rsi, argument.min);
      a_.cmp(rcx, rsi);
      a_.jb(argument_refused_);
    }
    if (argument.max != UINT64_MAX) {
      a_.mov(rsi, argument.max);
      a_.cmp(rcx, rsi);
      a_.ja(argument_refused_);
    }
    if (argument.known_zero != 0) {
      a_.mov(rsi, argument.known_zero);
      a_.test(rcx, rsi);
      a_.jnz(argument_refused_);
    }
  }
}

void Compiler::check_regions() {
  for (size_t n = 0; n < program_.regions.size(); ++n) {
    if (program_.regions[n].is_remote) continue;
    const auto wanted = static_cast<uint32_t>(program_.regions[n].permission);
    const Mem granted = byte_ptr(rax, static_cast<int32_t>(n * sizeof(Region) + offsetof(Region, permission)));
    if (std::has_single_bit(wanted)) {
      a_.test(granted, wanted);
      a_.jz(region_refused_);
      continue;
    }
    a_.movzx(ecx, granted);
    a_.and_(ecx, wanted);
    a_.cmp(ecx, wanted);
    a_.jne(region_refused_);
  }
}

// Loads what the body keeps: bases and counts of regions, then the arguments.
void Compiler::enter(Variant variant) {
  const auto weights = weigh(program_, [&](uint32_t pc) { return variant == Variant::kElided && proved_[pc]; });
  const auto keep = [&](uint32_t value, const Gp& loaded) {
    if (frame_->host(value)) a_.mov(*frame_->host(value), loaded);
    // Calls destroy the host: the slot must be right as well.
    if (!frame_->host(value) || (has_calls_ && Frame::is_caller_saved(*frame_->host(value))))
      a_.mov(frame_->slot(value), loaded);
  };
  for (uint32_t region = 0; region < program_.regions.size(); ++region) {
    const int32_t at = static_cast<int32_t>(region * sizeof(Region));
    if (weights[base_of(region)] != 0) {
      a_.mov(rcx, qword_ptr(rax, at + static_cast<int32_t>(offsetof(Region, base))));
      keep(base_of(region), rcx);
    }
    for (const uint32_t bytes : {1u, 2u, 4u, 8u, 64u}) {
      if (weights[count_of(region, bytes)] == 0) continue;
      a_.mov(rcx, qword_ptr(rax, at + static_cast<int32_t>(offsetof(Region, size))));
      if (bytes > 1) {
        const Label is_large_enough = a_.newLabel();
        a_.sub(rcx, bytes - 1);
        a_.jae(is_large_enough);
        a_.xor_(ecx, ecx);
        a_.bind(is_large_enough);
      }
      keep(count_of(region, bytes), rcx);
    }
  }
  for (uint32_t n = 0; n < program_.arguments.size(); ++n) {
    if (weights[n] == 0) continue;
    const Gp to = target(n, rcx);
    a_.mov(to, qword_ptr(rdx, static_cast<int32_t>(n) * 8));
    commit(n, to);
  }
}

void Compiler::body(Variant variant) {
  variant_ = variant;
  targets_.assign(program_.code.size() + 1, {});
  for (Target& target : targets_) target.label = a_.newLabel();
  loops_.clear();
  pending_ = Pending{};
  for (pc_ = 0; pc_ < program_.code.size(); ++pc_) {
    Target& here = targets_[pc_];
    if (here.pending && pending_ && *here.pending != *pending_) add_to_counts(*pending_ - *here.pending);
    if (here.pending) {
      pending_ = here.pending;
      a_.bind(here.label);
    }
    const Instruction& i = program_.code[pc_];
    const bool closes_loop = !loops_.empty() && loops_.back().end == pc_;
    if (pending_) instruction(i);
    if (closes_loop) loops_.pop_back();
  }
}

void Compiler::stubs() {
  for (const MergeStub& stub : merge_stubs_) {
    a_.bind(stub.from);
    for (const uint32_t loop : stub.loops) add_to_counts(loop_counts_[loop], After::kCode);
    add_to_counts(stub.difference);
    a_.jmp(stub.to);
  }
  for (const ExitStub& stub : exit_stubs_) {
    a_.bind(stub.label);
    leave(program_.code[stub.pc], stub.pc, stub.pending, stub.loops);
  }
  const Label faulted = a_.newLabel();
  for (const FaultStub& stub : fault_stubs_) {
    a_.bind(stub.label);
    if (stub.fault) a_.mov(ecx, static_cast<uint32_t>(*stub.fault));
    else a_.mov(ecx, eax);
    for (const uint32_t loop : stub.loops) add_to_counts(loop_counts_[loop], stub.fault ? After::kCode : After::kCall);
    add_to_counts(stub.pending);
    a_.mov(edx, stub.pc);
    a_.jmp(faulted);
  }
  a_.bind(faulted);
  a_.mov(rax, frame_->outcome());
  a_.mov(word_ptr(rax, kCodeAt), cx);
  a_.mov(dword_ptr(rax, kPcAt), edx);
  a_.mov(byte_ptr(rax, kStatusAt), static_cast<uint32_t>(Status::kFault));
  a_.jmp(done_);

  const auto refuse = [&](const Label& label, Refusal refusal) {
    a_.bind(label);
    a_.mov(rax, frame_->outcome());
    a_.mov(byte_ptr(rax, kStatusAt), static_cast<uint32_t>(Status::kRefused));
    a_.mov(word_ptr(rax, kCodeAt), static_cast<uint32_t>(refusal));
    a_.jmp(done_);
  };
  refuse(argument_refused_, Refusal::kArgumentRange);
  refuse(region_refused_, Refusal::kRegionUnbound);
  a_.bind(done_);
  epilogue();
}

void Compiler::compile() {
  find_proved();
  const auto used = weigh(program_, [](uint32_t) { return false; });
  const auto weights = weigh(program_, [&](uint32_t pc) { return has_elided_ && proved_[pc]; });
  frame_.emplace(weights, used, has_calls_);
  done_ = a_.newLabel();
  argument_refused_ = a_.newLabel();
  region_refused_ = a_.newLabel();
  const Label checked = a_.newLabel();

  prologue();
  check_arguments();
  check_regions();
  bool needs_checked = !has_elided_;
  if (has_elided_) {
    for (uint32_t region = 0; region < program_.regions.size(); ++region) {
      if (extents_[region] == 0) continue;
      a_.cmp(qword_ptr(rax, static_cast<int32_t>(region * sizeof(Region) + offsetof(Region, size))),
             static_cast<int32_t>(extents_[region]));
      a_.jb(checked);
      needs_checked = true;
    }
    enter(Variant::kElided);
    body(Variant::kElided);
  }
  if (needs_checked) {
    a_.bind(checked);
    enter(Variant::kChecked);
    body(Variant::kChecked);
  }
  stubs();
}

}  // namespace tiara::nic::jit
