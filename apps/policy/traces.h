// The page references that policies are judged on: of real programs, recorded by running them with next to no local
// memory (runtime/residency/page_trace.h), and of two patterns that need no program.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"

namespace tiara::apps::policy {

struct Trace {
  std::string name;
  std::string origin;  // how it was made, for the report
  std::vector<uint64_t> pages{};
  uint64_t records_lost = 0;  // arrivals beyond what the file could hold
};

enum class Size : uint8_t { kSmoke, kFull };

// Names for --traces: "memcached" (Zipf GETs), "sort", "sqlite", "scan", "mix".
std::vector<std::string_view> trace_names();
// Makes or records the trace; takes seconds to a minute. `watch` hears what is going on.
Result<Trace> make_trace(std::string_view name, Size size, const std::function<void(std::string)>& watch);
// A file of `tiara run --trace`.
Result<Trace> load_trace(const std::string& path);

}  // namespace tiara::apps::policy
