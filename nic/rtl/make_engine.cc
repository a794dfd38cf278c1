#include "nic/rtl/make_engine.h"

#include "nic/rtl/rtl_engine.h"

namespace tiara::nic::rtl {

Result<std::shared_ptr<NicEngine>> make_rtl_engine(const wire::NetworkAddress& address) {
  return std::make_shared<RtlEngine>(kNodeTiming, address);
}

}  // namespace tiara::nic::rtl
