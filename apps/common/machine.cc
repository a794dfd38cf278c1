#include "apps/common/machine.h"

#include <fmt/core.h>
#include <sched.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/common/commit.h"

namespace tiara::apps {
namespace {

// The text behind "NAME:" in a /proc file.
std::string proc_field(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(name)) continue;
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return {};
}

Bytes kilobytes_field(const std::string& path, std::string_view name) {
  return Bytes{strtoull(proc_field(path, name).c_str(), nullptr, 10) * kKiB};
}

}  // namespace

nlohmann::json describe_machine() {
  struct utsname names {};
  uname(&names);
  struct sysinfo info {};
  sysinfo(&info);
#ifdef NDEBUG
  constexpr const char* kBuild = "release";
#else
  constexpr const char* kBuild = "debugoptimized";
#endif
  return {{"kernel", names.release},
          {"machine", names.machine},
          {"cpu", proc_field("/proc/cpuinfo", "model name")},
          {"cpus", sysconf(_SC_NPROCESSORS_ONLN)},
          {"memory_bytes", uint64_t{info.totalram} * info.mem_unit},
          {"commit", TIARA_COMMIT},
          {"build", kBuild},
          {"version", TIARA_VERSION}};
}

ProcessUse process_use(pid_t pid) {
  const std::string status = fmt::format("/proc/{}/status", pid);
  ProcessUse use;
  use.resident = kilobytes_field(status, "VmRSS");
  use.anonymous_resident = kilobytes_field(status, "RssAnon");
  use.swapped = kilobytes_field(status, "VmSwap");
  // proc_pid_stat(5): utime and stime are the 12th and 13th field behind the command's closing
  // parenthesis.
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  const size_t close = line.rfind(')');
  unsigned long user = 0, system = 0;
  if (close != std::string::npos &&
      sscanf(line.c_str() + close + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
             &user, &system) == 2)
    use.cpu_time = std::chrono::milliseconds((user + system) * 1000 /
                                             static_cast<unsigned long>(sysconf(_SC_CLK_TCK)));
  return use;
}

Result<std::vector<int>> parse_cpu_list(std::string_view text) {
  const auto refuse = [&] {
    return fail(ErrorCode::kInvalidInput,
                fmt::format("'{}' is not a list of CPUs; use 0,2-3", text));
  };
  std::vector<int> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    int first = 0;
    auto parsed = std::from_chars(at, end, first);
    if (parsed.ec != std::errc{}) return refuse();
    int last = first;
    if (parsed.ptr != end && *parsed.ptr == '-')
      parsed = std::from_chars(parsed.ptr + 1, end, last);
    if (parsed.ec != std::errc{} || first < 0 || last < first || last >= CPU_SETSIZE)
      return refuse();
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    if (parsed.ptr == end) return cpus;
    if (*parsed.ptr != ',') return refuse();
    at = parsed.ptr + 1;
  }
}

}  // namespace tiara::apps
