#include "nic/asm/operands.h"

#include <array>
#include <string_view>

#include "runtime/base/check.h"

namespace tiara::nic::assembly {
namespace {

struct Spelling {
  std::string_view text;
  PieceKind kind;
};

// Longer spellings stand before their prefixes.
constexpr Spelling kSpellings[] = {
    {"rs1 + imm", PieceKind::kAddress},
    {"rs1 + displacement", PieceKind::kLineAddress},
    {"rs1 + rs2.bits(lsb,width) << scale", PieceKind::kIndexField},
    {"rd", PieceKind::kRd},
    {"rs1", PieceKind::kRs1},
    {"rs2", PieceKind::kRs2},
    {"rs3", PieceKind::kRs3},
    {"region", PieceKind::kRegion},
    {"imm", PieceKind::kImmediate},
    {"bytes", PieceKind::kImmediate},
    {"results", PieceKind::kImmediate},
    {"reason", PieceKind::kImmediate},
    {"lsb", PieceKind::kLsb},
    {"width", PieceKind::kWidth},
    {"bit", PieceKind::kBit},
    {"label", PieceKind::kLabel},
    {"pad", PieceKind::kPadOffset},
};

std::vector<Piece> split(const FormatInfo& format) {
  std::vector<Piece> pieces;
  bool has_region = false;
  for (std::string_view rest = format.operands; !rest.empty();) {
    if (rest[0] == ' ') {
      rest.remove_prefix(1);
      continue;
    }
    const Spelling* match = nullptr;
    for (const Spelling& spelling : kSpellings)
      if (match == nullptr && rest.starts_with(spelling.text)) match = &spelling;
    if (match == nullptr) {
      TIARA_CHECK(std::string_view(",[]@").find(rest[0]) != std::string_view::npos);
      pieces.push_back({PieceKind::kSymbol, rest[0]});
      rest.remove_prefix(1);
      continue;
    }
    PieceKind kind = match->kind;
    if (kind == PieceKind::kRegion && has_region) kind = PieceKind::kSourceRegion;
    if (kind == PieceKind::kRegion) has_region = true;
    if (kind == PieceKind::kImmediate && format.immediate == ImmediateUse::kCompareBranch)
      kind = PieceKind::kCompareValue;
    pieces.push_back({kind});
    rest.remove_prefix(match->text.size());
  }
  return pieces;
}

constexpr Format kAllFormats[] = {
#define TIARA_FORMAT(name, ...) Format::k##name,
    TIARA_FORMATS(TIARA_FORMAT)
#undef TIARA_FORMAT
};

}  // namespace

const std::vector<Piece>& pieces_of(Format format) {
  static const auto all = [] {
    std::array<std::vector<Piece>, std::size(kAllFormats)> pieces;
    for (const Format each : kAllFormats)
      if (each != Format::kLoop) pieces[static_cast<size_t>(each)] = split(info(each));
    return pieces;
  }();
  return all[static_cast<size_t>(format)];
}

}  // namespace tiara::nic::assembly
