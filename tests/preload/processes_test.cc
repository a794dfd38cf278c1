// fork, vfork, exec, spawn and descriptors of a program on far memory.
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/preload/far.h"

namespace {

constexpr int kForkedStatus = 78;  // runtime/base/exit_status.h: documented for users

int status_of(pid_t child) {
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

template <typename F>
int in_child(F run) {
  const pid_t child = fork();
  if (child == 0) _exit(run());
  return status_of(child);
}

[[gnu::noinline]] pid_t start_by_vfork(char** arguments) {
  const pid_t child = vfork();
  if (child == 0) {
    execv("/bin/sh", arguments);
    _exit(1);
  }
  return child;
}

// Pages that are away for sure: far more than the local budget.
struct Away {
  far::Block block{40u << 20, 9};
};

// Arguments and environment in far memory.
struct FarList {
  std::vector<std::unique_ptr<far::Text>> texts;
  std::unique_ptr<far::Object<char*[64]>> list = std::make_unique<far::Object<char*[64]>>();
  explicit FarList(std::initializer_list<std::string> words) {
    size_t i = 0;
    for (const std::string& word : words) {
      texts.push_back(std::make_unique<far::Text>(word));
      (**list)[i++] = texts.back()->get();
    }
    (**list)[i] = nullptr;
  }
  char** get() { return **list; }
};

}  // namespace

TEST_CASE("A forked child keeps what it has, gets near memory and ends quietly") {
  CHECK(in_child([] {
          std::string text(1000, 'x');
          void* block = malloc(10 << 20);
          memset(block, 1, 10 << 20);
          return far::is_far(block) || text[999] != 'x' ? 1 : 42;
        }) == 42);
}

TEST_CASE("A forked child that touches a page of its parent's that is away is stopped, the parent is not") {
  Away away;
  REQUIRE(far::remote_pages() > 0);
  const int status = in_child([&] { return away.block.holds(9, away.block.size()) ? 0 : 1; });
  CHECK(status == kForkedStatus);
  CHECK(away.block.holds(9, away.block.size()));
}

TEST_CASE("A system call of a forked child on a page that is away stops it too, with no wrong bytes") {
  Away away;
  const int status = in_child([&] {
    char name[] = "/tmp/tiara-child-XXXXXX";
    const int file = mkstemp(name);
    unlink(name);
    for (size_t at = 0; at + 4096 <= away.block.size(); at += 4096)
      if (pwrite(file, away.block.data() + at, 4096, 0) != 4096) return 1;
    return 0;
  });
  CHECK(status == kForkedStatus);
}

TEST_CASE("fork and exec with far arguments") {
  // The arguments may be away at the moment of the fork: then a child without a clone is stopped, and nothing else.
  int executed = 0;
  for (int i = 0; i < 10; ++i) {
    FarList arguments{"sh", "-c", "test \"$FAR\" = \"a value\" && exit 17"};
    FarList environment{"PATH=/usr/bin:/bin", "FAR=a value"};
    const pid_t child = fork();
    if (child == 0) {
      execve("/bin/sh", arguments.get(), environment.get());
      _exit(1);
    }
    const int status = status_of(child);
    CHECK((status == 17 || status == kForkedStatus));
    if (status == 17) ++executed;
  }
  CHECK(executed > 0);
}

TEST_CASE("vfork, posix_spawn, system and popen with pages away and far arguments") {
  Away away;
  for (int i = 0; i < 10; ++i) {
    FarList arguments{"sh", "-c", "exit 23"};
    REQUIRE(status_of(start_by_vfork(arguments.get())) == 23);
    pid_t spawned = 0;
    far::Text path("/bin/sh");
    FarList environment{"PATH=/usr/bin:/bin"};
    REQUIRE(posix_spawn(&spawned, path.get(), nullptr, nullptr, arguments.get(), environment.get()) == 0);
    REQUIRE(status_of(spawned) == 23);
    far::Text command("exit 24");
    REQUIRE(WEXITSTATUS(system(command.get())) == 24);
    far::Text echo("echo from a pipe");
    FILE* pipe = popen(echo.get(), "r");
    far::Block line(100);
    REQUIRE(fgets(line.data(), 100, pipe) != nullptr);
    REQUIRE(std::string(line.data()) == "from a pipe\n");
    REQUIRE(pclose(pipe) == 0);
  }
  CHECK(away.block.holds(9, away.block.size()));
}

TEST_CASE("Grandchildren fork freely") {
  CHECK(in_child([] { return in_child([] { return in_child([] { return 31; }); }); }) == 31);
}

TEST_CASE("Closing every descriptor does not close the runtime's") {
  Away away;
  const int spare = dup(2);
  for (int fd = 10; fd < 1024; ++fd) close(fd);
  close_range(10, ~0u, 0);
  closefrom(900);
  DIR* folder = opendir("/proc/self/fd");
  std::vector<int> open_fds;
  while (dirent* entry = readdir(folder))
    if (entry->d_name[0] != '.') open_fds.push_back(atoi(entry->d_name));
  const int own = dirfd(folder);
  for (int fd : open_fds)
    if (fd > 2 && fd != own) close(fd);
  closedir(folder);
  (void)spare;
  CHECK(away.block.holds(9, away.block.size()));
}

TEST_CASE("dup2 onto a descriptor of the runtime's is refused") {
  Away away;
  int refused = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    if (fcntl(fd, F_GETFD) == -1) continue;
    const int saved = dup(fd);
    if (dup2(0, fd) == -1) {
      CHECK(errno == EBUSY);
      ++refused;
    } else {
      dup2(saved, fd);
    }
    close(saved);
  }
  CHECK(refused > 0);
  CHECK(away.block.holds(9, away.block.size()));
}

TEST_CASE("Giving up the user keeps far memory working") {
  CHECK(setgid(getgid()) == 0);
  CHECK(setuid(getuid()) == 0);
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == -1);
  Away away;
  CHECK(away.block.holds(9, away.block.size()));
}
