// libtiara.so: beside this command in the build folder, or in the library folder of the installation.
#pragma once

#include <string>

#include "runtime/base/error.h"

namespace tiara::apps {

// Its path, fit for LD_PRELOAD (which cannot quote blanks and colons).
Result<std::string> find_runtime_library();
// The folder of this command's own file.
std::string folder_of_this_command();

}  // namespace tiara::apps
