#include "nic/rtl/make_engine.h"

namespace tiara::nic::rtl {

Result<std::shared_ptr<NicEngine>> make_rtl_engine(const wire::NetworkAddress&) {
  return fail(ErrorCode::kUnsupported, "this build has no simulated NIC, because Verilator was not found; install the "
                                       "package verilator and build again");
}

}  // namespace tiara::nic::rtl
