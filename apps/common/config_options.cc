#include "apps/common/config_options.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <filesystem>

namespace tiara::apps {
namespace {

struct ConfigOption {
  const char* name;
  const char* variable;  // the runtime's name for it: parsing and its errors are Config's own
  const char* value;
  const char* help;
};

constexpr ConfigOption kOptions[] = {
    {"local", "TIARA_LOCAL", "SIZE|N%",
     "how much memory may be here: bytes for all anonymous memory of a process, or a share of the "
     "most far memory "
     "it has had (default 50%)"},
    {"node", "TIARA_NODE", "URL",
     "where far pages go: loop: (a pool in the program itself, default), shm://PATH, "
     "tcp://HOST:PORT or rdma://ADDRESS:PORT"},
    {"pool", "TIARA_POOL", "SIZE",
     "size of the embedded pool of loop: (default: most of the available memory)"},
    {"fault", "TIARA_FAULT", "MODE", "how faults are delivered: auto (default), signal or message"},
    {"evict-with", "TIARA_EVICT_WITH", "HOW", "how pages leave: auto (default), move or copy"},
    {"evict-on", "TIARA_EVICT_ON", "WHERE",
     "who evicts: auto (default), fault (the faulting thread) or thread"},
    {"evict-cluster", "TIARA_EVICT_CLUSTER", "PAGES",
     "pages evicted in one step, 1 to 64 or a power of two up to 4096 (default: by the budget when copying, 16 "
     "when moving)"},
    {"policy", "TIARA_POLICY", "NAME", "what leaves first: clock (default), s3fifo or fifo"},
    {"readahead", "TIARA_READAHEAD", "on|off", "fetch ahead of sequential and strided streams (default on)"},
    {"heat", "TIARA_HEAT", "on|off", "keep pages that come back again and again (default off)"},
    {"second-chance", "TIARA_SECOND_CHANCE", "on|off", "take pages back from staging (default on)"},
    {"copy-sends", "TIARA_COPY_SENDS", "on|off",
     "copy short messages to the stack before they are sent, in signal mode (default on)"},
    {"clean-detection", "TIARA_CLEAN_DETECTION", "on|off",
     "do not write back what did not change (default on)"},
    {"zero-detection", "TIARA_ZERO_DETECTION", "on|off",
     "pages of zeros need no frame (default on)"},
    {"near", "TIARA_NEAR", "RULES", "what is never far, as in 'calloc>=1M' (docs/operating.md)"},
    {"fork", "TIARA_FORK", "clone|near",
     "what a forked child has: what was here at the fork (near, default), or a copy of all (clone)"},
    {"raw-syscalls", "TIARA_RAW_SYSCALLS", "WHAT",
     "system-call instructions outside libc in signal mode: dispatch (default), refuse or ignore"},
    {"children", "TIARA_CHILDREN", "far|near",
     "do child programs get far memory too (default far)"},
    {"token-file", "TIARA_TOKEN_FILE", "FILE",
     "file with the token that the node asks for (default: the variable TIARA_TOKEN, or none)"},
    {"node-timeout", "TIARA_NODE_TIMEOUT_MS", "TIME",
     "a node that does not answer for this long is lost, as in 500ms or 30s (default 30s)"},
    {"inject", "TIARA_INJECT", "PLAN",
     "for tests: make the link to the node worse, as in 'one_way=5us,corrupt=0.001,seed=7' "
     "(docs/operating.md)"},
    {"chaos", "TIARA_CHAOS", "SEED",
     "for tests: take pages away at random moments; 0 = off (default)"},
};

// Config::from_environment takes a plain function: these are what it sees while one thread parses
// its command line.
const char* looked_up_variable = nullptr;
const char* looked_up_value = nullptr;

Result<Config> parse_one(const ConfigOption& option, const std::string& text) {
  looked_up_variable = option.variable;
  looked_up_value = text.c_str();
  auto config = Config::from_environment([](const char* name) {
    return std::string_view(name) == looked_up_variable ? looked_up_value : nullptr;
  });
  if (config) return config;
  // "TIARA_FAULT=x is malformed; ..." -> "--fault x is malformed; ..."
  const std::string prefix = fmt::format("{}=", option.variable);
  std::string message = config.error().message;
  if (message.starts_with(prefix))
    message = fmt::format("--{} {}", option.name, message.substr(prefix.size()));
  return fail(ErrorCode::kInvalidInput, std::move(message));
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
  if (error == std::errc{} && std::isfinite(number) && number >= 0 && number < 1e9 &&
      (unit == "s" || unit == "ms"))
    return std::chrono::milliseconds(std::llround(unit == "s" ? number * 1000 : number));
  return fail(ErrorCode::kInvalidInput, fmt::format("'{}' is not a time; use 500ms or 30s", text));
}

void ConfigOptions::add_to(CommandLine& app, Budget budget) {
  for (const auto& option : kOptions) {
    const std::string name = option.name;
    if (name == "local" && budget == Budget::kLeaveOut) continue;
    app.add_option(("--" + name).c_str(), values_[name], option.help)->option_text(option.value);
  }
}

Result<Config> ConfigOptions::config() const {
  Config config;
  config.local.fraction = 0.5;
  std::map<std::string, std::string> variables;
  for (const auto& option : kOptions) {
    const auto value = values_.find(option.name);
    if (value == values_.end() || !value->second) continue;
    std::string text = *value->second;
    if (text.empty())
      return fail(ErrorCode::kInvalidInput,
                  fmt::format("--{} is empty; give {}", option.name, option.value));
    if (std::string_view(option.name) == "node-timeout") {
      auto timeout = parse_duration(text);
      if (!timeout)
        return fail(ErrorCode::kInvalidInput, "--node-timeout: " + timeout.error().message);
      text = std::to_string(timeout->count());
    }
    // Programs change their folder, and their children read the file again.
    if (std::string_view(option.name) == "token-file") text = std::filesystem::absolute(text).string();
    TIARA_TRY(const Config one, parse_one(option, text));
    variables[option.variable] = text;
  }
  if (variables.empty()) return config;
  static std::map<std::string, std::string>* all;
  all = &variables;
  TIARA_TRY(Config parsed, Config::from_environment([](const char* name) -> const char* {
              const auto found = all->find(name);
              return found == all->end() ? nullptr : found->second.c_str();
            }));
  if (!parsed.local.bytes && !parsed.local.fraction) parsed.local = config.local;
  return parsed;
}

}  // namespace tiara::apps
