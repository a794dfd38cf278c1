// What can be known before a program starts: is the memory node there, and may this user have
// userfaultfd? Found out here it is one line; found out later it is a program that dies in the
// middle of its work.
#pragma once

#include <optional>

#include "apps/common/program.h"
#include "runtime/base/config.h"

namespace tiara::apps {

std::optional<Obstacle> preflight(const Config& config);

}  // namespace tiara::apps
