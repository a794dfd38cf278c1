#include <bit>
#include <cinttypes>
#include <cstdio>

#include "nic/verifier/analysis.h"
#include "nic/verifier/flow.h"

namespace tiara::nic {
namespace {

// Without a disassembler: the mnemonic and the fields that the instruction uses.
std::string plain_text(const Program& program, uint32_t pc) {
  const Instruction& i = program.code[pc];
  const InstructionInfo& row = info(i.opcode);
  const FormatInfo& format = info(row.format);
  std::string out(row.mnemonic);
  const auto field = [&](bool is_used, const char* name, uint64_t value) {
    if (is_used) out += std::string(" ") + name + std::to_string(value);
  };
  field(format.uses_rd(), "r", i.rd);
  field(format.reads_rs1 && !is_absolute(i), "r", i.rs1);
  field(format.reads_rs2, "r", i.rs2);
  field(format.reads_rs3, "r", i.rs3);
  if (format.has_region && i.region < program.regions.size()) out += " " + program.regions[i.region].name;
  if (format.immediate != ImmediateUse::kNone) out += " #" + std::to_string(i.imm);
  return out;
}

std::string facts_text(const Program& program, uint32_t pc, const InstructionFacts& facts) {
  const Instruction& i = program.code[pc];
  const InstructionInfo& row = info(i.opcode);
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : "; ") + text; };
  if (i.opcode == Opcode::kLoop) {
    add("at most " + std::to_string(facts.most_trips) + " rounds");
    if (!facts.is_trip_count_proved) add("bound checked at run time");
  }
  if (info(row.format).has_region && facts.extent != UINT64_MAX)
    add("within the first " + std::to_string(facts.extent) + " bytes");
  if (row.cost == CostClass::kAtomic || row.cost == CostClass::kLine) {
    add(facts.is_aligned ? "aligned" : "alignment checked at run time");
  }
  if (row.cost == CostClass::kBulk) add("at most " + std::to_string(facts.most_bytes) + " bytes");
  if (is_branch(i) && i.opcode != Opcode::kJump) {
    if (!facts.can_branch) add("never taken");
    if (!facts.can_fall_through) add("always taken");
  }
  return out;
}

std::string registers_text(const Instruction& i, const AbstractState& state) {
  std::string out;
  for (uint32_t set = registers_read(i); set != 0; set &= set - 1) {
    const auto reg = static_cast<uint8_t>(std::countr_zero(set));
    out += (out.empty() ? "r" : ", r") + std::to_string(reg) + " = " + state.registers[reg].describe();
  }
  return out;
}

std::string count(uint64_t value) { return value == UINT64_MAX ? "unbounded" : std::to_string(value); }

}  // namespace

std::string describe(const Bounds& bounds) {
  std::string out;
  const auto line = [&](const char* name, uint64_t value) {
    char text[64];
    std::snprintf(text, sizeof text, "  %-18s %s\n", name, count(value).c_str());
    out += text;
  };
  line("steps", bounds.steps);
  line("loads", bounds.loads);
  line("stores", bounds.stores);
  line("lines", bounds.lines);
  line("atomics", bounds.atomics);
  line("bytes moved", bounds.bytes_moved);
  line("reply bytes", bounds.reply_bytes);
  line("remote operations", bounds.remote_operations);
  line("bulk operations", bounds.bulk_operations);
  line("in flight", bounds.in_flight);
  return out;
}

std::string explain(const Program& program, const Analysis& analysis, const InstructionPrinter& print) {
  const auto flow = Flow::of(program.code);
  std::string out = program.name + ": accepted\n";
  for (uint32_t pc = 0; pc < program.code.size(); ++pc) {
    const std::string indent(2 * (flow ? flow->depth(pc) : 0), ' ');
    const std::string text = indent + (print ? print(program, pc) : plain_text(program, pc));
    char line[128];
    std::snprintf(line, sizeof line, "%5u  %-40s", pc, text.c_str());
    out += line;
    if (!analysis.facts[pc].is_reachable) {
      out += " ; no run gets here\n";
      continue;
    }
    std::string note = pc < analysis.states.size() && analysis.states[pc]
                           ? registers_text(program.code[pc], *analysis.states[pc])
                           : "";
    const std::string facts = facts_text(program, pc, analysis.facts[pc]);
    if (!facts.empty()) note += (note.empty() ? "" : "; ") + facts;
    if (!note.empty()) out += " ; " + note;
    out += "\n";
  }
  char time[96];
  std::snprintf(time, sizeof time, "bounds (worst case %.2f us on an FPGA NIC behind PCIe):\n",
                static_cast<double>(analysis.worst_case_ps) / 1e6);
  return out + time + describe(analysis.bounds);
}

}  // namespace tiara::nic
