#include "apps/common/machine_checks.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "apps/common/runtime_library.h"
#include "apps/common/zram_swap.h"
#include "fault-handler/kernel_features.h"
#include "runtime/base/config.h"
#include "runtime/residency/far_space.h"

namespace tiara::apps {
namespace {

// The runtime reserves address space, not memory: below this a program of a few gigabytes has no
// room.
constexpr Bytes kComfortableAddressSpace{64 * kGiB};
// memcached and the like map a few hundred regions; the runtime itself a few dozen.
constexpr uint64_t kComfortableMappings = 10'000;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

uint64_t number_in(const std::string& path) {
  return strtoull(first_line(path).c_str(), nullptr, 10);
}

Bytes available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("MemAvailable:"))
      return Bytes{strtoull(line.c_str() + 13, nullptr, 10) * kKiB};
  return {};
}

void check_address_space(Findings& findings) {
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) {
    findings.push_back({"limits", "address space", Verdict::kGood, "not limited (ulimit -v)", ""});
  } else if (Bytes{limit.rlim_cur} < kComfortableAddressSpace) {
    findings.push_back({"limits", "address space", Verdict::kMissing,
                        fmt::format("limited to {}: far memory cannot be larger than a part of it",
                                    format_bytes(Bytes{limit.rlim_cur})),
                        "raise it with 'ulimit -v unlimited' before the program starts"});
  } else {
    findings.push_back({"limits", "address space", Verdict::kGood,
                        fmt::format("limited to {}", format_bytes(Bytes{limit.rlim_cur})), ""});
  }
}

void check_overcommit(Findings& findings) {
  const uint64_t mode = number_in("/proc/sys/vm/overcommit_memory");
  if (mode == 2)
    findings.push_back({"limits", "overcommit", Verdict::kMissing,
                        "vm.overcommit_memory=2: large reservations count against the commit limit "
                        "and may be refused",
                        "sysctl vm.overcommit_memory=0"});
  else
    findings.push_back(
        {"limits", "overcommit", Verdict::kGood, fmt::format("vm.overcommit_memory={}", mode), ""});
  const uint64_t mappings = number_in("/proc/sys/vm/max_map_count");
  if (mappings < kComfortableMappings)
    findings.push_back({"limits", "mappings", Verdict::kMissing,
                        fmt::format("vm.max_map_count={}", mappings),
                        "sysctl vm.max_map_count=65530"});
}

void check_memory(Findings& findings) {
  const Bytes available = available_memory();
  findings.push_back(
      {"limits", "memory", available.value < 256 * kMiB ? Verdict::kMissing : Verdict::kGood,
       fmt::format("{} available for the embedded pool of --node loop:", format_bytes(available)),
       available.value < 256 * kMiB
           ? "use a memory node on a machine with memory, or free some here"
           : ""});
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  const std::string locked =
      limit.rlim_cur == RLIM_INFINITY ? "any amount" : format_bytes(Bytes{limit.rlim_cur});
  findings.push_back(
      {"limits", "locked memory", Verdict::kGood,
       fmt::format("a program may mlock {}; what it locks stays local and counts against --local",
                   locked),
       ""});
}

// The limit of this process's own memory cgroup, v1 or v2; nothing when there is none.
std::optional<Bytes> cgroup_limit() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string id, controllers, path;
    std::getline(fields, id, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    std::string text;
    if (controllers == "memory")
      text = first_line("/sys/fs/cgroup/memory" + path + "/memory.limit_in_bytes");
    if (controllers.empty()) text = first_line("/sys/fs/cgroup" + path + "/memory.max");
    const uint64_t value = strtoull(text.c_str(), nullptr, 10);
    if (value != 0 && value < (uint64_t{1} << 60)) return Bytes{value};
  }
  return std::nullopt;
}

void check_cgroup(Findings& findings) {
  if (const auto limit = cgroup_limit())
    findings.push_back(
        {"limits", "memory cgroup", Verdict::kNote,
         fmt::format("limited to {}; the embedded pool of --node loop: counts against it too",
                     format_bytes(*limit)),
         "use a memory node outside the cgroup, or raise its limit"});
  else
    findings.push_back({"limits", "memory cgroup", Verdict::kGood, "no limit", ""});
}

void check_kernel_paging(Findings& findings) {
  const std::string pages = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  findings.push_back({"limits", "transparent huge pages", Verdict::kGood,
                      fmt::format("{}; far memory uses base pages whatever this says",
                                  pages.empty() ? "not in this kernel" : pages),
                      ""});
  struct sysinfo info {};
  sysinfo(&info);
  if (info.totalswap > 0)
    findings.push_back({"limits", "kernel swap", Verdict::kNote,
                        fmt::format("{} on: the kernel may swap what Tiara keeps local, and "
                                    "--local then means less than it says",
                                    format_bytes(Bytes{uint64_t{info.totalswap} * info.mem_unit})),
                        "swapoff -a for clear figures"});
  else
    findings.push_back({"limits", "kernel swap", Verdict::kGood, "off", ""});
  if (number_in("/sys/kernel/mm/ksm/run") == 1)
    findings.push_back({"limits", "same-page merging", Verdict::kNote,
                        "KSM is on and spoils the accounting of merged pages",
                        "echo 0 > /sys/kernel/mm/ksm/run"});
}

std::string chosen_mode(const fault::Features& features) {
  if (features.has_hybrid_delivery)
    return "hybrid: each thread serves its own faults, and system calls may meet pages that are away";
  if (features.has_signal_delivery)
    return "signal: each thread serves its own faults, which is three to nine times faster";
  return "message: this kernel has no signal delivery";
}

// What `tiara run -- PROGRAM` would do with its defaults.
std::string plan_for(const std::string& path) {
  std::string how = "with far memory";
  if (const auto choice = residency::choose_for_kernel(Config{}))
    how = fmt::format("with {} delivery, pages leaving by {}",
                      choice->delivery == fault::Delivery::kSignal ? "signal" : "message",
                      choice->unmap_by == residency::UnmapBy::kMove ? "move" : "copy");
  return fmt::format(
      "would load libtiara.so into {} {}; its heap and anonymous memory may be far, half of the "
      "most it had stays here "
      "(--local), and the rest goes to a pool in the process (--node, --pool)",
      path, how);
}

}  // namespace

void check_kernel(Findings& findings) {
  struct utsname names {};
  uname(&names);
  findings.push_back(
      {"kernel", "Linux", Verdict::kGood, fmt::format("{} {}", names.release, names.machine), ""});
  const auto features = fault::probe_features();
  if (!features) {
    findings.push_back({"kernel", "userfaultfd", Verdict::kBlocks, features.error().message,
                        "run as root, or use Linux 5.11 or later built with CONFIG_USERFAULTFD, "
                        "without a seccomp filter on it"});
    return;
  }
  for (const auto& feature : features->list) {
    const Verdict verdict = feature.is_available                    ? Verdict::kGood
                            : feature.need == fault::Need::kRequired ? Verdict::kBlocks
                            : feature.need == fault::Need::kUseful   ? Verdict::kMissing
                                                                     : Verdict::kNote;
    findings.push_back({"kernel", feature.name, verdict,
                        fmt::format("{} ({})", feature.is_available ? "available" : "not available",
                                    feature.gives),
                        feature.cure});
  }
  if (!features->has_signal_delivery && !features->has_message_delivery) {
    findings.push_back({"kernel", "--fault auto", Verdict::kBlocks, "no delivery mode can be had",
                        "run as root, or set vm.unprivileged_userfaultfd=1"});
    return;
  }
  findings.push_back(
      {"kernel", "--fault auto", Verdict::kGood, "picks " + chosen_mode(*features), ""});
  if (const auto choice = residency::choose_for_kernel(Config{})) {
    const bool moves = choice->unmap_by == residency::UnmapBy::kMove;
    findings.push_back({"kernel", "--evict-with auto", Verdict::kGood,
                        moves ? "picks move: a page leaves without being copied, and pinned pages are safe"
                              : "picks copy: pages are protected, copied and dropped, with the fewest interrupts",
                        ""});
    const bool is_shadowed = choice->page_tables == fault::PageTables::kShadowed;
    findings.push_back({"kernel", "page tables", Verdict::kGood,
                        is_shadowed ? "shadowed by the hypervisor: a flush of the TLB is dear, so evictions are large"
                                    : "walked by the processor: a flush of the TLB is cheap, so evictions are small",
                        ""});
  }
  findings.push_back(
      {"kernel", "user", Verdict::kGood,
       fmt::format("{}; vm.unprivileged_userfaultfd={}; /dev/userfaultfd {}",
                   geteuid() == 0 ? "root" : fmt::format("user {}", geteuid()),
                   first_line("/proc/sys/vm/unprivileged_userfaultfd"),
                   access("/dev/userfaultfd", R_OK | W_OK) == 0 ? "accessible" : "not accessible"),
       ""});
}

void check_limits(Findings& findings) {
  check_memory(findings);
  check_cgroup(findings);
  check_address_space(findings);
  check_overcommit(findings);
  check_kernel_paging(findings);
}

void check_installation(Findings& findings) {
  if (const auto library = find_runtime_library())
    findings.push_back({"installation", "libtiara.so", Verdict::kGood, *library, ""});
  else
    findings.push_back(
        {"installation", "libtiara.so", Verdict::kBlocks, library.error().message, ""});
  if (const std::string reason = why_no_zram(); reason.empty())
    findings.push_back({"installation", "zram baseline", Verdict::kGood,
                        "'tiara bench' can compare with kernel swap to zram", ""});
  else
    findings.push_back({"installation", "zram baseline", Verdict::kMissing,
                        "'tiara bench' cannot compare with kernel swap: " + reason,
                        "run the benchmark as root; modprobe zram"});
}

void check_program(const std::string& name, Findings& findings) {
  const auto program = find_program(name);
  if (!program) {
    findings.push_back({"program", name, Verdict::kBlocks, program.error().line, ""});
    return;
  }
  for (const auto& step : program->steps)
    findings.push_back({"program", step.path, Verdict::kGood,
                        step.is_script ? "a script; its interpreter is " + step.script_interpreter
                        : step.elf.is_dynamic
                            ? "a dynamically linked program (" + step.elf.interpreter + ")"
                            : "a program without a dynamic linker",
                        ""});
  if (const auto obstacle = obstacle_to_far_memory(*program)) {
    const size_t cure = obstacle->line.rfind("; ");
    findings.push_back({"program", "far memory", Verdict::kBlocks, obstacle->line.substr(0, cure),
                        obstacle->line.substr(cure + 2)});
    return;
  }
  if (program->steps.back().elf.is_go)
    findings.push_back({"program", "Go runtime", Verdict::kMissing,
                        "a Go program maps its heap with system calls of its own, which cannot be "
                        "interposed: it runs, but near",
                        "only what its C libraries allocate can be far"});
  else
    findings.push_back({"program", "tiara run", Verdict::kGood, plan_for(program->path), ""});
}

}  // namespace tiara::apps
