#include "nic/cc/object.h"

#include <algorithm>
#include <optional>
#include <string>

namespace tiara::nic::cc {
namespace {

// struct tiara_meta of tiara_op.h.
constexpr uint64_t kRecordBytes = 104;
constexpr uint64_t kRecordNameAt = 40;
constexpr uint32_t kRecordMagic = 0x4d415254;
constexpr uint32_t kPermissionFlags = 7, kCacheableFlag = 16, kRemoteFlag = 32;
enum class RecordKind : uint32_t { kOperator = 1, kRegion = 2, kArgument = 3 };

std::unexpected<Error> refused(std::string what) {
  return fail(ErrorCode::kRejected, std::move(what));
}

// A vector that is filled by index, each index once, without gaps at the end.
template <typename T>
class Slots {
 public:
  explicit Slots(size_t limit) : slots_(limit) {}
  bool put(uint64_t index, T value) {
    if (index >= slots_.size() || slots_[index]) return false;
    slots_[index] = std::move(value);
    return true;
  }
  std::optional<std::vector<T>> take() {
    std::vector<T> out;
    for (auto& slot : slots_)
      if (slot) out.push_back(std::move(*slot));
    for (size_t i = 0; i < out.size(); ++i)
      if (!slots_[i]) return std::nullopt;
    return out;
  }

 private:
  std::vector<std::optional<T>> slots_;
};

Result<void> read_operator(Bytes record, std::string name, Program& program) {
  if (!program.name.empty()) return refused("the file declares two operators; a file holds one");
  const auto pad = number_at<uint64_t>(record, 32);
  if (pad > kMaxScratchpadBytes)
    return refused("operator " + name + ": a scratchpad of more than 4096 bytes");
  const auto steps = number_at<uint64_t>(record, 24);
  program.name = std::move(name);
  program.version = number_at<uint32_t>(record, 8);
  program.declared.max_reply_bytes = number_at<uint64_t>(record, 16);
  program.declared.max_steps = steps == 0 ? UINT64_MAX : steps;
  program.scratchpad_bytes = static_cast<uint16_t>(pad);
  return {};
}

Result<Program> read_declarations(Bytes section) {
  if (section.size() % kRecordBytes != 0)
    return refused(
        "the declarations in .tiara.meta are of another version of tiara_op.h; use the one of this "
        "compiler");
  Program program;
  Slots<RegionDeclaration> regions(kMaxRegions);
  Slots<ArgumentContract> arguments(kMaxProgramArguments);
  for (uint64_t at = 0; at < section.size(); at += kRecordBytes) {
    const Bytes record = section.subspan(at, kRecordBytes);
    const auto name_view = string_at(record, kRecordNameAt);
    if (number_at<uint32_t>(record, 0) != kRecordMagic || !name_view)
      return refused(
          "a record in .tiara.meta is not one of tiara_op.h's, or its name is longer than 63 "
          "characters");
    const std::string name(*name_view);
    const auto index = number_at<uint32_t>(record, 8);
    const auto flags = number_at<uint32_t>(record, 12);
    switch (static_cast<RecordKind>(number_at<uint32_t>(record, 4))) {
      case RecordKind::kOperator: TIARA_TRY_VOID(read_operator(record, name, program)); continue;
      case RecordKind::kRegion:
        if ((flags & ~(kPermissionFlags | kCacheableFlag | kRemoteFlag)) != 0 ||
            !regions.put(index, {.name = name,
                                 .permission = static_cast<Permission>(flags & kPermissionFlags),
                                 .is_cacheable = (flags & kCacheableFlag) != 0,
                                 .is_remote = (flags & kRemoteFlag) != 0}))
          return refused("region " + name +
                         ": unknown permissions, or its number is taken or not below 16");
        continue;
      case RecordKind::kArgument:
        if (!arguments.put(index, {.name = name,
                                   .min = number_at<uint64_t>(record, 16),
                                   .max = number_at<uint64_t>(record, 24),
                                   .known_zero = number_at<uint64_t>(record, 32)}))
          return refused("argument " + name + ": its number is taken or not below 8");
        continue;
    }
    return refused(
        "a record in .tiara.meta is of an unknown kind; use the tiara_op.h of this compiler");
  }
  if (program.name.empty())
    return refused("no operator is declared; write TIARA_OPERATOR(name, version)");
  auto region_list = regions.take();
  auto argument_list = arguments.take();
  if (!region_list || !argument_list)
    return refused("regions and arguments are numbered from 0 without gaps");
  program.regions = std::move(*region_list);
  program.arguments = std::move(*argument_list);
  return program;
}

const Symbol* find_function(const ElfFile& elf, std::string_view name) {
  for (const Symbol& symbol : elf.symbols())
    if (symbol.name == name && symbol.type == kSymbolFunction && symbol.section != 0 &&
        symbol.section < elf.sections().size() && elf.sections()[symbol.section].is_executable())
      return &symbol;
  return nullptr;
}

Result<std::vector<BpfInstruction>> decode(Bytes code, uint64_t start, const LineTable& lines) {
  std::vector<BpfInstruction> out;
  bool is_second_slot = false;
  for (uint64_t at = 0; at < code.size(); at += 8) {
    const auto word = number_at<uint64_t>(code, at);
    BpfInstruction instruction{.opcode = static_cast<uint8_t>(word),
                               .dst = static_cast<uint8_t>(word >> 8 & 15),
                               .src = static_cast<uint8_t>(word >> 12 & 15),
                               .offset = static_cast<int16_t>(word >> 16),
                               .imm = static_cast<int32_t>(word >> 32),
                               .is_second_slot = is_second_slot,
                               .symbol = {},
                               .is_relocated = false,
                               .is_symbol_defined = false,
                               .place = lines.at(start + at)};
    if (is_second_slot) {
      if ((word & 0xffffffff) != 0)
        return fail(ErrorCode::kInvalidInput, "malformed BPF code: half of a 64-bit immediate");
      out.back().imm = static_cast<int64_t>((static_cast<uint64_t>(out.back().imm) & 0xffffffff) |
                                            static_cast<uint64_t>(instruction.imm) << 32);
    }
    is_second_slot = !is_second_slot && instruction.opcode == bpf::kLoadImmediate64;
    out.push_back(instruction);
  }
  if (is_second_slot)
    return fail(ErrorCode::kInvalidInput, "malformed BPF code: it ends in a 64-bit immediate");
  return out;
}

Result<void> resolve_symbols(const ElfFile& elf, const Symbol& function,
                             std::vector<BpfInstruction>& code) {
  TIARA_TRY(const std::vector<Relocation> relocations, elf.relocations_of(function.section));
  for (const Relocation& relocation : relocations) {
    if (relocation.offset < function.value || relocation.offset - function.value >= code.size() * 8)
      continue;
    BpfInstruction& instruction = code[(relocation.offset - function.value) / 8];
    const Symbol& symbol = elf.symbols()[relocation.symbol];
    instruction.is_relocated = true;
    instruction.is_symbol_defined = symbol.section != 0;
    instruction.symbol = symbol.name;
    if (symbol.type == kSymbolSection && symbol.section < elf.sections().size())
      instruction.symbol = elf.sections()[symbol.section].name;
  }
  return {};
}

}  // namespace

Result<Object> load_object(const ElfFile& elf) {
  const Section* const declarations = elf.find_section(".tiara.meta");
  if (declarations == nullptr)
    return refused(
        "no operator is declared; include tiara_op.h and write TIARA_OPERATOR(name, version)");
  Object object;
  TIARA_TRY(object.header, read_declarations(declarations->data));
  const Symbol* const function = find_function(elf, object.header.name);
  if (function == nullptr)
    return refused("there is no function " + object.header.name +
                   "; the operator's function has its name and is not static");
  const Section& section = elf.sections()[function->section];
  const auto code = slice(section.data, function->value, function->bytes);
  if (!code || code->size() % 8 != 0 || function->value % 8 != 0 || code->empty())
    return fail(ErrorCode::kInvalidInput,
                "malformed ELF object: the function lies outside its section");
  if (code->size() / 8 > kMaxBpfSlots)
    return refused("operator " + object.header.name + ": the code is too long");
  TIARA_TRY(const LineTable lines, LineTable::read(elf, section.name));
  TIARA_TRY(object.code, decode(*code, function->value, lines));
  TIARA_TRY_VOID(resolve_symbols(elf, *function, object.code));
  return object;
}

}  // namespace tiara::nic::cc
