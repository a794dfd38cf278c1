// The options that make a runtime Config: the same names and meanings wherever a subcommand starts
// programs.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "apps/common/command_line.h"
#include "runtime/base/config.h"

namespace tiara::apps {

class ConfigOptions {
 public:
  enum class Budget { kOption, kLeaveOut };  // kLeaveOut: the subcommand has a --local of its own
  // Adds one option per field of Config (but stats_path, which is the command's own business).
  void add_to(CommandLine& app, Budget budget);
  // After the command line has been parsed: the Config, or an error that names the option and what
  // it accepts.
  Result<Config> config() const;

 private:
  std::map<std::string, std::optional<std::string>> values_;  // by name without dashes
};

// "500ms", "30s" -> a bound on waiting.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace tiara::apps
