// Answers control requests (nic/wire/control.h) on a session; the same for every transport that has a stream.
#pragma once

#include <span>

#include "nic/node/memory_node.h"
#include "nic/wire/control.h"
#include "runtime/base/error.h"

namespace tiara::nic {

// The body of the reply to anything but Hello. `body` has passed check_body(); it is untrusted all the same.
Result<wire::Body> answer_control(Session& session, const wire::ControlHeader& request,
                                  std::span<const std::byte> body);

}  // namespace tiara::nic
