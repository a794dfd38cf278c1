#include "apps/common/node_config.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <sstream>

#include "nic/wire/control.h"
#include "runtime/base/config.h"

namespace tiara::apps {
namespace {

using nlohmann::json;

std::unexpected<Error> malformed(std::string_view where, std::string_view wanted) {
  return fail(ErrorCode::kInvalidInput, fmt::format("{}: expected {}", where, wanted));
}

Result<void> expect_members(const json& object, std::string_view where, std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return malformed(where, "an object");
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::find(known, name) != known.end()) continue;
    return malformed(fmt::format("{} has a member \"{}\"", where, name), fmt::format("{}", fmt::join(known, ", ")));
  }
  return {};
}

Result<std::string> text_of(const json& object, const char* name, std::string_view where) {
  const auto found = object.find(name);
  if (found == object.end()) return std::string();
  if (!found->is_string() || found->get<std::string>().empty())
    return malformed(fmt::format("{}, \"{}\"", where, name), "a text that is not empty");
  return found->get<std::string>();
}

Result<std::optional<uint32_t>> number_of(const json& object, const char* name, std::string_view where, uint32_t low,
                                          uint32_t high) {
  const auto found = object.find(name);
  if (found == object.end()) return std::nullopt;
  if (!found->is_number_unsigned() || found->get<uint64_t>() < low || found->get<uint64_t>() > high)
    return malformed(fmt::format("{}, \"{}\"", where, name), fmt::format("a whole number from {} to {}", low, high));
  return found->get<uint32_t>();
}

Result<std::optional<Bytes>> size_of(const json& object, const char* name, std::string_view where) {
  TIARA_TRY(const std::string text, text_of(object, name, where));
  if (text.empty()) return std::nullopt;
  const auto bytes = parse_bytes(text);
  if (!bytes || bytes->value == 0) return malformed(fmt::format("{}, \"{}\"", where, name), "a size, as in \"4G\"");
  return *bytes;
}

Result<std::string> token_of(const json& tenant, std::string_view where) {
  TIARA_TRY(const std::string file, text_of(tenant, "token_file", where));
  TIARA_TRY(const std::string variable, text_of(tenant, "token_env", where));
  if (file.empty() == variable.empty()) return malformed(where, "one of \"token_file\" and \"token_env\"");
  if (!file.empty()) return read_token_file(file);
  const char* const value = std::getenv(variable.c_str());
  if (value == nullptr || *value == 0)
    return fail(ErrorCode::kInvalidInput, fmt::format("{}: the environment has no {}", where, variable));
  return std::string(value);
}

Result<nic::TenantConfig> tenant_of(const json& tenant, size_t index) {
  const std::string where = fmt::format("tenant {}", index);
  TIARA_TRY_VOID(expect_members(tenant, where, {"name", "token_file", "token_env", "memory", "time_percent", "weight",
                                                "sessions", "shared"}));
  nic::TenantConfig made;
  TIARA_TRY(made.name, text_of(tenant, "name", where));
  if (made.name.empty()) return malformed(where, "a \"name\"");
  TIARA_TRY(made.token, token_of(tenant, where));
  TIARA_TRY(const auto memory, size_of(tenant, "memory", where));
  TIARA_TRY(const auto percent, number_of(tenant, "time_percent", where, 1, 10'000));
  TIARA_TRY(const auto weight, number_of(tenant, "weight", where, 1, 1000));
  TIARA_TRY(const auto sessions, number_of(tenant, "sessions", where, 1, 1'000'000));
  const auto shared = tenant.find("shared");
  if (shared != tenant.end() && !shared->is_boolean())
    return malformed(fmt::format("{}, \"shared\"", where), "true or false");
  made.memory = memory.value_or(Bytes{0});
  made.time_percent = percent.value_or(0);
  made.weight = weight.value_or(1);
  made.sessions = sessions.value_or(0);
  made.may_share = shared != tenant.end() && shared->get<bool>();
  return made;
}

}  // namespace

Result<std::string> read_token_file(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::unexpected(system_error("stat", path + ", a token file"));
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return fail(ErrorCode::kNoPermission, "others may use the token file " + path + "; chmod 600 it");
  std::ifstream file(path);
  std::string token;
  if (!std::getline(file, token) || token.empty() || token.size() > nic::wire::kMaxToken)
    return fail(ErrorCode::kInvalidInput, "the first line of " + path + " is no token: expected 1 to 256 bytes");
  return token;
}

Result<NodeFileConfig> parse_node_config(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) return fail(ErrorCode::kInvalidInput, "not JSON; see docs/operating.md for an example");
  constexpr std::string_view kWhere = "the configuration";
  TIARA_TRY_VOID(expect_members(document, kWhere, {"listen", "memory", "control", "admin_token_file", "metrics", "log",
                                                  "peer_token_file", "tenants"}));
  NodeFileConfig made;
  if (const auto listen = document.find("listen"); listen != document.end()) {
    if (!listen->is_array() || !std::ranges::all_of(*listen, [](const json& url) { return url.is_string(); }))
      return malformed("\"listen\"", "a list of URLs");
    made.listen = listen->get<std::vector<std::string>>();
  }
  TIARA_TRY(made.memory, size_of(document, "memory", kWhere));
  TIARA_TRY(made.control, text_of(document, "control", kWhere));
  TIARA_TRY(made.metrics, text_of(document, "metrics", kWhere));
  TIARA_TRY(made.log, text_of(document, "log", kWhere));
  if (!made.log.empty() && made.log != "text" && made.log != "json") return malformed("\"log\"", "text or json");
  TIARA_TRY(const std::string admin, text_of(document, "admin_token_file", kWhere));
  if (!admin.empty()) {
    TIARA_TRY(made.admin_token, read_token_file(admin));
  }
  TIARA_TRY(const std::string peers, text_of(document, "peer_token_file", kWhere));
  if (!peers.empty()) {
    TIARA_TRY(made.peer_token, read_token_file(peers));
  }
  if (const auto tenants = document.find("tenants"); tenants != document.end()) {
    if (!tenants->is_array() || tenants->empty()) return malformed("\"tenants\"", "a list with a tenant in it");
    for (const json& each : *tenants) {
      TIARA_TRY(auto tenant, tenant_of(each, made.tenants.size() + 1));
      made.tenants.push_back(std::move(tenant));
    }
  }
  return made;
}

Result<NodeFileConfig> read_node_config(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::unexpected(system_error("open", path));
  std::stringstream text;
  text << file.rdbuf();
  auto made = parse_node_config(text.str());
  if (!made) return fail(made.error().code, path + ": " + made.error().message);
  return made;
}

}  // namespace tiara::apps
