#include "runtime/placement/rules.h"

#include <algorithm>

#include "runtime/base/config.h"

namespace tiara::placement {
namespace {

std::unexpected<Error> malformed(std::string_view rule, std::string_view why) {
  return fail(ErrorCode::kInvalidInput,
              "near rule '" + std::string(rule) + "' " + std::string(why) +
                  "; use size<SIZE, size>=SIZE, calloc>=SIZE, mmap>=SIZE or caller=LIBRARY, separated by commas");
}

Result<void> parse_rule(std::string_view rule, Rules& rules) {
  const auto size_after = [&](std::string_view prefix) -> Result<size_t> {
    auto bytes = parse_bytes(rule.substr(prefix.size()));
    if (!bytes) return malformed(rule, "has no size");
    return static_cast<size_t>(bytes->value);
  };
  if (rule.starts_with("caller=")) {
    const std::string_view name = rule.substr(7);
    if (name.empty() || name.find('/') != std::string_view::npos) return malformed(rule, "names no library");
    rules.near_callers.emplace_back(name);
    return {};
  }
  if (rule.starts_with("size<")) {
    TIARA_TRY(const size_t size, size_after("size<"));
    rules.near_below = std::max(rules.near_below, size);
    return {};
  }
  struct Lower {
    std::string_view prefix;
    size_t& bound;
  };
  for (const auto& [prefix, bound] : {Lower{"size>=", rules.near_from}, Lower{"calloc>=", rules.near_calloc_from},
                                      Lower{"mmap>=", rules.near_mmap_from}}) {
    if (!rule.starts_with(prefix)) continue;
    TIARA_TRY(const size_t size, size_after(prefix));
    bound = std::min(bound, size);
    return {};
  }
  return malformed(rule, "is not known");
}

}  // namespace

Result<Rules> Rules::parse(std::string_view text) {
  Rules rules;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    TIARA_TRY_VOID(parse_rule(text.substr(0, comma), rules));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return rules;
}

}  // namespace tiara::placement
