// The way to rdma_channel.h that a build without libibverbs has too, where it says so.
#pragma once

#include <memory>
#include <string_view>

#include "nic/transport/channel.h"
#include "nic/transport/connect.h"

namespace tiara::nic {

Result<std::unique_ptr<Channel>> connect_rdma(std::string_view host_port, const ConnectOptions& options);

}  // namespace tiara::nic
