#include "apps/common/preflight.h"

#include <fmt/format.h>

namespace tiara::apps {
namespace {

std::optional<Obstacle> check_node(const Config& config) {
  if (config.node == "loop:" || config.node.starts_with("shm://")) return std::nullopt;
  return Obstacle{kExitUsage, fmt::format("--node {}: no such transport; use loop: or shm://PATH", config.node)};
}

}  // namespace

std::optional<Obstacle> preflight(const Config& config) { return check_node(config); }

}  // namespace tiara::apps
