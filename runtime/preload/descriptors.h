// The runtime's own file descriptors, which close-all loops and dup2 of the program must not hit.
#pragma once

#include <vector>

namespace tiara::preload {

// From now on these, and only these, are protected.
void protect_descriptors(const std::vector<int>& descriptors) noexcept;
bool is_protected(int descriptor) noexcept;

}  // namespace tiara::preload
