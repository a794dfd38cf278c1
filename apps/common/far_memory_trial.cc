#include "apps/common/far_memory_trial.h"

#include <fmt/core.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <vector>

#include "apps/common/child.h"
#include "apps/common/runtime_library.h"
#include "apps/common/stats_report.h"
#include "runtime/base/exit_status.h"
#include "runtime/base/units.h"
#include "runtime/os/memory.h"

namespace tiara::apps {
namespace {

// Small enough to be over in a fraction of a second, large enough that most of it must be away.
constexpr uint64_t kTrialBlocks = 32, kBlockWords = kMiB / sizeof(uint64_t);
constexpr Bytes kTrialLocal{8 * kMiB}, kTrialPool{128 * kMiB};
// A machine that needs longer for 32 MiB cannot be used with far memory.
constexpr std::chrono::seconds kTrialLimit{60};
constexpr int kWrongBytes = 3;

uint64_t word_at(uint64_t block, uint64_t index) {
  return (block << 32 | index) * 0x9E3779B97F4A7C15;
}

struct Trial {
  FaultMode mode;
  const char* name;
  const char* cure;  // when it does not work
};

constexpr Trial kTrials[] = {
    {FaultMode::kSignal, "signal delivery",
     "the kernel section above says what is missing; run as root, or outside the container or "
     "seccomp filter that "
     "forbids userfaultfd"},
    {FaultMode::kMessage, "message delivery",
     "sysctl vm.unprivileged_userfaultfd=1, give this user /dev/userfaultfd, or run as root; "
     "--fault signal needs none "
     "of them"},
};

// The line in which the child said why it stopped.
std::string complaint_in(int file) {
  std::string text(4096, '\0');
  const ssize_t got = pread(file, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  const size_t at = text.find("tiara: ");
  return at == std::string::npos ? "" : text.substr(at + 7, text.find('\n', at) - at - 7);
}

// What came of one trial: an empty text is success, with the pages that came back in `fetched`.
Result<std::string> run_trial(const Trial& trial, const std::string& library, uint64_t& fetched) {
  TIARA_TRY(const StatsFile stats, StatsFile::create());
  TIARA_TRY(const UniqueFd output, os::create_memfd("tiara-trial-output", Bytes{0}));
  Config config;
  config.local.bytes = kTrialLocal;
  config.pool = kTrialPool;
  config.fault = trial.mode;
  config.stats_path = stats.path();
  TIARA_TRY(Child child, Child::spawn({.path = "/proc/self/exe",
                                       .arguments = {"tiara", "doctor", kTrialArgument},
                                       .environment = runtime_environment(config, library),
                                       .standard_output = output.get(),
                                       .standard_error = output.get(),
                                       .death_signal = SIGKILL}));
  const auto exit = child.wait_for(kTrialLimit);
  if (!exit) return fmt::format("a small program was not done after {} s", kTrialLimit.count());
  for (const auto& statistic : all_statistics())
    if (std::string_view(statistic.name) == "fetched_pages") fetched = total_of(stats, statistic);
  if (exit->shell_status() == kWrongBytes) return "a small program read other bytes than it wrote";
  if (exit->shell_status() != 0) {
    const std::string complaint = complaint_in(output.get());
    return fmt::format("a small program {}{}{}", exit->describe(), complaint.empty() ? "" : ": ",
                       complaint);
  }
  if (fetched == 0) return "a small program ran, but none of its pages went away and came back";
  return "";
}

}  // namespace

void try_far_memory(Findings& findings) {
  const auto library = find_runtime_library();
  if (!library) return;  // the installation section says so
  bool works = false;
  for (const Trial& trial : kTrials) {
    uint64_t fetched = 0;
    const auto problem = run_trial(trial, *library, fetched);
    if (problem && problem->empty()) {
      works = true;
      findings.push_back(
          {"trial", trial.name, Verdict::kGood,
           fmt::format(
               "a program with {} MiB in {}: {} pages went away and came back, all bytes right",
               kTrialBlocks, format_bytes(kTrialLocal), fetched),
           ""});
    } else {
      findings.push_back({"trial", trial.name, Verdict::kMissing,
                          problem ? *problem : problem.error().message, trial.cure});
    }
  }
  if (!works)
    findings.push_back({"trial", "far memory", Verdict::kBlocks, "neither delivery mode works here",
                        "do what the lines above say for one of them"});
}

int far_memory_trial_main() {
  std::vector<std::unique_ptr<uint64_t[]>> blocks;
  for (uint64_t block = 0; block < kTrialBlocks; ++block) {
    blocks.push_back(std::make_unique<uint64_t[]>(kBlockWords));
    for (uint64_t i = 0; i < kBlockWords; ++i) blocks.back()[i] = word_at(block, i);
  }
  for (int round = 0; round < 2; ++round)
    for (uint64_t block = 0; block < kTrialBlocks; ++block)
      for (uint64_t i = 0; i < kBlockWords; ++i)
        if (blocks[block][i] != word_at(block, i)) return kWrongBytes;
  return kExitOk;
}

}  // namespace tiara::apps
