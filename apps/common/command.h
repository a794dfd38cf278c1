// What every subcommand of `tiara` is made of: a name, a line, and a main of its own.
//
// To add one: write `int NAME_main(int argc, char** argv)` (argv[0] is "tiara NAME", for messages),
// build its options with CommandLine, let it parse, and add one line to the table in
// apps/tiara/main.cc (or to apps/tiara/bench.cc for a benchmark).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/exit_status.h"

namespace tiara::apps {

struct Command {
  std::string_view name;
  std::string_view summary;            // one line, for the list of commands
  int (*main)(int argc, char** argv);  // returns the exit status
};

// Runs the command that argv[1] names; prints the list for --help; complains with kExitUsage
// otherwise. `program` is what has been typed so far ("tiara", "tiara bench").
int dispatch(std::string_view program, std::string_view headline, std::span<const Command> commands,
             int argc, char** argv);

// argv up to the first "--", and what stands behind it (the program to run, with its arguments).
struct SplitArguments {
  std::vector<char*> own;  // own[0] is argv[0]
  std::vector<std::string> program;
  bool has_separator = false;
};
SplitArguments split_at_separator(int argc, char** argv);

// Prints "tiara: LINE" on stderr and returns `status`.
int complain(ExitStatus status, std::string_view line);
// The same for a Result's error; the status follows from its code.
int complain(const Error& error);
ExitStatus exit_status_of(const Error& error);

}  // namespace tiara::apps
