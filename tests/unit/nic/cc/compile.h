// C source to BPF object to program, with the compiler that the build found.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "nic/cc/translate.h"

namespace tiara::nic::cc {

// A folder that is gone at the end of the test.
class WorkFolder {
 public:
  WorkFolder() {
    std::string path = (std::filesystem::temp_directory_path() / "tiara-cc-test-XXXXXX").string();
    REQUIRE(mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// The object of a file; `extra` are more flags, the last of which win.
inline std::vector<std::byte> compile_file(const std::string& source, const std::string& object,
                                           const std::string& extra = {}) {
  std::string command = TIARA_CLANG;
  for (const char* const flag : clang_flags()) command += std::string(" ") + flag;
  command += " -w -I" TIARA_SOURCE_ROOT "/nic/cc " + extra + " -c " + source + " -o " + object;
  REQUIRE(std::system(command.c_str()) == 0);
  std::ifstream file(object, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto* const data = reinterpret_cast<const std::byte*>(bytes.data());
  return {data, data + bytes.size()};
}

inline std::vector<std::byte> compile_text(const std::string& text, const std::string& extra = {}) {
  const WorkFolder folder;
  std::ofstream(folder.file("subject.c")) << text;
  return compile_file(folder.file("subject.c"), folder.file("subject.o"), extra);
}

// An operator of nic/cc/examples.
inline Translation compile_example(const std::string& name) {
  const WorkFolder folder;
  auto made = translate(
      compile_file(TIARA_SOURCE_ROOT "/nic/cc/examples/" + name + ".c", folder.file(name + ".o")));
  INFO(name << ": " << (made ? "" : made.error().message));
  REQUIRE(made.has_value());
  return std::move(*made);
}

}  // namespace tiara::nic::cc
