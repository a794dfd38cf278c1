// libtiara.so: beside this command in the build folder, or in the library folder of the
// installation.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/base/config.h"
#include "runtime/base/error.h"

namespace tiara::apps {

// Its path, fit for LD_PRELOAD (which cannot quote blanks and colons).
Result<std::string> find_runtime_library();
// The environment that brings the runtime into a program and tells it what to do.
std::vector<std::pair<std::string, std::string>> runtime_environment(const Config& config,
                                                                     const std::string& library);
// The folder of this command's own file.
std::string folder_of_this_command();

}  // namespace tiara::apps
