#include "nic/rtl/make_engine.h"

#include "nic/rtl/rtl_engine.h"

namespace tiara::nic::rtl {

Result<std::shared_ptr<Engine>> make_rtl_engine() { return std::make_shared<RtlEngine>(); }

}  // namespace tiara::nic::rtl
