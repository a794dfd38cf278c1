// How an invocation ended, in words.
#pragma once

#include <string>
#include <string_view>

#include "nic/isa/outcome.h"

namespace tiara::apps {

std::string_view to_string(nic::Status status);  // "ok"
std::string_view describe(nic::Fault fault);
std::string_view describe(nic::Refusal refusal);
std::string reason_of(const nic::Outcome& outcome);  // empty when it is ok

}  // namespace tiara::apps
