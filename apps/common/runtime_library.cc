#include "apps/common/runtime_library.h"

#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>

namespace tiara::apps {

std::string folder_of_this_command() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

Result<std::string> find_runtime_library() {
  const std::filesystem::path here = folder_of_this_command();
  // The build folder first: a developer's own library wins over an installed one.
  for (const auto& candidate : {here / "../../runtime/preload/libtiara.so",
                                here / TIARA_LIBRARY_FROM_BIN / "libtiara.so"}) {
    std::error_code error;
    const auto path = std::filesystem::canonical(candidate, error);
    if (error) continue;
    if (path.string().find_first_of(" :\t\n") != std::string::npos)
      return fail(
          ErrorCode::kInvalidInput,
          fmt::format(
              "{}: LD_PRELOAD cannot name a path with a blank or colon; move Tiara elsewhere",
              path.string()));
    return path.string();
  }
  return fail(ErrorCode::kNotFound,
              fmt::format("libtiara.so is neither in the build folder nor in {}; build it (ninja) "
                          "or install Tiara whole",
                          (here / TIARA_LIBRARY_FROM_BIN).lexically_normal().string()));
}

std::vector<std::pair<std::string, std::string>> runtime_environment(const Config& config,
                                                                     const std::string& library) {
  auto environment = config.to_environment();
  const char* const present = getenv("LD_PRELOAD");
  // First in the list: its malloc must win. Whoever is there already stays behind it.
  environment.emplace_back(
      "LD_PRELOAD", present != nullptr && *present != '\0' ? library + ":" + present : library);
  return environment;
}

}  // namespace tiara::apps
