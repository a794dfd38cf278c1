// The way to rdma_server.h that a build without libibverbs has too, where it says so.
#pragma once

#include <memory>
#include <string_view>

#include "nic/node/server.h"

namespace tiara::nic {

Result<std::unique_ptr<NodeServer>> serve_rdma(std::string_view host_port, MemoryNode& node,
                                               const ServerConfig& config);

}  // namespace tiara::nic
