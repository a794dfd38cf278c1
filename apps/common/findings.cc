#include "apps/common/findings.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace tiara::apps {
namespace {

std::string_view mark(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood: return "ok  ";
    case Verdict::kNote: return "note";
    case Verdict::kMissing: return "miss";
    case Verdict::kBlocks: return "STOP";
  }
  return "?";
}

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood: return "good";
    case Verdict::kNote: return "note";
    case Verdict::kMissing: return "missing";
    case Verdict::kBlocks: return "blocks";
  }
  return "unknown";
}

}  // namespace

bool blocks(const Findings& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& f) { return f.verdict == Verdict::kBlocks; });
}

std::string to_text(const Findings& findings) {
  std::string out, section;
  for (const auto& finding : findings) {
    if (finding.section != section) {
      section = finding.section;
      out += fmt::format("{}\n", section);
    }
    out += fmt::format("  [{}] {}: {}\n", mark(finding.verdict), finding.name, finding.text);
    if (!finding.cure.empty()) out += fmt::format("         -> {}\n", finding.cure);
  }
  return out;
}

std::string to_json_text(const Findings& findings) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& finding : findings)
    list.push_back({{"section", finding.section},
                    {"name", finding.name},
                    {"verdict", word(finding.verdict)},
                    {"text", finding.text},
                    {"cure", finding.cure}});
  return nlohmann::json{{"works", !blocks(findings)}, {"findings", std::move(list)}}.dump(2);
}

}  // namespace tiara::apps
