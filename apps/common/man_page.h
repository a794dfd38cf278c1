// Man pages, made from the same definitions as `--help`: `tiara COMMAND --man` prints one, the
// build installs them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "apps/common/command.h"

namespace tiara::apps {

struct ManPage {
  struct Entry {
    std::string names;  // "-o,--output"; empty for an argument by position
    std::string value;  // "FILE"; empty for a flag
    std::string help;
  };
  std::string name;         // "tiara run"
  std::string description;  // sentences; a line that begins with two blanks shows how to call it
  std::vector<Entry> entries;
};

// man(7), for groff.
std::string to_roff(const ManPage& page);
// The page of a command that only has commands of its own: "tiara", "tiara bench".
std::string to_roff(std::string_view program, std::string_view headline,
                    std::span<const Command> commands);

}  // namespace tiara::apps
