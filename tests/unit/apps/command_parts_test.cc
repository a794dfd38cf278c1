#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "apps/common/child.h"
#include "apps/common/command.h"
#include "apps/common/config_options.h"
#include "apps/common/latency.h"
#include "apps/common/machine.h"
#include "apps/common/program.h"
#include "apps/common/stats_report.h"

namespace tiara::apps {
namespace {

using std::chrono::milliseconds;

Result<Config> config_from(std::vector<std::string> arguments) {
  CommandLine app;
  ConfigOptions options;
  options.add_to(app, ConfigOptions::Budget::kOption);
  std::vector<char*> argv{const_cast<char*>("test")};
  for (auto& argument : arguments) argv.push_back(argument.data());
  REQUIRE_FALSE(app.parse(static_cast<int>(argv.size()), argv.data()));
  return options.config();
}

}  // namespace

TEST_CASE("options become the Config that the runtime gets") {
  const auto config = config_from({"--local", "64M", "--fault", "signal", "--second-chance", "off",
                                   "--evict-cluster", "8", "--node-timeout", "1.5s", "--children",
                                   "near", "--chaos", "7", "--pool", "2G", "--heat", "off"});
  REQUIRE(config);
  CHECK(config->local.bytes == Bytes{64 * kMiB});
  CHECK(config->fault == FaultMode::kSignal);
  CHECK_FALSE(config->second_chance);
  CHECK_FALSE(config->heat);
  CHECK(config->evict_cluster == 8);
  CHECK(config->node_timeout == milliseconds(1500));
  CHECK(config->children == Children::kNear);
  CHECK(config->chaos_seed == 7);
  CHECK(config->pool == Bytes{2 * kGiB});
}

TEST_CASE("without --local half of the peak stays here") {
  CHECK(config_from({})->local.fraction == 0.5);
  CHECK(config_from({"--fault", "message"})->local.fraction == 0.5);
}

TEST_CASE("a malformed option is an error that names the option") {
  for (const auto& [name, value] : {std::pair<const char*, const char*>{"--fault", "fast"},
                                    {"--local", "0"},
                                    {"--local", "120%"},
                                    {"--evict-cluster", "65"},
                                    {"--evict-cluster", "8192"},
                                    {"--pool", "many"},
                                    {"--node-timeout", "5"},
                                    {"--clean-detection", "maybe"},
                                    {"--children", "x"}}) {
    const auto config = config_from({name, value});
    REQUIRE_FALSE(config);
    INFO(config.error().message);
    CHECK(config.error().message.find(name) == 0);
  }
}

TEST_CASE("durations need a unit") {
  CHECK(*parse_duration("30s") == milliseconds(30'000));
  CHECK(*parse_duration("500ms") == milliseconds(500));
  for (const char* bad : {"", "5", "s", "5m", "-1s", "nan s", "1e99s"})
    CHECK_FALSE(parse_duration(bad));
}

TEST_CASE("what stands behind -- belongs to the program") {
  std::string words[] = {"tiara run", "--local", "1M", "--", "prog", "--local", "--", "x"};
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  const auto split = split_at_separator(static_cast<int>(argv.size()), argv.data());
  CHECK(split.own.size() == 3);
  CHECK(split.program == std::vector<std::string>{"prog", "--local", "--", "x"});
}

TEST_CASE("CPU lists") {
  CHECK(*parse_cpu_list("0") == std::vector<int>{0});
  CHECK(*parse_cpu_list("0,2-4") == std::vector<int>{0, 2, 3, 4});
  for (const char* bad : {"", "a", "1-", "3-1", "1,", "1,,2", "-1", "99999"})
    CHECK_FALSE(parse_cpu_list(bad));
}

TEST_CASE("a latency quantile is off by less than one percent") {
  LatencyHistogram latency;
  for (uint64_t value = 1; value <= 100'000; ++value) latency.record(value);
  for (const double q : {0.01, 0.5, 0.99, 0.999}) {
    const double exact = q * 100'000;
    CHECK(static_cast<double>(latency.quantile(q)) >= exact);
    CHECK(static_cast<double>(latency.quantile(q)) <= exact * 1.009);
  }
  CHECK(latency.quantile(1) >= latency.max());
  CHECK(LatencyHistogram().quantile(0.5) == 0);
}

TEST_CASE("a child's status is what a shell would say") {
  auto child = Child::spawn({.path = "/bin/sh", .arguments = {"sh", "-c", "exit 7"}});
  REQUIRE(child);
  const auto exit = child->wait_for(milliseconds(60'000));
  REQUIRE(exit);
  CHECK(exit->shell_status() == 7);
  auto killed = Child::spawn({.path = "/bin/sh", .arguments = {"sh", "-c", "kill -9 $$"}});
  REQUIRE(killed);
  CHECK(killed->wait_for(milliseconds(60'000))->shell_status() == 128 + SIGKILL);
}

TEST_CASE("a program that cannot be executed is an error of ours") {
  CHECK_FALSE(Child::spawn({.path = "/nonexistent", .arguments = {"x"}}));
  CHECK_FALSE(
      Child::spawn({.path = "/bin/true", .arguments = {"x"}, .cgroup_procs = "/nonexistent"}));
}

TEST_CASE("a child is stopped even when it ignores SIGTERM, and never outlives its owner") {
  auto stubborn = Child::spawn(
      {.path = "/bin/sh", .arguments = {"sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"}});
  REQUIRE(stubborn);
  CHECK_FALSE(stubborn->wait_for(milliseconds(0)));
  CHECK(stubborn->stop(milliseconds(100)).was_signalled());
  pid_t pid = 0;
  {
    auto owned = Child::spawn({.path = "/bin/sleep", .arguments = {"sleep", "60"}});
    REQUIRE(owned);
    pid = owned->pid();
  }
  CHECK(kill(pid, 0) != 0);
}

TEST_CASE("a child gets the environment on top of ours, each name once") {
  setenv("TIARA_TEST_NAME", "old", 1);
  auto child = Child::spawn(
      {.path = "/bin/sh",
       .arguments = {"sh", "-c",
                     "[ \"$TIARA_TEST_NAME\" = new ] && [ $(env | grep -c TIARA_TEST_NAME) = 1 ]"},
       .environment = {{"TIARA_TEST_NAME", "new"}}});
  REQUIRE(child);
  CHECK(child->wait_for(milliseconds(60'000))->shell_status() == 0);
}

TEST_CASE("programs are found as a shell would find them, with the reason when they are not") {
  const auto shell = find_program("sh");
  REQUIRE(shell);
  CHECK(shell->steps.back().elf.is_dynamic);
  CHECK_FALSE(obstacle_to_far_memory(*shell));
  CHECK(find_program("tiara-no-such-program").error().status == kExitNoProgram);
  CHECK(find_program("").error().status == kExitNoProgram);
  CHECK(find_program("/etc/passwd").error().status == kExitCannotExec);
  CHECK(find_program("/etc").error().status == kExitCannotExec);
}

TEST_CASE("statistics go from the shared page to JSON and summary, all of them") {
  auto file = StatsFile::create();
  REQUIRE(file);
  CHECK(summary(*file, 1).find("never started") != std::string::npos);
  file->page().processes_started = 2;
  for (int i = 0; i < 2; ++i) {
    auto& process = file->page().processes[static_cast<size_t>(i)];
    process.pid = 100 + i;
    process.counters.faults_remote = 1000;
    process.counters.far_pages_peak = 256;
    process.fault_latency.record(5000);
  }
  const auto json = to_json(*file);
  CHECK(json["processes"].size() == 2);
  CHECK(json["totals"]["faults_remote"] == 2000);
  CHECK(json["totals"]["fault_latency"]["count"] == 2);
  CHECK(json["units"]["fetched_bytes"] == "bytes");
  CHECK(json["units"].size() == all_statistics().size());
  const auto text = summary(*file, 1);
  CHECK(text.find("remote 2,000") != std::string::npos);
  CHECK(text.find("far 2.0 MiB at the peak") != std::string::npos);
}

TEST_CASE("text fields that another process left without an end do not run over") {
  auto file = StatsFile::create();
  REQUIRE(file);
  file->page().processes_started = 1;
  auto& process = file->page().processes[0];
  memset(process.command, 'x', sizeof process.command);
  memset(process.note, 'y', sizeof process.note);
  CHECK(to_json(*file)["processes"][0]["command"].get<std::string>().size() ==
        sizeof process.command);
}

}  // namespace tiara::apps
