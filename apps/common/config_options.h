// The options that make a runtime Config: the same names and meanings wherever a subcommand starts
// programs.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "runtime/base/config.h"

namespace CLI {
class App;
}

namespace tiara::apps {

class ConfigOptions {
 public:
  enum class Budget { kOption, kLeaveOut };  // kLeaveOut: the subcommand has a --local of its own
  // Adds one option per field of Config (but stats_path, which is the command's own business).
  void add_to(CLI::App& app, Budget budget);
  // After the App has parsed: the Config, or an error that names the option and what it accepts.
  Result<Config> config() const;

 private:
  std::map<std::string, std::string> values_;  // option name without dashes -> text
};

// "500ms", "30s" -> a bound on waiting.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace tiara::apps
