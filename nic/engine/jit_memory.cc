#include "nic/engine/jit_compiler.h"

// The switches here are over the opcodes of one cost class; their defaults say what is left.
#pragma GCC diagnostic ignored "-Wswitch-enum"

namespace tiara::nic::jit {

using namespace asmjit;
using namespace asmjit::x86;

// --- addresses ---

// Uses rax. Sums are modulo 2^64, as the manual says.
Compiler::Address Compiler::address(const Instruction& i) {
  if (is_absolute(i)) return {.reg = std::nullopt, .displacement = i.imm};
  return {.reg = use(i.rs1, rax), .displacement = i.imm};
}

// The offset as one register. Uses rax.
Gp Compiler::offset_of(Address& address) {
  if (address.displacement == 0) return *address.reg;
  a_.lea(rax, ptr(*address.reg, address.displacement));
  if (*address.reg == rax) address.displacement = 0;
  return rax;
}

Mem Compiler::at(const Address& address, const Gp& base, uint32_t bytes) {
  return address.reg ? ptr(base, *address.reg, 0, address.displacement, bytes) : ptr(base, address.displacement, bytes);
}

// --- checks ---

// "offset >= count" is the whole check: count is 0 when the region is smaller than the access.
void Compiler::check_bounds(Address& address, uint32_t region, uint32_t bytes) {
  if (is_elided(pc_)) return;
  const Operand count = operand(count_of(region, bytes));
  if (address.reg) {
    emit(Inst::kIdCmp, offset_of(address), count);
    fault_if(CondCode::kUnsignedGE, Fault::kRegionBounds);
  } else {
    emit(Inst::kIdCmp, count, Imm(address.displacement));
    fault_if(CondCode::kUnsignedLE, Fault::kRegionBounds);
  }
}

void Compiler::check_alignment(Address& address, uint32_t bytes) {
  if (variant_ == Variant::kElided && verified_.facts(pc_).is_aligned) return;
  if (address.reg) {
    a_.test(offset_of(address).r8(), bytes - 1);
    fault_if(CondCode::kNotZero, Fault::kMisaligned);
  } else if (address.displacement % static_cast<int32_t>(bytes) != 0) {
    a_.jmp(fault_stub(Fault::kMisaligned));
  }
}

// --- accesses ---

// Natural alignment makes these single accesses, and x86 orders them as acquire and release.
void Compiler::read(const Gp& to, const Mem& from, Opcode opcode) {
  switch (opcode) {
    case Opcode::kLd1: case Opcode::kLd1x: case Opcode::kSpLd1: a_.movzx(to.r32(), from); break;
    case Opcode::kLd2: case Opcode::kLd2x: case Opcode::kSpLd2: a_.movzx(to.r32(), from); break;
    case Opcode::kLd4: case Opcode::kLd4x: case Opcode::kSpLd4: a_.mov(to.r32(), from); break;
    case Opcode::kLds1: case Opcode::kLds2: a_.movsx(to, from); break;
    case Opcode::kLds4: a_.movsxd(to, from); break;
    default: a_.mov(to, from); break;  // any other load is of 8 bytes
  }
}

void Compiler::write(const Mem& to, const Gp& from, uint32_t bytes) {
  if (bytes == 1) a_.mov(to, from.r8());
  else if (bytes == 2) a_.mov(to, from.r16());
  else if (bytes == 4) a_.mov(to, from.r32());
  else a_.mov(to, from);
}

// rs1 + (field(rs2) << scale). rs1 is most often the last load's result and the field is known long before it, so the
// field is added to the region's base: a pointer chase waits for nothing but its loads.
void Compiler::load_indexed(const Instruction& i) {
  constexpr uint32_t kMostLeaScale = 3;
  const uint32_t bytes = info(i.opcode).access_bytes;
  extract(rax, use(i.rs2, rax), i.lsb(), i.width());
  uint32_t scale = i.scale();
  if (scale > kMostLeaScale) {
    a_.shl(rax, scale);
    scale = 0;
  }
  const Gp first = use(i.rs1, rdx);
  if (!is_elided(pc_)) {
    a_.lea(rcx, ptr(first, rax, scale));
    emit(Inst::kIdCmp, rcx, operand(count_of(i.region, bytes)));
    fault_if(CondCode::kUnsignedGE, Fault::kRegionBounds);
  }
  a_.lea(rax, ptr(use(base_of(i.region), rcx), rax, scale));
  const Gp to = target(i.rd, rax);
  read(to, ptr(rax, first, 0, 0, bytes), i.opcode);
  commit(i.rd, to);
  retire();
  ++pending_->loads;
}

void Compiler::load(const Instruction& i) {
  const InstructionInfo& row = info(i.opcode);
  if (row.format == Format::kLoadIndexed) return load_indexed(i);
  Address from = address(i);
  check_bounds(from, i.region, row.access_bytes);
  const Gp to = target(i.rd, rax);
  read(to, at(from, use(base_of(i.region), rcx), row.access_bytes), i.opcode);
  commit(i.rd, to);
  retire();
  ++pending_->loads;
}

void Compiler::store(const Instruction& i) {
  const uint32_t bytes = info(i.opcode).access_bytes;
  Address to = address(i);
  check_bounds(to, i.region, bytes);
  write(at(to, use(base_of(i.region), rcx), bytes), use(i.rs2, rdx), bytes);
  retire();
  ++pending_->stores;
}

// 16 bytes at a time: aligned, so that each 8-byte word in them is read whole.
void Compiler::load_line(const Instruction& i) {
  move(rax, i.rs1);
  if (i.line_displacement() != 0) a_.add(rax, i.line_displacement());
  Address from{.reg = rax};
  check_alignment(from, kLineBytes);
  if (i.pad_offset() + kLineBytes > program_.scratchpad_bytes) a_.jmp(fault_stub(Fault::kScratchpadBounds));
  check_bounds(from, i.region, kLineBytes);
  emit(Inst::kIdAdd, rax, operand(base_of(i.region)));
  a_.mov(rcx, frame_->scratchpad());
  for (uint32_t n = 0; n < 4; ++n) a_.movdqu(xmm(n), xmmword_ptr(rax, static_cast<int32_t>(n * 16)));
  for (uint32_t n = 0; n < 4; ++n)
    a_.movdqu(xmmword_ptr(rcx, static_cast<int32_t>(i.pad_offset() + n * 16)), xmm(n));
  retire();
  ++pending_->lines;
}

// The verifier proves every scratchpad access inside: only the checked variant looks.
void Compiler::scratchpad(const Instruction& i, bool is_load) {
  const uint32_t bytes = info(i.opcode).access_bytes;
  const uint32_t size = program_.scratchpad_bytes;
  Address where = address(i);
  if (size < bytes) {
    a_.jmp(fault_stub(Fault::kScratchpadBounds));
  } else if (variant_ == Variant::kChecked && where.reg) {
    a_.cmp(offset_of(where), size - bytes);
    fault_if(CondCode::kUnsignedGT, Fault::kScratchpadBounds);
  } else if (!where.reg && static_cast<uint32_t>(where.displacement) > size - bytes) {
    a_.jmp(fault_stub(Fault::kScratchpadBounds));
  }
  a_.mov(rcx, frame_->scratchpad());
  if (is_load) {
    const Gp to = target(i.rd, rax);
    read(to, at(where, rcx, bytes), i.opcode);
    commit(i.rd, to);
  } else {
    write(at(where, rcx, bytes), use(i.rs2, rdx), bytes);
  }
  retire();
}

void Compiler::atomic(const Instruction& i) {
  Address where = address(i);
  check_alignment(where, 8);
  check_bounds(where, i.region, 8);
  // The word's address goes to rcx, out of cmpxchg's way.
  a_.lea(rcx, at(where, use(base_of(i.region), rcx), 8));
  const Mem word = qword_ptr(rcx);
  if (i.opcode == Opcode::kCas) {
    move(rax, i.rs2);
    const Gp desired = use(i.rs3, rdx);
    a_.lock().cmpxchg(word, desired);
    commit(i.rd, rax);
  } else {
    move(rdx, i.rs2);
    if (i.opcode == Opcode::kFaa) a_.lock().xadd(word, rdx);
    else a_.xchg(word, rdx);  // locks by itself
    commit(i.rd, rdx);
  }
  retire();
  ++pending_->atomics;
}

// Never faults: what lies outside is not prefetched.
void Compiler::prefetch(const Instruction& i) {
  const Label outside = a_.newLabel();
  Address where = address(i);
  const Operand size = operand(count_of(i.region, 1));
  if (where.reg) emit(Inst::kIdCmp, offset_of(where), size);
  else emit(Inst::kIdCmp, size, Imm(where.displacement));
  a_.j(where.reg ? CondCode::kUnsignedGE : CondCode::kUnsignedLE, outside);
  a_.prefetcht0(at(where, use(base_of(i.region), rcx), 1));
  a_.bind(outside);
  retire();
}

void Compiler::memory(const Instruction& i) {
  switch (info(i.opcode).cost) {
    case CostClass::kLoad: return load(i);
    case CostClass::kStore: return store(i);
    case CostClass::kLine: return load_line(i);
    case CostClass::kAtomic: return atomic(i);
    case CostClass::kHint: return prefetch(i);
    default: return scratchpad(i, info(i.opcode).format == Format::kPadLoad);  // any other one is scratchpad
  }
}

}  // namespace tiara::nic::jit
