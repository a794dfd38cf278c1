// The NIC as an engine, where the build has it.
#pragma once

#include <memory>

#include "nic/engine/engine.h"
#include "runtime/base/error.h"

namespace tiara::nic::rtl {

// kUnsupported in a build that found no Verilator.
Result<std::shared_ptr<Engine>> make_rtl_engine();

}  // namespace tiara::nic::rtl
