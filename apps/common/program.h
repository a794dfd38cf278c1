// The program a user wants to run: where it is, what it is, and whether far memory can get into it.
// Looked at before anything is started, because a program that ignores LD_PRELOAD would just run
// without far memory and nobody would notice.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/common/elf_file.h"
#include "runtime/base/error.h"
#include "runtime/base/exit_status.h"

namespace tiara::apps {

// One file that the kernel opens on the way: the program itself, or the interpreter of a script.
struct ProgramStep {
  std::string path;
  bool is_script = false;
  std::string script_interpreter;  // of a script: the path behind "#!"
  ElfFacts elf;                    // of a program
  bool gains_privilege = false;  // setuid, setgid or file capabilities that are news to this user:
                                 // LD_PRELOAD is ignored
};

struct Program {
  std::string path;                // as execve(2) will get it
  std::vector<ProgramStep> steps;  // path first, the ELF file last
};

// Why a program cannot have far memory: one line with the cure, and the status to exit with.
struct Obstacle {
  ExitStatus status;
  std::string line;
};

// Finds `name` as execvp(3) would, follows "#!" lines and reads the ELF headers.
std::expected<Program, Obstacle> find_program(const std::string& name);
// nullopt: LD_PRELOAD reaches it.
std::optional<Obstacle> obstacle_to_far_memory(const Program& program);

}  // namespace tiara::apps
