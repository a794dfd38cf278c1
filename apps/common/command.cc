#include "apps/common/command.h"

#include <fmt/core.h>

#include <cstdio>

#include "apps/common/man_page.h"

namespace tiara::apps {

int complain(ExitStatus status, std::string_view line) {
  fmt::print(stderr, "tiara: {}\n", line);
  return status;
}

ExitStatus exit_status_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidInput: return kExitDataError;
    case ErrorCode::kRejected: return kExitFailure;
    case ErrorCode::kNotFound: return kExitDataError;
    case ErrorCode::kNoPermission: return kExitNoPermission;
    case ErrorCode::kUnsupported: return kExitFailure;
    case ErrorCode::kResourceExhausted: return kExitNodeFull;
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimedOut: return kExitUnavailable;
    case ErrorCode::kSystem: return kExitOsError;
  }
  return kExitBug;
}

int complain(const Error& error) {
  return complain(exit_status_of(error), error.message);
}

int dispatch(std::string_view program, std::string_view headline, std::span<const Command> commands,
             int argc, char** argv) {
  const std::string_view wanted = argc > 1 ? argv[1] : "";
  for (const auto& command : commands) {
    if (command.name != wanted) continue;
    std::string full_name = fmt::format("{} {}", program, command.name);
    std::vector<char*> rest{full_name.data()};
    rest.insert(rest.end(), argv + 2, argv + argc);
    rest.push_back(nullptr);
    return command.main(argc - 1, rest.data());
  }
  if (wanted == "--man") {
    fmt::print("{}", to_roff(program, headline, commands));
    return kExitOk;
  }
  if (!wanted.empty() && wanted != "--help" && wanted != "-h" && wanted != "help")
    return complain(kExitUsage, fmt::format("'{}' is not a {} command; '{} --help' lists them",
                                            wanted, program, program));
  FILE* const out = wanted.empty() ? stderr : stdout;
  fmt::print(out, "{}\n\nusage: {} COMMAND [options]\n\n", headline, program);
  for (const auto& command : commands)
    fmt::print(out, "  {:<11} {}\n", command.name, command.summary);
  fmt::print(out, "\n'{} COMMAND --help' explains one.\n", program);
  return wanted.empty() ? kExitUsage : kExitOk;
}

SplitArguments split_at_separator(int argc, char** argv) {
  SplitArguments split;
  for (int i = 0; i < argc; ++i) {
    if (!split.has_separator && std::string_view(argv[i]) == "--") {
      split.has_separator = true;
    } else if (split.has_separator) {
      split.program.emplace_back(argv[i]);
    } else {
      split.own.push_back(argv[i]);
    }
  }
  return split;
}

}  // namespace tiara::apps
