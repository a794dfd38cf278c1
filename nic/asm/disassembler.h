// Program to assembly text.
#pragma once

#include <string>

#include "nic/isa/program.h"

namespace tiara::nic {

// Total for well-formed programs, and assemble(disassemble(p)) == p. What has no structured spelling (a branch that
// pops a wrong number of frames, a stray endloop) is written as `.word`.
std::string disassemble(const Program& program);

// One instruction, labels as +N: for messages and traces.
std::string disassemble(const Program& program, const Instruction& instruction);

}  // namespace tiara::nic
