#include "tests/fuzz/verifier_monitor.h"

#include <bit>

namespace tiara::nic::fuzz {
namespace {

const DeviceConstants kDevice = fpga_over_pcie();

uint64_t address(const Instruction& i, const Registers& r) {
  return (is_absolute(i) ? 0 : r[i.rs1]) + i.value();
}

// Offset of the first byte that a region instruction touches, where it is one offset.
uint64_t offset_of(const Instruction& i, const Registers& r) {
  const Format format = info(i.opcode).format;
  if (format == Format::kLoadIndexed) return r[i.rs1] + ((r[i.rs2] >> i.lsb() & i.width_mask()) << i.scale());
  if (format == Format::kLine) return r[i.rs1] + static_cast<uint64_t>(int64_t{i.line_displacement()});
  if (format == Format::kCopy) return r[i.rs1];
  return address(i, r);
}

uint64_t length_of(const Instruction& i, const Registers& r) {
  const InstructionInfo& row = info(i.opcode);
  if (row.access_bytes != 0) return row.access_bytes;
  if (row.format == Format::kGather || row.format == Format::kFill) return r[i.rs2];
  if (row.format == Format::kScatter || row.format == Format::kCopy || row.format == Format::kRemoteGather)
    return r[i.rs3];
  return 0;  // nothing is moved in one piece
}

}  // namespace

Monitor::Monitor(const Program& program, const Analysis& analysis, const Machine& machine)
    : program_(program),
      analysis_(analysis),
      machine_(machine),
      flow_(*Flow::of(program.code)),
      defined_(static_cast<uint16_t>((1u << program.arguments.size()) - 1)) {}

void Monitor::say(uint32_t pc, const std::string& what) {
  if (contradiction_.empty()) contradiction_ = "instruction " + std::to_string(pc) + ": " + what;
}

void Monitor::check_edge(uint32_t pc) {
  if (last_pc_ == UINT32_MAX) return;
  const InstructionFacts& facts = analysis_.facts[last_pc_];
  const Instruction& last = program_.code[last_pc_];
  uint32_t branch = last_pc_ + 1;
  if (is_branch(last)) branch = branch_target(last, last_pc_);
  if (last.opcode == Opcode::kLoop) branch = flow_.loops()[flow_.loop_at(last_pc_)].end + 1;
  if (last.opcode == Opcode::kEndLoop) branch = flow_.loops()[flow_.loop_at(last_pc_)].begin + 1;
  const bool may_branch = facts.can_branch && pc == branch;
  const bool may_fall_through = facts.can_fall_through && pc == last_pc_ + 1;
  if (!may_branch && !may_fall_through)
    say(last_pc_, "went to " + std::to_string(pc) + ", said to be impossible");
}

void Monitor::check_state(uint32_t pc, const Registers& registers) {
  const auto& state = analysis_.states[pc];
  if (!state || !analysis_.facts[pc].is_reachable) return say(pc, "reached, said to be unreachable");
  if ((state->defined & ~defined_) != 0) say(pc, "a register is said to be written and is not");
  for (uint8_t reg = 0; reg < kRegisters; ++reg) {
    if (state->is_defined(reg) && !state->registers[reg].contains(registers[reg])) {
      say(pc, "r" + std::to_string(reg) + " is " + std::to_string(registers[reg]) + ", said to be " +
                  state->registers[reg].describe());
    }
  }
  if ((registers_read(program_.code[pc]) & ~defined_) != 0) say(pc, "reads a register that was not written");
  if (!written_.includes(state->written)) say(pc, "a scratchpad byte is said to be written and is not");
}

void Monitor::check_access(uint32_t pc, const Registers& r) {
  const Instruction& i = program_.code[pc];
  const InstructionInfo& row = info(i.opcode);
  const InstructionFacts& facts = analysis_.facts[pc];
  if (i.opcode == Opcode::kLoop) {
    if (facts.is_trip_count_proved && r[i.rs1] > i.loop_bound()) say(pc, "trip count above the bound");
    if (r[i.rs1] <= i.loop_bound() && r[i.rs1] > facts.most_trips) say(pc, "more trips than proved");
  }
  if (!info(row.format).has_region && row.format != Format::kPayloadLoad) return;
  const uint64_t offset = offset_of(i, r);
  const uint64_t length = length_of(i, r);
  if (facts.is_aligned && offset % (row.cost == CostClass::kLine ? 64 : 8) != 0) say(pc, "not aligned");
  // More than the payload holds is a fault that the extent says nothing of.
  if (row.format == Format::kScatter && length > machine_.payload.size()) return;
  if (length > facts.most_bytes && row.access_bytes == 0 &&
      info(row.format).immediate != ImmediateUse::kElement && row.format != Format::kPrefetch) {
    say(pc, "moves more bytes than proved");
  }
  const auto leaves = [&](uint64_t first, uint64_t extent) {
    return extent != UINT64_MAX && !is_inside(first, length, extent);
  };
  if (leaves(offset, facts.extent)) say(pc, "touches bytes beyond its extent");
  if (i.opcode == Opcode::kCopy && leaves(r[i.rs2], facts.source_extent)) say(pc, "reads beyond its extent");
}

void Monitor::check_scratchpad(uint32_t pc, const Registers& r) {
  const Instruction& i = program_.code[pc];
  const InstructionInfo& row = info(i.opcode);
  const auto check = [&](uint64_t offset, uint64_t length, bool is_read) {
    if (!is_inside(offset, length, program_.scratchpad_bytes)) return say(pc, "leaves the scratchpad");
    if (is_read && !written_.contains_all(offset, length))
      say(pc, "reads scratchpad bytes that were not written");
    if (!is_read) written_.insert(offset, length);
  };
  if (row.format == Format::kPadLoad) check(address(i, r), row.access_bytes, true);
  if (row.format == Format::kPadStore) check(address(i, r), row.access_bytes, false);
  if (row.format == Format::kLine) check(i.pad_offset(), kLineBytes, false);
  if (row.format == Format::kGatherList || row.format == Format::kScatterList) {
    if (r[i.rs3] > kMaxScratchpadBytes) say(pc, "a list longer than any scratchpad");
    else check(r[i.rs2], 8 * r[i.rs3], true);
  }
}

void Monitor::note_effects(uint32_t pc, const Registers&) {
  const Instruction& i = program_.code[pc];
  const CostClass cost = info(i.opcode).cost;
  defined_ |= registers_written(i);
  if (i.opcode == Opcode::kEndLoop) {
    defined_ |= registers_written(program_.code[flow_.loops()[flow_.loop_at(pc)].begin]);
  }
  if (i.opcode == Opcode::kWait) in_flight_ = 0;
  if (cost == CostClass::kBulk || i.opcode == Opcode::kRGather) ++in_flight_;
  most_in_flight_ = std::max(most_in_flight_, in_flight_);
  instruction_ps_ += kDevice.instruction_ps[static_cast<size_t>(cost)];
}

void Monitor::operator()(uint32_t pc, const Registers& registers) noexcept {
  if (!contradiction_.empty()) return;
  check_edge(pc);
  check_state(pc, registers);
  check_access(pc, registers);
  check_scratchpad(pc, registers);
  note_effects(pc, registers);
  last_pc_ = pc;
}

void Monitor::finish(const Outcome& outcome) {
  const Bounds& bounds = analysis_.bounds;
  const Counts& counts = outcome.counts;
  const auto check = [&](const char* name, uint64_t counted, uint64_t bound) {
    if (counted > bound)
      say(outcome.pc,
          std::string(name) + " " + std::to_string(counted) + " above the bound " + std::to_string(bound));
  };
  check("steps", counts.steps, bounds.steps);
  check("loads", counts.loads, bounds.loads);
  check("stores", counts.stores, bounds.stores);
  check("lines", counts.lines, bounds.lines);
  check("atomics", counts.atomics, bounds.atomics);
  check("bytes moved", counts.bytes_moved, bounds.bytes_moved);
  check("remote operations", counts.remote_operations, bounds.remote_operations);
  check("reply bytes", outcome.reply_bytes, bounds.reply_bytes);
  check("in flight", most_in_flight_, bounds.in_flight);
  check("picoseconds", instruction_ps_ + counts.bytes_moved * kDevice.byte_ps, analysis_.worst_case_ps);
  if (outcome.status != Status::kFault) return;
  switch (static_cast<Fault>(outcome.code)) {
    case Fault::kScratchpadBounds:
    case Fault::kStepBudget:
    case Fault::kIllegalInstruction:
    case Fault::kReplyBounds:
    case Fault::kRegionPermission:
    case Fault::kNone:
      say(outcome.pc, "a fault that was proved impossible, number " + std::to_string(outcome.code));
      break;
    case Fault::kRegionBounds:
    case Fault::kMisaligned:
    case Fault::kPayloadBounds:
    case Fault::kLoopBound:
    case Fault::kRemoteUnavailable: break;  // these depend on what the run is given
  }
}

}  // namespace tiara::nic::fuzz
