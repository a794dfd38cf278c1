#include "nic/verifier/precondition.h"

#include <bit>

namespace tiara::nic {
namespace {

std::string name(uint8_t reg) { return "r" + std::to_string(reg); }

std::string region_name(const Program& program, uint8_t region) {
  return region < program.regions.size() ? program.regions[region].name : "region " + std::to_string(region);
}

std::string describe(Permission permission) {
  switch (permission) {
    case Permission::kNone: return "nothing";
    case Permission::kRead: return "read";
    case Permission::kWrite: return "write";
    case Permission::kReadWrite: return "read and write";
    case Permission::kAtomic: return "atomics";
    case Permission::kReadWriteAtomic: return "read, write and atomics";
  }
  return "read or write, and atomics";  // the combinations without a name of their own
}

bool is_remote(Opcode opcode) { return info(opcode).cost == CostClass::kRemote; }

void append_region(const Program& program, uint32_t pc, uint8_t region, Permission permission,
                   std::vector<Precondition>& out) {
  const Precondition base{.requirement = Requirement::kRegionDeclared,
                          .instruction = pc,
                          .region = region,
                          .permission = permission,
                          .count = {}};
  out.push_back(base);
  out.push_back(base);
  out.back().requirement = Requirement::kRegionPermission;
  out.push_back(base);
  out.back().requirement =
      is_remote(program.code[pc].opcode) ? Requirement::kRegionRemote : Requirement::kRegionLocal;
}

void append_scratchpad(const Program& program, uint32_t pc, std::vector<Precondition>& out) {
  const Instruction& i = program.code[pc];
  const InstructionInfo& row = info(i.opcode);
  Precondition access{.requirement = Requirement::kScratchpadInside, .instruction = pc, .count = {}};
  bool reads = false;
  if (row.format == Format::kPadLoad || row.format == Format::kPadStore) {
    access.reg = i.rs1;
    access.is_absolute = is_absolute(i);
    access.displacement = i.imm;
    access.bytes = row.access_bytes;
    reads = row.format == Format::kPadLoad;
  } else if (row.format == Format::kLine) {
    access.is_absolute = true;
    access.displacement = i.pad_offset();
    access.bytes = kLineBytes;
  } else if (row.format == Format::kGatherList || row.format == Format::kScatterList) {
    access.reg = i.rs2;
    access.bytes = 8;  // one offset
    access.count = i.rs3;
    reads = true;
  } else {
    return;
  }
  out.push_back(access);
  if (!reads) return;
  out.push_back(access);
  out.back().requirement = Requirement::kScratchpadDefined;
}

// The bytes that a scratchpad access can touch: [first, first + length), when that is known to be inside.
struct PadRange {
  uint64_t first;
  uint64_t length;
};

std::optional<PadRange> pad_range(const Precondition& p, const Program& program, const AbstractState& state) {
  uint64_t bytes = p.bytes;
  if (p.count) {
    const uint64_t count = state.registers[*p.count].umax();
    if (count > kMaxScratchpadBytes) return std::nullopt;
    bytes *= count;
  }
  const auto displacement = AbstractValue::constant(static_cast<uint64_t>(p.displacement));
  const AbstractValue first =
      p.is_absolute ? displacement : abstract::add(state.registers[p.reg], displacement);
  if (first.umax() > program.scratchpad_bytes || bytes > program.scratchpad_bytes - first.umax())
    return std::nullopt;
  if (bytes == 0) return PadRange{first.umin(), 0};  // an empty list too must stand inside
  return PadRange{first.umin(), first.umax() - first.umin() + bytes};
}

std::string pad_operands(const Precondition& p, const Program& program) {
  std::string out = std::to_string(p.bytes) + " bytes";
  if (p.count) out += " for each of " + name(*p.count);
  out += " at ";
  if (!p.is_absolute) out += name(p.reg) + (p.displacement < 0 ? " - " : " + ");
  out += std::to_string(p.displacement < 0 ? -p.displacement : p.displacement);
  return out + " of a scratchpad of " + std::to_string(program.scratchpad_bytes);
}

std::string pad_state(const Precondition& p, const AbstractState& state) {
  std::string out;
  if (!p.is_absolute) out = name(p.reg) + " = " + state.registers[p.reg].describe();
  if (p.count) out += ", " + name(*p.count) + " = " + state.registers[*p.count].describe();
  return out;
}

Rejection reject(const Precondition& p, std::string detail, std::string state, std::string cure) {
  return {p.requirement, p.instruction, std::move(detail), std::move(state), std::move(cure)};
}

std::optional<Rejection> prove_region(const Precondition& p, const Program& program) {
  if (p.region >= program.regions.size()) {
    if (p.requirement != Requirement::kRegionDeclared) return std::nullopt;  // said once
    return reject(p, "region " + std::to_string(p.region) + " of " + std::to_string(program.regions.size()),
                  "", "declare it");
  }
  const RegionDeclaration& region = program.regions[p.region];
  if (p.requirement == Requirement::kRegionPermission && !allows(region.permission, p.permission)) {
    return reject(p,
                  region.name + " is declared for " + describe(region.permission) + ", used for " +
                      describe(p.permission),
                  "", "declare the permission that is used");
  }
  if (p.requirement == Requirement::kRegionLocal && region.is_remote) {
    return reject(p, region_name(program, p.region), "",
                  "use a remote instruction, or declare the region local");
  }
  if (p.requirement == Requirement::kRegionRemote && !region.is_remote) {
    return reject(p, region_name(program, p.region), "",
                  "use a local instruction, or declare the region remote");
  }
  return std::nullopt;
}

std::optional<Rejection> prove_scratchpad(const Precondition& p, const Program& program,
                                          const AbstractState& state) {
  const auto range = pad_range(p, program, state);
  if (p.requirement == Requirement::kScratchpadInside) {
    if (range) return std::nullopt;
    return reject(p, pad_operands(p, program), pad_state(p, state),
                  program.scratchpad_bytes == 0
                      ? "declare a scratchpad"
                      : "bound the offset on every path to here: mask it, take its min, or compare it");
  }
  if (!range || state.written.contains_all(range->first, range->length)) return std::nullopt;
  return reject(p,
                pad_operands(p, program) + ", of which byte " +
                    std::to_string(state.written.first_missing(range->first, range->length)) +
                    " may be unwritten",
                pad_state(p, state),
                "write it on every path to here; a store at a variable offset proves no byte written");
}

}  // namespace

Permission permission_used(Opcode opcode) {
  switch (info(opcode).format) {
    case Format::kLoad:
    case Format::kLoadIndexed:
    case Format::kLine:
    case Format::kPrefetch:
    case Format::kGather:
    case Format::kGatherStrided:
    case Format::kGatherList:
    case Format::kRemoteLoad:
    case Format::kRemoteGather: return Permission::kRead;
    case Format::kStore:
    case Format::kScatter:
    case Format::kScatterStrided:
    case Format::kScatterList:
    case Format::kFill:
    case Format::kCopy:
    case Format::kRemoteStore: return Permission::kWrite;
    case Format::kCas:
    case Format::kAtomic:
    case Format::kRemoteCas:
    case Format::kRemoteAtomic: return Permission::kAtomic;
    case Format::kNone:
    case Format::kRet:
    case Format::kFail:
    case Format::kLoop:
    case Format::kJump:
    case Format::kRd:
    case Format::kRdImm:
    case Format::kRdImmMerge:
    case Format::kRdRs:
    case Format::kRdRsRs:
    case Format::kRdRsImm:
    case Format::kRdRsShift:
    case Format::kSelect:
    case Format::kBitField:
    case Format::kBranch:
    case Format::kBranchImm:
    case Format::kBranchBit:
    case Format::kPadLoad:
    case Format::kPadStore:
    case Format::kPayloadLoad:
    case Format::kEmit: return Permission::kNone;
  }
  return Permission::kNone;
}

void append_preconditions(const Program& program, uint32_t pc, std::vector<Precondition>& out) {
  const Instruction& i = program.code[pc];
  for (uint32_t registers = registers_read(i); registers != 0; registers &= registers - 1) {
    out.push_back({.requirement = Requirement::kRegisterDefined,
                   .instruction = pc,
                   .reg = static_cast<uint8_t>(std::countr_zero(registers)),
                   .count = {}});
  }
  if (info(info(i.opcode).format).has_region)
    append_region(program, pc, i.region, permission_used(i.opcode), out);
  if (i.opcode == Opcode::kCopy) append_region(program, pc, i.source_region(), Permission::kRead, out);
  append_scratchpad(program, pc, out);
  if (i.opcode == Opcode::kRet)
    out.push_back({.requirement = Requirement::kResultsDeclared, .instruction = pc, .count = {}});
}

std::optional<Rejection> prove(const Precondition& p, const Program& program, const AbstractState& state) {
  switch (p.requirement) {
    case Requirement::kRegisterDefined:
      if (state.is_defined(p.reg)) return std::nullopt;
      return reject(p, name(p.reg) + " is not written on every path to here", "", "give it a value first");
    case Requirement::kRegionDeclared:
    case Requirement::kRegionPermission:
    case Requirement::kRegionLocal:
    case Requirement::kRegionRemote: return prove_region(p, program);
    case Requirement::kScratchpadInside:
    case Requirement::kScratchpadDefined: return prove_scratchpad(p, program, state);
    case Requirement::kResultsDeclared:
      if (program.code[p.instruction].bits() <= program.results) return std::nullopt;
      return reject(p,
                    "ret " + std::to_string(program.code[p.instruction].bits()) +
                        " in a program that declares " + std::to_string(program.results),
                    "", "declare the number of results");
    case Requirement::kWellFormed:
    case Requirement::kEveryPathEnds:
    case Requirement::kLoopClosed:
    case Requirement::kLoopDepth:
    case Requirement::kBranchInside:
    case Requirement::kBranchNotIntoLoop:
    case Requirement::kBranchPops:
    case Requirement::kStepBound:
    case Requirement::kReplyBound:
    case Requirement::kByteBound:
    case Requirement::kRemoteBound:
    case Requirement::kInFlightBound:
    case Requirement::kAnalysisBudget: break;  // of the form or of the whole, never of one instruction
  }
  return std::nullopt;
}

}  // namespace tiara::nic
