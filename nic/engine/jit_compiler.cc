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

// --- control ---

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

Compiler::OpenLoop Compiler::open_loop(uint32_t pc) const {
  const Instruction& i = program_.code[pc];
  const uint32_t end = pc + 1 + i.body_length();
  uint16_t written = 0;
  for (uint32_t at = pc + 1; at < end; ++at) written |= registers_written(program_.code[at]);
  return {.pc = pc,
          .end = end,
          .id = 0,
          .at_head = {},
          .head = {},
          .has_own_index = (written >> i.rd & 1) != 0,
          .has_own_trips = i.rd == i.rs1 || (written >> i.rs1 & 1) != 0};
}

void Compiler::loop(const Instruction& i) {
  OpenLoop open = open_loop(pc_);
  open.id = static_cast<uint32_t>(loop_counts_.size());
  open.head = a_.newLabel();
  const uint32_t depth = static_cast<uint32_t>(loops_.size());
  Gp trips = rcx;
  if (open.has_own_trips) move(trips, i.rs1);  // rd may be rs1
  else trips = use(i.rs1, rcx);
  if (variant_ == Variant::kChecked || !verified_.facts(pc_).is_trip_count_proved) {
    a_.cmp(trips, i.loop_bound());
    fault_if(CondCode::kUnsignedGT, Fault::kLoopBound);
  }
  retire();
  if (frame_->host(i.rd)) a_.xor_(frame_->host(i.rd)->r32(), frame_->host(i.rd)->r32());
  else a_.mov(frame_->slot(i.rd), 0);
  a_.test(trips, trips);
  edge(CondCode::kZero, open.end + 1);
  if (open.has_own_trips) a_.mov(frame_->loop_trips(depth), trips);
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
  // The index is the trip count now. An outer loop's counts are not known before its end.
  const auto tail = tail_at(open.end + 1);
  if (tail && depth == 0) {
    leave(*tail, open.at_head, {open.id});
    pending_.reset();
  } else {
    add_to_counts({}, {open.id}, After::kCode);
    pending_ = open.at_head;
  }
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
    case Opcode::kFail: return ret();
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
  if (!has_elided_) return;
  // A check that stays compares an offset with a count of offsets: a region smaller than one access has none, and would
  // have to be told apart at every start.
  const auto weights = weigh(program_, [&](uint32_t pc) { return proved_[pc]; });
  for (uint32_t region = 0; region < program_.regions.size(); ++region)
    for (const uint64_t bytes : {1, 2, 4, 8, 64})
      if (weights[count_of(region, static_cast<uint32_t>(bytes))] != 0)
        extents_[region] = std::max(extents_[region], bytes);
}

// Arguments: rdi outcome, rsi regions, rdx arguments, rcx machine, r8 scratchpad. Until prologue(), r9 and r10 are
// scratch and nothing else has been touched.
void Compiler::check_arguments() {
  for (size_t n = 0; n < program_.arguments.size(); ++n) {
    const ArgumentContract& argument = program_.arguments[n];
    const Mem value = qword_ptr(rdx, static_cast<int32_t>(n) * 8);
    if (argument.min != 0) {
      a_.mov(r9, argument.min);
      a_.cmp(value, r9);
      a_.jb(argument_refused_);
    }
    if (argument.max != 0 && argument.max != UINT64_MAX && std::has_single_bit(argument.max + 1)) {
      a_.mov(r9, value);
      a_.shr(r9, std::countr_zero(argument.max + 1));
      a_.jnz(argument_refused_);
    } else if (argument.max != UINT64_MAX) {
      a_.mov(r9, argument.max);
      a_.cmp(value, r9);
      a_.ja(argument_refused_);
    }
    if (argument.known_zero != 0) {
      a_.mov(r9, argument.known_zero);
      a_.test(value, r9);
      a_.jnz(argument_refused_);
    }
  }
}

void Compiler::check_regions() {
  for (size_t n = 0; n < program_.regions.size(); ++n) {
    if (program_.regions[n].is_remote) continue;
    const auto wanted = static_cast<uint32_t>(program_.regions[n].permission);
    const Mem granted = byte_ptr(rsi, static_cast<int32_t>(n * sizeof(Region) + offsetof(Region, permission)));
    if (std::has_single_bit(wanted)) {
      a_.test(granted, wanted);
      a_.jz(region_refused_);
      continue;
    }
    a_.movzx(r9d, granted);
    a_.and_(r9d, wanted);
    a_.cmp(r9d, wanted);
    a_.jne(region_refused_);
  }
}

// Goes to `too_small` when a region is smaller than the elided variant relies on. Whether that can be.
bool Compiler::check_extents(const Label& too_small) {
  bool can_be = false;
  for (uint32_t region = 0; region < program_.regions.size(); ++region) {
    if (extents_[region] == 0) continue;
    a_.cmp(qword_ptr(rsi, static_cast<int32_t>(region * sizeof(Region) + offsetof(Region, size))),
           static_cast<int32_t>(extents_[region]));
    a_.jb(too_small);
    can_be = true;
  }
  return can_be;
}

void Compiler::prologue() {
  for (const Gp& host : frame_->saved()) a_.push(host);
  if (frame_->bytes() != 0) a_.sub(rsp, frame_->bytes());
  if (!frame_->outcome_host()) a_.mov(frame_->outcome(), rdi);
  if (needs_machine_) {
    a_.mov(frame_->machine(), rcx);
    a_.mov(frame_->scratchpad(), r8);
  }
  a_.mov(rax, rsi);  // regions: rsi may be a host
}

void Compiler::epilogue() {
  if (frame_->bytes() != 0) a_.add(rsp, frame_->bytes());
  const auto saved = frame_->saved();
  for (size_t n = saved.size(); n-- > 0;) a_.pop(saved[n]);
  a_.ret();
}

// Loads what the body keeps: bases and counts of regions, then the arguments.
void Compiler::enter(const std::array<uint64_t, kValues>& weights) {
  // Calls destroy some hosts: their slots must be right as well.
  const auto keep = [&](uint32_t value, const Gp& loaded) {
    const auto& host = frame_->host(value);
    if (!host || (has_calls_ && Frame::is_caller_saved(*host))) a_.mov(frame_->slot(value), loaded);
  };
  for (uint32_t region = 0; region < program_.regions.size(); ++region) {
    const int32_t at = static_cast<int32_t>(region * sizeof(Region));
    if (weights[base_of(region)] != 0) {
      const Gp base = frame_->host(base_of(region)).value_or(rcx);
      a_.mov(base, qword_ptr(rax, at + static_cast<int32_t>(offsetof(Region, base))));
      keep(base_of(region), base);
    }
    for (const uint32_t bytes : {1u, 2u, 4u, 8u, 64u}) {
      if (weights[count_of(region, bytes)] == 0) continue;
      const Gp count = frame_->host(count_of(region, bytes)).value_or(rcx);
      a_.mov(count, qword_ptr(rax, at + static_cast<int32_t>(offsetof(Region, size))));
      if (bytes > 1) a_.sub(count, bytes - 1);
      if (bytes > 1 && variant_ == Variant::kChecked) {  // the other one relies on more: check_extents()
        const Label is_large_enough = a_.newLabel();
        a_.jae(is_large_enough);
        a_.xor_(count.r32(), count.r32());
        a_.bind(is_large_enough);
      }
      keep(count_of(region, bytes), count);
    }
  }
  for (uint32_t n = 0; n < program_.arguments.size(); ++n) {
    if (weights[n] == 0) continue;
    const Gp to = target(n, rcx);
    a_.mov(to, qword_ptr(rdx, static_cast<int32_t>(n) * 8));
    commit(n, to);
  }
}

void Compiler::body() {
  targets_.assign(program_.code.size() + 1, {});
  for (Target& target : targets_) target.label = a_.newLabel();
  loops_.clear();
  pending_ = Pending{};
  for (pc_ = 0; pc_ < program_.code.size(); ++pc_) {
    Target& here = targets_[pc_];
    if (here.pending && pending_ && *here.pending != *pending_) {
      if (const auto tail = tail_at(pc_); tail && loops_.empty()) leave(*tail, *pending_, {});
      else add_to_counts(*pending_ - *here.pending, {}, After::kCode);
    }
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

void Compiler::variant(Variant variant) {
  variant_ = variant;
  const auto weights = weigh(program_, [&](uint32_t pc) { return is_elided(pc); });
  FrameNeeds needs{.calls = has_calls_, .machine = needs_machine_};
  for (uint32_t pc = 0; pc < program_.code.size(); ++pc) {
    if (program_.code[pc].opcode != Opcode::kLoop) continue;
    const OpenLoop loop = open_loop(pc);
    needs.loop_state |= loop.has_own_index || loop.has_own_trips;
  }
  frame_.emplace(weights, needs);
  prologue();
  enter(weights);
  body();
  stubs();
}

void Compiler::compile() {
  find_proved();
  argument_refused_ = a_.newLabel();
  region_refused_ = a_.newLabel();
  const Label checked = a_.newLabel();
  check_arguments();
  check_regions();
  bool needs_checked = !has_elided_;
  if (has_elided_) {
    needs_checked = check_extents(checked);
    variant(Variant::kElided);
  }
  if (needs_checked) {
    a_.bind(checked);
    variant(Variant::kChecked);
  }
  const auto refuse = [&](const Label& label, Refusal refusal) {
    a_.bind(label);
    a_.mov(byte_ptr(rdi, kStatusAt), static_cast<uint32_t>(Status::kRefused));
    a_.mov(word_ptr(rdi, kCodeAt), static_cast<uint32_t>(refusal));
    a_.ret();
  };
  refuse(argument_refused_, Refusal::kArgumentRange);
  refuse(region_refused_, Refusal::kRegionUnbound);
}

}  // namespace tiara::nic::jit
