// A program that gives up its user and becomes a daemon, and only then fills far memory. What was opened before the
// privileges went is the parent's: the daemon needs its own, and the parent must be able to go on with the old.
#include <cstdio>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/preload/far.h"

namespace {

const char* use_far_memory(unsigned seed) {
  if (tiara_is_active == nullptr) return "run this by preloaded.py";
  if (tiara_is_active()) return "far memory had started before it was wanted";
  far::start();
  if (!tiara_is_active()) return "far memory has not started";
  const far::Block block(40u << 20, seed);
  if (!far::is_far(block.data() + block.size() / 2)) return "the block is near";
  if (far::remote_pages() == 0) return "nothing went away";
  return block.holds(seed, block.size()) ? nullptr : "wrong bytes";
}

[[noreturn]] void become_daemon(int report) {
  if (daemon(1, 1) != 0) _exit(1);
  const char* what = use_far_memory(5);
  if (what != nullptr) fprintf(stderr, "daemon: %s\n", what);
  const char verdict = what == nullptr ? 'y' : 'n';
  _exit(write(report, &verdict, 1) == 1 ? 0 : 1);
}

}  // namespace

int main() {
  int report[2];
  if (setgid(getgid()) != 0 || setuid(getuid()) != 0 || pipe(report) != 0) return 1;
  const pid_t child = fork();
  if (child == 0) become_daemon(report[1]);
  close(report[1]);
  const char* what = use_far_memory(6);  // exits 77 itself where userfaultfd is not allowed
  if (what != nullptr) fprintf(stderr, "parent: %s\n", what);
  char verdict = 0;
  const bool is_told = read(report[0], &verdict, 1) == 1;  // nothing: the daemon has ended, and said why
  int status = 0;
  const bool has_started = waitpid(child, &status, 0) == child && status == 0;
  return what == nullptr && is_told && verdict == 'y' && has_started ? 0 : 1;
}
