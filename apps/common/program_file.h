// A NIC program in a file: assembly text (.tiara) or the container that a compiler writes.
#pragma once

#include <span>
#include <string>

#include "nic/isa/program.h"
#include "runtime/base/error.h"
#include "runtime/base/units.h"

namespace tiara::apps {

// The whole file, at most `limit` bytes. kNotFound, kInvalidInput (too long) or what open(2) said.
Result<std::string> read_file(const std::string& path, Bytes limit);
Result<void> write_file(const std::string& path, std::span<const std::byte> bytes);

// Tells text from container by the content. Errors of text name line and column.
Result<nic::Program> load_program(const std::string& path);

}  // namespace tiara::apps
