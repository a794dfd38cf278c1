#include "runtime/base/config.h"

#include <map>

#include <catch2/catch.hpp>

using namespace tiara;

namespace {
std::map<std::string, std::string> environment;
const char* lookup(const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? nullptr : found->second.c_str();
}
}  // namespace

TEST_CASE("sizes are numbers with binary units") {
  CHECK(parse_bytes("65536")->value == 65536);
  CHECK(parse_bytes("512M")->value == 512 * kMiB);
  CHECK(parse_bytes("512MiB")->value == 512 * kMiB);
  CHECK(parse_bytes("1.5g")->value == 3 * kGiB / 2);
  for (const char* bad : {"", "M", "-1", "12X", "1MM", "nan", "inf", "1e30", "0x10", "5iB"})
    CHECK_FALSE(parse_bytes(bad));
}

TEST_CASE("a local budget is bytes or a share of the peak") {
  CHECK(parse_local_budget("64M")->bytes->value == 64 * kMiB);
  CHECK(*parse_local_budget("25%")->fraction == Approx(0.25));
  for (const char* bad : {"0", "0%", "101%", "%", "-5%", "ten"}) CHECK_FALSE(parse_local_budget(bad));
}

TEST_CASE("a configuration survives the way through the environment") {
  Config config;
  config.local.fraction = 0.3;
  config.node = "shm:///tmp/node.sock";
  config.pool = Bytes{3 * kGiB};
  config.fault = FaultMode::kSignal;
  config.evict_with = EvictWith::kCopy;
  config.evict_on = EvictOn::kDedicatedThread;
  config.evict_cluster = 4;
  config.heat = config.second_chance = config.copy_sends = config.clean_detection = config.zero_detection = false;
  config.near_rules = "calloc>=1M";
  config.children = Children::kNear;
  config.raw_syscalls = RawSyscalls::kRefuse;
  config.node_timeout = std::chrono::milliseconds(1500);
  config.chaos_seed = 7;
  config.stats_path = "/dev/shm/x";
  environment.clear();
  for (auto& [name, value] : config.to_environment()) environment[name] = value;
  const auto read = Config::from_environment(lookup);
  REQUIRE(read);
  CHECK(read->to_environment() == config.to_environment());
}

TEST_CASE("a malformed variable is refused by name") {
  environment = {{"TIARA_FAULT", "psychic"}};
  const auto read = Config::from_environment(lookup);
  REQUIRE_FALSE(read);
  CHECK(read.error().message == "TIARA_FAULT=psychic is malformed; use auto, message, signal, hybrid");
  environment = {{"TIARA_EVICT_CLUSTER", "65"}};
  CHECK_FALSE(Config::from_environment(lookup));
}
