// Writes the tables of docs/nic/isa.md from the instruction table.
//
//   isa_manual FILE            rewrites what stands between the page's "generated" marks
//   isa_manual --check FILE    exit status 1 when the page does not say what the table says
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "nic/isa/instruction.h"

namespace {

using namespace tiara::nic;

struct Group {
  uint8_t first;  // opcode
  const char* title;
};

constexpr Group kGroups[] = {{0x01, "Control"},
                             {0x08, "Moves, bit counts and bit fields"},
                             {0x20, "Arithmetic on two registers"},
                             {0x40, "Arithmetic with an immediate"},
                             {0x60, "Branches on two registers"},
                             {0x68, "Branches on a register and an immediate"},
                             {0x80, "Region memory"},
                             {0x90, "Scratchpad, payload and reply"},
                             {0xa0, "Atomics"},
                             {0xa8, "Bulk operations"},
                             {0xb0, "Remote regions"}};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string code(std::string_view text) { return text.empty() ? "" : "`" + escaped(text) + "`"; }

std::string hex(unsigned value) {
  char text[8];
  snprintf(text, sizeof text, "0x%02x", value);
  return text;
}

// What can go wrong when it runs, from how it uses its operands.
std::string faults_of(const InstructionInfo& row) {
  std::vector<std::string> faults;
  const FormatInfo& format = info(row.format);
  const bool is_remote = row.cost == CostClass::kRemote;
  const bool is_list = row.format == Format::kGatherList || row.format == Format::kScatterList;
  const bool is_scatter = row.format == Format::kScatter || row.format == Format::kScatterStrided ||
                          row.format == Format::kScatterList;
  const bool is_gather = row.format == Format::kGather || row.format == Format::kGatherStrided ||
                         row.format == Format::kGatherList || row.format == Format::kRemoteGather;
  if (row.opcode == Opcode::kLoop) faults.push_back("LoopBound");
  if (row.cost == CostClass::kHint) return "";
  if (format.has_region) faults.push_back("RegionPermission");
  if (row.cost == CostClass::kAtomic || row.cost == CostClass::kLine || (is_remote && row.access_bytes == 8))
    faults.push_back("Misaligned");
  if (is_scatter || row.format == Format::kPayloadLoad) faults.push_back("PayloadBounds");
  if (is_gather || row.format == Format::kEmit) faults.push_back("ReplyBounds");
  if (is_list || row.format == Format::kPadLoad || row.format == Format::kPadStore || row.format == Format::kLine)
    faults.push_back("ScratchpadBounds");
  if (format.has_region) faults.push_back("RegionBounds");
  if (is_remote) faults.push_back("RemoteUnavailable");
  std::string text;
  for (const std::string& fault : faults) text += (text.empty() ? "" : ", ") + fault;
  return text;
}

std::string_view immediate_text(ImmediateUse use) {
  switch (use) {
    case ImmediateUse::kNone: return "";
    case ImmediateUse::kSigned: return "signed 32 bits";
    case ImmediateUse::kShift: return "0 to 63";
    case ImmediateUse::kBits: return "[5:0] lsb, [13:8] width";
    case ImmediateUse::kIndex: return "[5:0] lsb, [13:8] width, [18:16] scale";
    case ImmediateUse::kOffset: return "signed offset in bytes";
    case ImmediateUse::kPadOffset: return "signed offset in bytes";
    case ImmediateUse::kDisplacement: return "instructions forward, from 1";
    case ImmediateUse::kCompareBranch: return "[15:0] instructions forward, [31:16] signed value";
    case ImmediateUse::kBitBranch: return "[15:0] instructions forward, [31:16] bit number";
    case ImmediateUse::kLoop: return "[19:0] bound, [31:20] instructions in the body";
    case ImmediateUse::kLine: return "[15:0] scratchpad offset, [31:16] signed displacement";
    case ImmediateUse::kElement: return "bytes of one element";
    case ImmediateUse::kResults: return "result registers, 0 to 4";
    case ImmediateUse::kReason: return "reason, 0 to 65535";
  }
  return "";
}

std::string_view flags_text(FlagUse use) {
  switch (use) {
    case FlagUse::kNone: return "";
    case FlagUse::kAbsolute: return "bit 0: no base register";
    case FlagUse::kPops: return "loop frames left when taken";
    case FlagUse::kRegion: return "source region";
  }
  return "";
}

std::string register_use(bool is_read, bool is_written) {
  return is_read && is_written ? "rw" : is_read ? "r" : is_written ? "w" : "";
}

std::string formats_table() {
  std::string text = "| operands | rd | rs1 | rs2 | rs3 | region | flags | imm |\n|---|---|---|---|---|---|---|---|\n";
#define TIARA_FORMAT(name, ...) Format::k##name,
  for (const Format each : {TIARA_FORMATS(TIARA_FORMAT)}) {
#undef TIARA_FORMAT
    const FormatInfo& format = info(each);
    text += "| " + (format.operands.empty() ? std::string("none") : code(format.operands)) + " | " +
            register_use(format.reads_rd, format.writes_rd) + " | " + register_use(format.reads_rs1, false) + " | " +
            register_use(format.reads_rs2, false) + " | " + register_use(format.reads_rs3, false) + " | " +
            (format.has_region ? "yes" : "") + " | " + std::string(flags_text(format.flags)) + " | " +
            std::string(immediate_text(format.immediate)) + " |\n";
  }
  return text;
}

std::string instructions_tables() {
  std::string text;
  size_t group = 0;
  for (const InstructionInfo& row : all_instructions()) {
    if (group < std::size(kGroups) && static_cast<uint8_t>(row.opcode) >= kGroups[group].first) {
      text += std::string(group == 0 ? "" : "\n") + "### " + kGroups[group].title +
              "\n\n| instruction | opcode | what it does | faults | cost | example |\n|---|---|---|---|---|---|\n";
      ++group;
    }
    const std::string operands(info(row.format).operands);
    text += "| " + code(std::string(row.mnemonic) + (operands.empty() ? "" : " " + operands)) + " | " +
            hex(static_cast<uint8_t>(row.opcode)) + " | " + escaped(row.semantics) + " | " + faults_of(row) + " | " +
            std::string(to_string(row.cost)) + " | " + code(row.example) + " |\n";
  }
  return text;
}

// Replaces what stands between <!-- generated: NAME --> and <!-- end -->.
bool replace(std::string& page, const std::string& name, const std::string& content) {
  const std::string begin = "<!-- generated: " + name + " -->\n";
  const size_t from = page.find(begin);
  const size_t to = page.find("<!-- end -->", from);
  if (from == std::string::npos || to == std::string::npos) return false;
  page.replace(from + begin.size(), to - from - begin.size(), "\n" + content + "\n");
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_check = argc == 3 && strcmp(argv[1], "--check") == 0;
  if (argc != 2 && !is_check) return std::cerr << "usage: isa_manual [--check] docs/nic/isa.md\n", 64;
  const std::string path = argv[argc - 1];
  std::stringstream read;
  read << std::ifstream(path).rdbuf();
  std::string page = read.str();
  if (!replace(page, "formats", formats_table()) || !replace(page, "instructions", instructions_tables()))
    return std::cerr << path << ": the marks of the generated tables are missing\n", 1;
  if (page == read.str()) return 0;
  if (is_check) return std::cerr << path << " is not current; run `isa_manual " << path << "`\n", 1;
  std::ofstream(path) << page;
  return 0;
}
