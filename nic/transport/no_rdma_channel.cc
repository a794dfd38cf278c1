#include "nic/transport/rdma_connect.h"

namespace tiara::nic {

Result<std::unique_ptr<Channel>> connect_rdma(std::string_view, const ConnectOptions&) {
  return fail(ErrorCode::kUnsupported,
              "this tiara was built without RDMA; install libibverbs-dev and librdmacm-dev and build it again");
}

}  // namespace tiara::nic
