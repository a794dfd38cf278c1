#include "apps/common/preflight.h"

#include <fmt/core.h>

#include <algorithm>

#include "apps/common/command.h"
#include "nic/transport/connect.h"
#include "runtime/residency/far_space.h"
#include "runtime/residency/store.h"

namespace tiara::apps {
namespace {

// Waiting for a node before the program starts is waiting at a prompt: a node that is there answers
// in microseconds.
constexpr std::chrono::milliseconds kTryPatience{3'000};
// An RDMA connection is made by the kernels of both sides, in some ten steps.
constexpr std::chrono::milliseconds kRdmaTryPatience{20'000};
// A node with less than this cannot hold the tables and the first pages of any program worth
// starting.
constexpr Bytes kLeastRoom{1 * kMiB};

std::optional<Obstacle> check_node(const Config& config) {
  if (const auto plan = nic::parse_fault_plan(config.inject); !plan)
    return Obstacle{kExitUsage, "--inject: " + plan.error().message};
  if (config.node == "loop:") return std::nullopt;
  if (!config.node.starts_with("shm://") && !config.node.starts_with("tcp://") &&
      !config.node.starts_with("rdma://"))
    return Obstacle{
        kExitUsage,
        fmt::format("--node {}: no such transport; use loop:, shm://PATH, tcp://HOST:PORT or rdma://ADDRESS:PORT",
                    config.node)};
  nic::ConnectOptions options;
  options.node_timeout =
      std::min(config.node_timeout, config.node.starts_with("rdma://") ? kRdmaTryPatience : kTryPatience);
  auto token = residency::read_token(config);
  if (!token) return Obstacle{exit_status_of(token.error()), token.error().message};
  options.token = std::move(*token);
  const auto channel = nic::connect(config.node, options);
  const auto info =
      channel ? (*channel)->info() : Result<nic::NodeInfo>(std::unexpected(channel.error()));
  if (!info) {
    if (info.error().code == ErrorCode::kInvalidInput)
      return Obstacle{kExitUsage, fmt::format("--node {}: {}", config.node, info.error().message)};
    const ErrorCode code = info.error().code;
    const bool is_refusal = code == ErrorCode::kNoPermission || code == ErrorCode::kResourceExhausted;
    return Obstacle{is_refusal ? exit_status_of(info.error()) : kExitUnavailable, info.error().message};
  }
  if (info->pool - info->pool_used < kLeastRoom)
    return Obstacle{
        kExitNodeFull,
        fmt::format("--node {}: {} of {} are taken; start it with more --memory", config.node,
                    format_bytes(info->pool_used), format_bytes(info->pool))};
  return std::nullopt;
}

// May this user have the delivery mode that was asked for, and has the kernel what eviction needs?
std::optional<Obstacle> check_kernel(const Config& config) {
  const auto choice = residency::choose_for_kernel(config);
  if (choice) return std::nullopt;
  const ExitStatus status =
      choice.error().code == ErrorCode::kNoPermission ? kExitNoPermission : kExitOsError;
  return Obstacle{status, choice.error().message + " ('tiara doctor' tells more)"};
}

}  // namespace

std::optional<Obstacle> preflight(const Config& config) {
  if (auto obstacle = check_kernel(config)) return obstacle;
  return check_node(config);
}

}  // namespace tiara::apps
