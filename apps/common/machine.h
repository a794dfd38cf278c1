// What a figure was measured on: every result file says it.
#pragma once

#include <sys/types.h>
#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/units.h"

namespace tiara::apps {

// {"kernel", "machine", "cpu", "cpus", "memory_bytes", "commit", "build", "version"}
nlohmann::json describe_machine();

// Memory and CPU time of a process, from /proc. Zeros when it is gone.
struct ProcessUse {
  Bytes resident;            // VmRSS
  Bytes anonymous_resident;  // RssAnon: what a local budget bounds
  Bytes swapped;             // VmSwap
  std::chrono::milliseconds cpu_time{};
};
ProcessUse process_use(pid_t pid);

// "0,2-3" -> {0, 2, 3}
Result<std::vector<int>> parse_cpu_list(std::string_view text);

}  // namespace tiara::apps
