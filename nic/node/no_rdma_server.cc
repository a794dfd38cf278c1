#include "nic/node/rdma_serve.h"

namespace tiara::nic {

Result<std::unique_ptr<NodeServer>> serve_rdma(std::string_view, MemoryNode&, const ServerConfig&) {
  return fail(ErrorCode::kUnsupported,
              "this tiara was built without RDMA; install libibverbs-dev and librdmacm-dev and build it again");
}

}  // namespace tiara::nic
