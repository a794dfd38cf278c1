#include "nic/cc/elf.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace tiara::nic::cc {
namespace {

constexpr uint64_t kHeaderBytes = 64;
constexpr uint64_t kSectionHeaderBytes = 64;
constexpr uint64_t kSymbolBytes = 24;
constexpr uint64_t kRelBytes = 16;
constexpr uint32_t kTypeSymbols = 2;
constexpr uint32_t kTypeNoBits = 8;
constexpr uint32_t kTypeRel = 9;
constexpr uint32_t kTypeRela = 4;
constexpr uint16_t kRelocatable = 1;
constexpr uint16_t kMachineBpf = 247;
// An operator has at most 4096 instructions: its object is some 100 KiB with debug information.
// More is refused before any of it is looked at.
constexpr uint64_t kMaxFileBytes = 64ull << 20;
constexpr uint64_t kMaxSections = 4096;
constexpr uint64_t kMaxSymbols = 1u << 16;

std::unexpected<Error> malformed(std::string what) {
  return fail(ErrorCode::kInvalidInput, "malformed ELF object: " + std::move(what));
}

Result<void> check_header(Bytes file) {
  constexpr std::array<unsigned char, 7> kIdent = {
      0x7f, 'E', 'L', 'F', 2, 1, 1};  // 64 bits, little-endian, version 1
  if (file.size() > kMaxFileBytes) return malformed("larger than 64 MiB");
  if (file.size() < kHeaderBytes || std::memcmp(file.data(), kIdent.data(), kIdent.size()) != 0)
    return fail(ErrorCode::kInvalidInput,
                "not a 64-bit little-endian ELF object; compile with clang -target bpf -c");
  if (number_at<uint16_t>(file, 18) != kMachineBpf || number_at<uint16_t>(file, 16) != kRelocatable)
    return fail(ErrorCode::kInvalidInput,
                "not a relocatable BPF object; compile with clang -target bpf -c");
  return {};
}

Result<std::vector<Section>> read_sections(Bytes file) {
  const uint64_t table = number_at<uint64_t>(file, 40);
  const uint64_t entry = number_at<uint16_t>(file, 58);
  const uint64_t count = number_at<uint16_t>(file, 60);
  const uint64_t names = number_at<uint16_t>(file, 62);
  if (count == 0 || count > kMaxSections || names >= count)
    return malformed("an impossible number of sections");
  if (entry != kSectionHeaderBytes) return malformed("section headers of an unknown size");
  const auto headers = slice(file, table, count * kSectionHeaderBytes);
  if (!headers) return malformed("the section headers lie outside the file");

  std::vector<Section> sections(count);
  std::vector<uint32_t> name_offsets(count);
  for (uint64_t i = 0; i < count; ++i) {
    const Bytes header = headers->subspan(i * kSectionHeaderBytes, kSectionHeaderBytes);
    Section& section = sections[i];
    name_offsets[i] = number_at<uint32_t>(header, 0);
    section.type = number_at<uint32_t>(header, 4);
    section.flags = number_at<uint64_t>(header, 8);
    section.link = number_at<uint32_t>(header, 40);
    section.info = number_at<uint32_t>(header, 44);
    section.entry_bytes = number_at<uint64_t>(header, 56);
    if (section.type == kTypeNoBits || section.type == 0) continue;
    const auto data = slice(file, number_at<uint64_t>(header, 24), number_at<uint64_t>(header, 32));
    if (!data) return malformed("section " + std::to_string(i) + " lies outside the file");
    section.data = *data;
  }
  for (uint64_t i = 0; i < count; ++i) {
    const auto name = string_at(sections[names].data, name_offsets[i]);
    if (!name) return malformed("section " + std::to_string(i) + " has no name");
    sections[i].name = *name;
  }
  return sections;
}

Result<std::vector<Symbol>> read_symbols(const std::vector<Section>& sections) {
  const auto table = std::find_if(sections.begin(), sections.end(),
                                  [](const Section& s) { return s.type == kTypeSymbols; });
  if (table == sections.end()) return malformed("no symbols");
  const uint64_t count = table->data.size() / kSymbolBytes;
  if (table->data.size() % kSymbolBytes != 0 || count > kMaxSymbols)
    return malformed("a symbol table of an odd size");
  if (table->link >= sections.size()) return malformed("the symbols' names are missing");
  const Bytes names = sections[table->link].data;
  std::vector<Symbol> symbols(count);
  for (uint64_t i = 0; i < count; ++i) {
    const Bytes entry = table->data.subspan(i * kSymbolBytes, kSymbolBytes);
    const auto name = string_at(names, number_at<uint32_t>(entry, 0));
    if (!name) return malformed("symbol " + std::to_string(i) + " has no name");
    const auto information = number_at<uint8_t>(entry, 4);
    symbols[i] = {.name = *name,
                  .type = static_cast<uint8_t>(information & 15),
                  .is_global = information >> 4 != 0,
                  .section = number_at<uint16_t>(entry, 6),
                  .value = number_at<uint64_t>(entry, 8),
                  .bytes = number_at<uint64_t>(entry, 16)};
    constexpr uint32_t kReserved = 0xff00;
    if (symbols[i].section >= sections.size() && symbols[i].section < kReserved)
      return malformed("symbol " + std::string(*name) + " lies in a section that does not exist");
  }
  return symbols;
}

}  // namespace

Result<ElfFile> ElfFile::parse(Bytes file) {
  TIARA_TRY_VOID(check_header(file));
  ElfFile elf;
  TIARA_TRY(elf.sections_, read_sections(file));
  TIARA_TRY(elf.symbols_, read_symbols(elf.sections_));
  return elf;
}

const Section* ElfFile::find_section(std::string_view name) const {
  const auto found = std::find_if(sections_.begin(), sections_.end(),
                                  [&](const Section& s) { return s.name == name; });
  return found == sections_.end() ? nullptr : &*found;
}

Result<std::vector<Relocation>> ElfFile::relocations_of(uint32_t section) const {
  std::vector<Relocation> relocations;
  for (const Section& table : sections_) {
    if ((table.type != kTypeRel && table.type != kTypeRela) || table.info != section) continue;
    if (table.type == kTypeRela || table.data.size() % kRelBytes != 0)
      return malformed("relocations of a kind that BPF objects do not have");
    for (uint64_t at = 0; at < table.data.size(); at += kRelBytes) {
      const auto information = number_at<uint64_t>(table.data, at + 8);
      const Relocation relocation{.offset = number_at<uint64_t>(table.data, at),
                                  .type = static_cast<uint32_t>(information),
                                  .symbol = static_cast<uint32_t>(information >> 32)};
      if (relocation.symbol >= symbols_.size() ||
          relocation.offset >= sections_[section].data.size())
        return malformed("a relocation leaves its section or names no symbol");
      relocations.push_back(relocation);
    }
  }
  return relocations;
}

}  // namespace tiara::nic::cc
