#include "nic/cc/line_table.h"

#include <algorithm>

namespace tiara::nic::cc {
namespace {

constexpr uint16_t kBtfMagic = 0xeb9f;
constexpr uint32_t kMinRecordBytes =
    16;  // instruction, file, line text, line and column; newer ones may be longer
constexpr uint32_t kColumnBits = 10;

std::unexpected<Error> malformed_section(std::string_view section) {
  return fail(ErrorCode::kInvalidInput, "malformed debug information in " + std::string(section) +
                                            "; compile without -g, or with a clang from 14 on");
}

// The bytes behind a BTF header that starts like all of them: magic, version, flags, header length.
std::optional<Bytes> behind_header(Bytes section) {
  if (section.size() < 24 || number_at<uint16_t>(section, 0) != kBtfMagic) return std::nullopt;
  const auto length = number_at<uint32_t>(section, 4);
  if (length < 24 || length > section.size()) return std::nullopt;
  return section.subspan(length);
}

}  // namespace

std::string to_string(const Place& place) {
  if (place.line == 0) return {};
  std::string text(place.file);
  text += ":" + std::to_string(place.line);
  if (place.column != 0) text += ":" + std::to_string(place.column);
  return text;
}

Result<LineTable> LineTable::read(const ElfFile& elf, std::string_view section) {
  LineTable table;
  const Section* const btf = elf.find_section(".BTF");
  const Section* const ext = elf.find_section(".BTF.ext");
  if (btf == nullptr || ext == nullptr) return table;
  const auto btf_body = behind_header(btf->data);
  if (!btf_body) return malformed_section(".BTF");
  const auto strings =
      slice(*btf_body, number_at<uint32_t>(btf->data, 16), number_at<uint32_t>(btf->data, 20));
  if (!strings) return malformed_section(".BTF");
  const auto ext_body = behind_header(ext->data);
  if (!ext_body) return malformed_section(".BTF.ext");
  auto lines =
      slice(*ext_body, number_at<uint32_t>(ext->data, 16), number_at<uint32_t>(ext->data, 20));
  if (!lines) return malformed_section(".BTF.ext");
  if (lines->empty()) return table;
  const auto record_bytes = number_at<uint32_t>(*lines, 0);
  if (lines->size() < 4 || record_bytes < kMinRecordBytes) return malformed_section(".BTF.ext");

  // Blocks, one a section: name, count, records.
  for (uint64_t at = 4; at < lines->size();) {
    if (lines->size() - at < 8) return malformed_section(".BTF.ext");
    const auto name = string_at(*strings, number_at<uint32_t>(*lines, at));
    const uint64_t count = number_at<uint32_t>(*lines, at + 4);
    const auto records = slice(*lines, at + 8, count * record_bytes);
    if (!name || !records) return malformed_section(".BTF.ext");
    at += 8 + records->size();
    if (*name != section) continue;
    for (uint64_t i = 0; i < count; ++i) {
      const Bytes record = records->subspan(i * record_bytes, record_bytes);
      const auto file = string_at(*strings, number_at<uint32_t>(record, 4));
      if (!file) return malformed_section(".BTF.ext");
      const auto packed = number_at<uint32_t>(record, 12);
      table.records_.push_back({.offset = number_at<uint32_t>(record, 0),
                                .place = {.file = *file,
                                          .line = packed >> kColumnBits,
                                          .column = packed & ((1u << kColumnBits) - 1)}});
    }
  }
  std::stable_sort(table.records_.begin(), table.records_.end(),
                   [](const Record& a, const Record& b) { return a.offset < b.offset; });
  return table;
}

Place LineTable::at(uint64_t offset) const {
  const auto after =
      std::upper_bound(records_.begin(), records_.end(), offset,
                       [](uint64_t value, const Record& record) { return value < record.offset; });
  return after == records_.begin() ? Place{} : std::prev(after)->place;
}

}  // namespace tiara::nic::cc
