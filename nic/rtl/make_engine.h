// The NIC as an engine, where the build has it.
#pragma once

#include <memory>

#include "nic/rtl/nic_engine.h"
#include "runtime/base/error.h"

namespace tiara::nic::rtl {

// The address that it has on a network, where it is on one (private ones, RFC 1918).
inline constexpr wire::NetworkAddress kNicAddress{0x020000000001, 0x0a000001, 4791};

// kUnsupported in a build that found no Verilator.
Result<std::shared_ptr<NicEngine>> make_rtl_engine(const wire::NetworkAddress& address = kNicAddress);

}  // namespace tiara::nic::rtl
