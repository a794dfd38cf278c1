#include "apps/common/child.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

namespace tiara::apps {
namespace {

// What the child tells us when it cannot exec: the errno and where it happened.
struct Failure {
  int error;
  enum class Where : int { kCgroup, kCpus, kExec } where;
};

// Between fork and exec: async-signal-safe calls only, everything else was made ready by the
// parent.
[[noreturn]] void become(const ChildOptions& options, pid_t parent, char* const* arguments,
                         char* const* environment, int report) {
  const auto give_up = [&](Failure::Where where) {
    const Failure failure{errno, where};
    (void)!write(report, &failure, sizeof failure);
    _exit(127);
  };
  if (options.death_signal != 0) {
    prctl(PR_SET_PDEATHSIG, options.death_signal);
    if (getppid() != parent) _exit(127);  // it died before the prctl: nobody waits for us
  }
  if (!options.cgroup_procs.empty()) {
    const int file = open(options.cgroup_procs.c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, "0", 1) != 1) give_up(Failure::Where::kCgroup);
  }
  if (!options.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : options.cpus) CPU_SET(static_cast<size_t>(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) give_up(Failure::Where::kCpus);
  }
  if (options.standard_output >= 0) dup2(options.standard_output, STDOUT_FILENO);
  if (options.standard_error >= 0) dup2(options.standard_error, STDERR_FILENO);
  for (int number = 1; number < NSIG; ++number)
    if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(options.path.c_str(), arguments, environment);
  give_up(Failure::Where::kExec);
  _exit(127);
}

std::vector<std::string> merged_environment(const ChildOptions& options) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& [set, value] : options.environment) replaced |= set == name;
    if (!replaced) merged.emplace_back(text);
  }
  for (const auto& [name, value] : options.environment) merged.push_back(name + "=" + value);
  return merged;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (auto& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

int ChildExit::shell_status() const {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

bool ChildExit::was_signalled() const {
  return WIFSIGNALED(wait_status);
}

std::string ChildExit::describe() const {
  if (was_signalled())
    return fmt::format("was killed by SIG{}", sigabbrev_np(WTERMSIG(wait_status)));
  return fmt::format("exited with status {}", WEXITSTATUS(wait_status));
}

Result<Child> Child::spawn(const ChildOptions& options) {
  std::vector<std::string> argument_strings = options.arguments;
  std::vector<std::string> environment_strings = merged_environment(options);
  const auto arguments = pointers_to(argument_strings);
  const auto environment = pointers_to(environment_strings);

  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return std::unexpected(system_error("pipe2"));
  const UniqueFd report_reader(pipe_ends[0]);
  UniqueFd report_writer(pipe_ends[1]);

  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return std::unexpected(system_error("fork"));
  if (pid == 0) become(options, parent, arguments.data(), environment.data(), report_writer.get());

  Child child;
  child.pid_ = pid;
  report_writer.reset();
  Failure failure{};
  if (TEMP_FAILURE_RETRY(read(report_reader.get(), &failure, sizeof failure)) == sizeof failure) {
    if (failure.where == Failure::Where::kCgroup)
      return std::unexpected(system_error("write", options.cgroup_procs, failure.error));
    if (failure.where == Failure::Where::kCpus)
      return std::unexpected(system_error("sched_setaffinity", {}, failure.error));
    return std::unexpected(system_error("execve", options.path, failure.error));
  }
  child.pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!child.pidfd_.is_open()) return std::unexpected(system_error("pidfd_open"));
  return child;
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    kill_and_reap();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

std::optional<ChildExit> Child::wait_for(std::chrono::milliseconds timeout) {
  pollfd waiting{pidfd_.get(), POLLIN, 0};
  (void)TEMP_FAILURE_RETRY(poll(&waiting, 1, static_cast<int>(timeout.count())));
  ChildExit exit;
  if (waitpid(pid_, &exit.wait_status, WNOHANG) != pid_) return std::nullopt;
  pid_ = -1;
  return exit;
}

void Child::send(int signal) const {
  if (pid_ > 0) ::kill(pid_, signal);
}

ChildExit Child::stop(std::chrono::milliseconds grace) {
  send(SIGTERM);
  send(SIGCONT);  // a stopped child would sleep through the SIGTERM
  if (const auto exit = wait_for(grace)) return *exit;
  ChildExit exit;
  send(SIGKILL);
  (void)TEMP_FAILURE_RETRY(waitpid(pid_, &exit.wait_status, 0));
  pid_ = -1;
  return exit;
}

void Child::kill_and_reap() noexcept {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  (void)TEMP_FAILURE_RETRY(waitpid(pid_, nullptr, 0));
  pid_ = -1;
}

}  // namespace tiara::apps
