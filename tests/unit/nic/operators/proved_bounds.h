// Holds an operator's header comment ("; Proved bounds: steps 18, loads 4") to what the verifier
// proves.
#pragma once

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "nic/verifier/verified_program.h"

namespace tiara::nic::operators {

// Empty when every bound that is not zero is stated, and none is proved higher than it is stated.
inline std::string compare_with_source(const std::string& path, const Bounds& bounds) {
  std::ifstream file(path);
  if (!file) return path + " cannot be read";
  const std::string opening = "; Proved bounds: ";
  std::map<std::string, uint64_t> stated;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(opening, 0) != 0) continue;
    for (char& c : line)
      if (c == ',') c = ' ';
    std::istringstream words(line.substr(opening.size()));
    std::string name;
    for (uint64_t value; words >> name >> value;) stated[name] = value;
  }
  const std::map<std::string, uint64_t> proved{
      {"steps", bounds.steps},       {"loads", bounds.loads},
      {"stores", bounds.stores},     {"lines", bounds.lines},
      {"atomics", bounds.atomics},   {"bulk", bounds.bulk_operations},
      {"bytes", bounds.bytes_moved}, {"remote", bounds.remote_operations},
      {"reply", bounds.reply_bytes}};
  std::string wrong;
  for (const auto& [name, value] : proved)
    if (value > stated[name])
      wrong +=
          name + " " + std::to_string(value) + " (stated: " + std::to_string(stated[name]) + ") ";
  return wrong;
}

}  // namespace tiara::nic::operators
