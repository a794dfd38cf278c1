#include "apps/common/program.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "runtime/os/unique_fd.h"

namespace tiara::apps {
namespace {

// The kernel follows this many "#!" lines (BINPRM depth in fs/exec.c) before it gives up with
// ELOOP.
constexpr size_t kMaxScriptDepth = 5;
constexpr size_t kMaxShebang = 256;  // BINPRM_BUF_SIZE: what the kernel reads of a "#!" line

std::unexpected<Obstacle> obstacle(ExitStatus status, std::string line) {
  return std::unexpected(Obstacle{status, std::move(line)});
}

bool is_executable_file(const std::string& path) {
  struct stat facts {};
  return stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

std::expected<std::string, Obstacle> find_on_path(const std::string& name) {
  if (name.empty())
    return obstacle(kExitNoProgram, "the program's name is empty; say what to run behind '--'");
  if (name.find('/') != std::string::npos) {
    if (access(name.c_str(), F_OK) != 0)
      return obstacle(kExitNoProgram, fmt::format("{}: no such program; check the path", name));
    if (!is_executable_file(name))
      return obstacle(
          kExitCannotExec,
          fmt::format("{}: not an executable file; chmod +x it, or name the program", name));
    return name;
  }
  const char* const path_variable = getenv("PATH");
  std::string_view rest = path_variable != nullptr ? path_variable : "/usr/local/bin:/usr/bin:/bin";
  bool seen_other = false;
  while (true) {
    const size_t colon = rest.find(':');
    const std::string_view folder = rest.substr(0, colon);
    const std::string candidate = folder.empty() ? name : fmt::format("{}/{}", folder, name);
    if (is_executable_file(candidate)) return candidate;
    struct stat facts {};
    seen_other |= stat(candidate.c_str(), &facts) == 0 && S_ISREG(facts.st_mode);
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (seen_other)
    return obstacle(kExitCannotExec,
                    fmt::format("{}: found on PATH but not executable; chmod +x it", name));
  return obstacle(kExitNoProgram,
                  fmt::format("{}: no such program on PATH; install it or give its path", name));
}

// execve(2) raises AT_SECURE, and the dynamic linker then drops LD_PRELOAD, when identities change,
// or when file capabilities are gained by anybody but root.
bool gains_privilege(int fd, const struct stat& facts) {
  const bool changes_user = (facts.st_mode & S_ISUID) && facts.st_uid != getuid();
  const bool changes_group =
      (facts.st_mode & S_ISGID) && (facts.st_mode & S_IXGRP) && facts.st_gid != getgid();
  const bool has_capabilities = fgetxattr(fd, "security.capability", nullptr, 0) > 0;
  return changes_user || changes_group || (has_capabilities && getuid() != 0);
}

// "#! /bin/sh -e" -> "/bin/sh"
std::string interpreter_of(std::string_view line) {
  line = line.substr(2, kMaxShebang - 2);
  line = line.substr(0, line.find_first_of(std::string_view("\n\0", 2)));
  const size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  line.remove_prefix(first);
  return std::string(line.substr(0, line.find_first_of(" \t\r")));
}

std::expected<ProgramStep, Obstacle> inspect_step(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  struct stat facts {};
  if (!file.is_open() || fstat(file.get(), &facts) != 0)
    return obstacle(kExitCannotExec,
                    fmt::format("{}: cannot be read to check it ({}); make it readable", path,
                                strerrordesc_np(errno)));
  ProgramStep step;
  step.path = path;
  step.gains_privilege = gains_privilege(file.get(), facts);
  if (facts.st_size == 0)
    return obstacle(kExitCannotExec, fmt::format("{}: an empty file; name a program", path));

  const ReadAt read_at = [&](uint64_t offset, std::span<std::byte> out) {
    if (offset > INT64_MAX) return false;
    const ssize_t got = pread(file.get(), out.data(), out.size(), static_cast<off_t>(offset));
    return got >= 0 && static_cast<size_t>(got) == out.size();
  };
  std::string opening(std::min(static_cast<size_t>(facts.st_size), kMaxShebang), '\0');
  if (!read_at(0, std::as_writable_bytes(std::span(opening))))
    return obstacle(kExitCannotExec,
                    fmt::format("{}: cannot be read to check it; make it readable", path));
  if (opening.starts_with("#!")) {
    step.is_script = true;
    step.script_interpreter = interpreter_of(opening);
    if (step.script_interpreter.empty())
      return obstacle(
          kExitCannotExec,
          fmt::format("{}: its first line names no interpreter; write one behind '#!'", path));
    return step;
  }
  auto elf = inspect_elf(read_at);
  if (!elf)
    return obstacle(kExitCannotExec,
                    fmt::format("{}: {}; name a program or a script that starts with '#!'", path,
                                elf.error().message));
  step.elf = std::move(*elf);
  return step;
}

}  // namespace

std::expected<Program, Obstacle> find_program(const std::string& name) {
  auto path = find_on_path(name);
  if (!path) return std::unexpected(std::move(path).error());
  Program program{*path, {}};
  std::string next = *path;
  while (program.steps.size() < kMaxScriptDepth) {
    auto step = inspect_step(next);
    if (!step) return std::unexpected(std::move(step).error());
    program.steps.push_back(std::move(*step));
    if (!program.steps.back().is_script) return program;
    const std::string& script = next;
    const std::string interpreter = program.steps.back().script_interpreter;
    if (!is_executable_file(interpreter))
      return obstacle(kExitNoProgram, fmt::format("{}: its interpreter {} is missing; install it",
                                                  script, interpreter));
    next = interpreter;
  }
  return obstacle(
      kExitCannotExec,
      fmt::format("{}: more than {} scripts that interpret each other; name the program", name,
                  kMaxScriptDepth));
}

std::optional<Obstacle> obstacle_to_far_memory(const Program& program) {
  const auto refuse = [](const ProgramStep& step, std::string_view why, std::string_view cure) {
    return Obstacle{kExitCannotExec, fmt::format("{}: {}; {}", step.path, why, cure)};
  };
  for (const auto& step : program.steps) {
    if (step.is_script) continue;  // the kernel ignores a script's own setuid bit
    if (!step.elf.is_64_bit)
      return refuse(step, "a 32-bit program, and libtiara.so is 64-bit",
                    "use the 64-bit build of the program");
    if (!step.elf.is_native_machine)
      return refuse(step, "built for another machine", "use the build for this machine");
    if (!step.elf.is_dynamic)
      return refuse(step, "statically linked, so LD_PRELOAD cannot bring far memory in",
                    "use a dynamically linked build of the program");
    if (step.elf.interpreter.find("musl") != std::string::npos)
      return refuse(step, "linked against musl, and libtiara.so needs glibc",
                    "use a glibc build of the program");
    if (step.gains_privilege)
      return refuse(
          step,
          "setuid, setgid or with file capabilities, so the dynamic linker ignores LD_PRELOAD",
          "run it as the user it would become, without those privileges");
  }
  return std::nullopt;
}

}  // namespace tiara::apps
