#include "runtime/base/config.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace tiara {
namespace {

template <typename Enum>
struct Name {
  std::string_view text;
  Enum value;
};

constexpr Name<FaultMode> kFaultModes[] = {
    {"auto", FaultMode::kAuto}, {"message", FaultMode::kMessage}, {"signal", FaultMode::kSignal},
    {"hybrid", FaultMode::kHybrid}};
constexpr Name<EvictWith> kEvictWiths[] = {
    {"auto", EvictWith::kAuto}, {"move", EvictWith::kMove}, {"copy", EvictWith::kCopy}};
constexpr Name<EvictOn> kEvictOns[] = {{"auto", EvictOn::kAuto},
                                       {"fault", EvictOn::kFaultingThread},
                                       {"thread", EvictOn::kDedicatedThread}};
constexpr Name<EvictionPolicy> kPolicies[] = {
    {"fifo", EvictionPolicy::kFifo}, {"clock", EvictionPolicy::kClock}, {"s3fifo", EvictionPolicy::kS3Fifo}};
constexpr Name<ForkMode> kForkModes[] = {{"clone", ForkMode::kClone}, {"near", ForkMode::kNear}};
constexpr Name<Children> kChildren[] = {{"far", Children::kFar}, {"near", Children::kNear}};
constexpr Name<RawSyscalls> kRawSyscalls[] = {
    {"dispatch", RawSyscalls::kDispatch}, {"refuse", RawSyscalls::kRefuse}, {"ignore", RawSyscalls::kIgnore}};
constexpr Name<bool> kSwitches[] = {{"on", true}, {"off", false}};

std::unexpected<Error> malformed(std::string_view variable, std::string_view value, std::string_view accepted) {
  return fail(ErrorCode::kInvalidInput,
              std::string(variable) + "=" + std::string(value) + " is malformed; use " + std::string(accepted));
}

template <typename Enum, size_t N>
std::string_view name_of(const Name<Enum> (&names)[N], Enum value) {
  for (const auto& name : names)
    if (name.value == value) return name.text;
  return names[0].text;
}

template <typename Enum, size_t N>
Result<void> parse_name(const Name<Enum> (&names)[N], std::string_view variable, std::string_view text, Enum& out) {
  std::string accepted;
  for (const auto& name : names) {
    if (name.text == text) {
      out = name.value;
      return {};
    }
    accepted.append(accepted.empty() ? "" : ", ").append(name.text);
  }
  return malformed(variable, text, accepted);
}

Result<uint64_t> parse_count(std::string_view variable, std::string_view text, uint64_t low, uint64_t high) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high)
    return malformed(variable, text, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  return value;
}

std::string exact(Bytes bytes) { return std::to_string(bytes.value); }

}  // namespace

Result<Bytes> parse_bytes(std::string_view text) {
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view suffix(rest, static_cast<size_t>(text.data() + text.size() - rest));
  const auto refuse = [&] {
    return fail(
        ErrorCode::kInvalidInput,
        "'" + std::string(text) + "' is not a size; use a number with K, M, G or T, as in 512M");
  };
  if (error != std::errc{} || !std::isfinite(number) || number < 0) return refuse();
  uint64_t unit = 1;
  if (!suffix.empty()) {
    constexpr std::string_view kUnits = "KMGT";
    const size_t index = kUnits.find(static_cast<char>(suffix[0] & ~0x20));
    if (index != std::string_view::npos) {
      unit = uint64_t{1} << (10 * (index + 1));
      suffix.remove_prefix(1);
    }
    if (!suffix.empty() && suffix != "B" && !(unit > 1 && suffix == "iB")) return refuse();
  }
  const double bytes = number * static_cast<double>(unit);
  if (bytes > 0x1p60) return refuse();  // an exbibyte is more than any address space holds
  return Bytes{static_cast<uint64_t>(bytes)};
}

Result<LocalBudget> parse_local_budget(std::string_view text) {
  if (text.ends_with('%')) {
    double percent = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size() - 1, percent);
    if (error != std::errc{} || rest != text.data() + text.size() - 1 || !(percent > 0 && percent <= 100))
      return fail(ErrorCode::kInvalidInput,
                  "'" + std::string(text) + "' is not a share; use more than 0% and at most 100%");
    return LocalBudget{std::nullopt, percent / 100};
  }
  TIARA_TRY(const Bytes bytes, parse_bytes(text));
  if (bytes.value == 0)
    return fail(ErrorCode::kInvalidInput,
                "a local budget of 0 bytes cannot hold a page; use 1M or more");
  return LocalBudget{bytes, std::nullopt};
}

std::string format_bytes(Bytes bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes.value);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::vector<std::pair<std::string, std::string>> Config::to_environment() const {
  std::string budget;
  if (local.bytes) budget = exact(*local.bytes);
  if (local.fraction) {
    char percent[32];
    snprintf(percent, sizeof percent, "%.9g%%", *local.fraction * 100);
    budget = percent;
  }
  return {
      {"TIARA_LOCAL", budget},
      {"TIARA_NODE", node},
      {"TIARA_POOL", exact(pool)},
      {"TIARA_FAULT", std::string(name_of(kFaultModes, fault))},
      {"TIARA_EVICT_WITH", std::string(name_of(kEvictWiths, evict_with))},
      {"TIARA_EVICT_ON", std::string(name_of(kEvictOns, evict_on))},
      {"TIARA_EVICT_CLUSTER", std::to_string(evict_cluster)},
      {"TIARA_POLICY", std::string(name_of(kPolicies, policy))},
      {"TIARA_READAHEAD", std::string(name_of(kSwitches, readahead))},
      {"TIARA_HEAT", std::string(name_of(kSwitches, heat))},
      {"TIARA_SECOND_CHANCE", std::string(name_of(kSwitches, second_chance))},
      {"TIARA_COPY_SENDS", std::string(name_of(kSwitches, copy_sends))},
      {"TIARA_CLEAN_DETECTION", std::string(name_of(kSwitches, clean_detection))},
      {"TIARA_ZERO_DETECTION", std::string(name_of(kSwitches, zero_detection))},
      {"TIARA_NEAR", near_rules},
      {"TIARA_FORK", std::string(name_of(kForkModes, fork))},
      {"TIARA_CHILDREN", std::string(name_of(kChildren, children))},
      {"TIARA_RAW_SYSCALLS", std::string(name_of(kRawSyscalls, raw_syscalls))},
      {"TIARA_TOKEN_FILE", token_file},
      {"TIARA_NODE_TIMEOUT_MS", std::to_string(node_timeout.count())},
      {"TIARA_INJECT", inject},
      {"TIARA_CHAOS", std::to_string(chaos_seed)},
      {"TIARA_TRACE", trace_path},
      {"TIARA_STATS", stats_path},
  };
}

Result<Config> Config::from_environment(const char* (*lookup)(const char* name)) {
  Config config;
  const auto value_of = [&](const char* name) -> std::string_view {
    const char* value = lookup(name);
    return value != nullptr ? value : std::string_view{};
  };
  const auto is_set = [&](const char* name) { return !value_of(name).empty(); };

  if (is_set("TIARA_LOCAL")) {
    auto budget = parse_local_budget(value_of("TIARA_LOCAL"));
    if (!budget) return malformed("TIARA_LOCAL", value_of("TIARA_LOCAL"), "bytes (512M) or a share (25%)");
    config.local = *budget;
  }
  if (is_set("TIARA_NODE")) config.node = value_of("TIARA_NODE");
  if (is_set("TIARA_POOL")) {
    auto pool = parse_bytes(value_of("TIARA_POOL"));
    if (!pool) return malformed("TIARA_POOL", value_of("TIARA_POOL"), "bytes, as in 4G");
    config.pool = *pool;
  }
  if (is_set("TIARA_FAULT"))
    TIARA_TRY_VOID(parse_name(kFaultModes, "TIARA_FAULT", value_of("TIARA_FAULT"), config.fault));
  if (is_set("TIARA_EVICT_WITH"))
    TIARA_TRY_VOID(parse_name(kEvictWiths, "TIARA_EVICT_WITH", value_of("TIARA_EVICT_WITH"), config.evict_with));
  if (is_set("TIARA_EVICT_ON"))
    TIARA_TRY_VOID(parse_name(kEvictOns, "TIARA_EVICT_ON", value_of("TIARA_EVICT_ON"), config.evict_on));
  if (is_set("TIARA_EVICT_CLUSTER")) {
    constexpr uint64_t kMost = 4096;
    TIARA_TRY(const uint64_t cluster, parse_count("TIARA_EVICT_CLUSTER", value_of("TIARA_EVICT_CLUSTER"), 0, kMost));
    // Up to a bitmap's worth it is any number; beyond, aligned groups of such clusters are taken.
    if (cluster > 64 && !std::has_single_bit(cluster))
      return malformed("TIARA_EVICT_CLUSTER", value_of("TIARA_EVICT_CLUSTER"),
                       "1 to 64 pages, or a power of two up to 4096");
    config.evict_cluster = static_cast<uint32_t>(cluster);
  }
  if (is_set("TIARA_POLICY"))
    TIARA_TRY_VOID(parse_name(kPolicies, "TIARA_POLICY", value_of("TIARA_POLICY"), config.policy));
  for (const auto& [name, field] : {std::pair<const char*, bool*>{"TIARA_SECOND_CHANCE", &config.second_chance},
                                    {"TIARA_READAHEAD", &config.readahead},
                                    {"TIARA_HEAT", &config.heat},
                                    {"TIARA_COPY_SENDS", &config.copy_sends},
                                    {"TIARA_CLEAN_DETECTION", &config.clean_detection},
                                    {"TIARA_ZERO_DETECTION", &config.zero_detection}})
    if (is_set(name)) TIARA_TRY_VOID(parse_name(kSwitches, name, value_of(name), *field));
  if (is_set("TIARA_TOKEN_FILE")) config.token_file = value_of("TIARA_TOKEN_FILE");
  if (is_set("TIARA_NEAR")) config.near_rules = value_of("TIARA_NEAR");
  if (is_set("TIARA_FORK"))
    TIARA_TRY_VOID(parse_name(kForkModes, "TIARA_FORK", value_of("TIARA_FORK"), config.fork));
  if (is_set("TIARA_RAW_SYSCALLS"))
    TIARA_TRY_VOID(
        parse_name(kRawSyscalls, "TIARA_RAW_SYSCALLS", value_of("TIARA_RAW_SYSCALLS"), config.raw_syscalls));
  if (is_set("TIARA_CHILDREN"))
    TIARA_TRY_VOID(parse_name(kChildren, "TIARA_CHILDREN", value_of("TIARA_CHILDREN"), config.children));
  if (is_set("TIARA_NODE_TIMEOUT_MS")) {
    TIARA_TRY(const uint64_t ms, parse_count("TIARA_NODE_TIMEOUT_MS",
                                             value_of("TIARA_NODE_TIMEOUT_MS"), 100, 3'600'000));
    config.node_timeout = std::chrono::milliseconds(ms);
  }
  if (is_set("TIARA_INJECT")) config.inject = value_of("TIARA_INJECT");
  if (is_set("TIARA_CHAOS")) {
    TIARA_TRY(config.chaos_seed, parse_count("TIARA_CHAOS", value_of("TIARA_CHAOS"), 0, UINT64_MAX));
  }
  if (is_set("TIARA_TRACE")) config.trace_path = value_of("TIARA_TRACE");
  if (is_set("TIARA_STATS")) config.stats_path = value_of("TIARA_STATS");
  return config;
}

}  // namespace tiara
