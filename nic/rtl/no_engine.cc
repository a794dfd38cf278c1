#include "nic/rtl/make_engine.h"

namespace tiara::nic::rtl {

Result<std::shared_ptr<NicEngine>> make_rtl_engine(const wire::NetworkAddress&) {
  return fail(ErrorCode::kUnsupported,
              "this build has no simulated NIC, because Verilator was not found or -Drtl=disabled was asked for; "
              "install the package verilator and build with -Drtl=enabled");
}

}  // namespace tiara::nic::rtl
