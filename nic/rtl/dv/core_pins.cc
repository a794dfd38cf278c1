#include "nic/rtl/dv/core_pins.h"

#include "tiara_cached_64_model.h"
#include "tiara_core_model.h"
#include "tiara_core_split_model.h"

namespace tiara::nic::rtl {

CorePins make_core_32() { return make_core_pins<Vtiara_core>(32); }
CorePins make_core_split() { return make_core_pins<Vtiara_core_split>(32); }
CorePins make_cached_64() { return make_core_pins<Vtiara_cached_64>(64); }

}  // namespace tiara::nic::rtl
