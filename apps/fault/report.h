// From the outcomes to a table, ratios, JSON and a picture.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/fault/trial.h"

namespace tiara::apps::fault {

struct Report {
  std::vector<Outcome> outcomes;
  nlohmann::json config;
  uint64_t wrong_words() const;
  bool has_failures() const;  // something that should have run did not
};

// The named ratios of the fault issue; null where a side of one was not measured.
nlohmann::json ratios(const Report& report);
nlohmann::json to_json(const Report& report);
std::string to_table(const Report& report);
Result<void> plot(const Report& report, const std::string& svg_path);

}  // namespace tiara::apps::fault
