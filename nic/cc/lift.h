// From BPF code to the middle form: registers and stack slots become values, calls become
// instructions.
#pragma once

#include "nic/cc/ir.h"
#include "nic/cc/object.h"
#include "nic/cc/shape.h"

namespace tiara::nic::cc {

// Refuses, with the line of the C, what has no meaning on a NIC: calls that tiara_op.h does not
// declare, pointers, global variables, addresses of local variables that get away. All loops of the
// result are bounded.
Result<Function> lift(const Object& object, const Shape& shape);

}  // namespace tiara::nic::cc
