#include "apps/common/preflight.h"

#include <fmt/format.h>

#include "runtime/residency/far_space.h"

namespace tiara::apps {
namespace {

std::optional<Obstacle> check_node(const Config& config) {
  if (config.node == "loop:" || config.node.starts_with("shm://")) return std::nullopt;
  return Obstacle{kExitUsage, fmt::format("--node {}: no such transport; use loop: or shm://PATH", config.node)};
}

// May this user have the delivery mode that was asked for, and has the kernel what eviction needs?
std::optional<Obstacle> check_kernel(const Config& config) {
  const auto choice = residency::choose_for_kernel(config);
  if (choice) return std::nullopt;
  const ExitStatus status = choice.error().code == ErrorCode::kNoPermission ? kExitNoPermission : kExitOsError;
  return Obstacle{status, choice.error().message + " ('tiara doctor' tells more)"};
}

}  // namespace

std::optional<Obstacle> preflight(const Config& config) {
  if (auto obstacle = check_kernel(config)) return obstacle;
  return check_node(config);
}

}  // namespace tiara::apps
