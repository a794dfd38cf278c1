// System-call instructions of the program's own, on far memory that chaos eviction takes away all the while. In signal
// and in hybrid mode they reach the runtime by Syscall User Dispatch (in hybrid mode the kernel waits for the pages all
// the same); in message mode the kernel waits for the pages by itself.
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>

#include "tests/preload/far.h"

extern char** environ;

namespace {

// The instruction itself, in this program's code: no function of libc's that could be interposed.
// Inlined, so that a vforked child never leaves the frame that it shares with its parent.
template <typename... Arguments>
[[gnu::always_inline]] inline long raw(long number, Arguments... given) {
  long words[6] = {(long)(given)...};
  register long r10 asm("r10") = words[3];
  register long r8 asm("r8") = words[4];
  register long r9 asm("r9") = words[5];
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(words[0]), "S"(words[1]), "d"(words[2]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

bool are_caught() { return std::string_view(getenv("TIARA_FAULT")) != "message"; }
bool is_signal_mode() { return std::string_view(getenv("TIARA_FAULT")) == "signal"; }

template <typename F>
void repeatedly(F check) {
  static std::vector<char>& churn = *new std::vector<char>(12 << 20);
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < churn.size(); i += far::kPage) ++churn[i];
    check(round);
  }
}

struct TemporaryFile {
  far::Text name{"/tmp/tiara-raw-XXXXXX"};
  int fd = mkstemp(name.get());
  ~TemporaryFile() {
    close(fd);
    unlink(name.get());
  }
};

// A child's verdict as a test of its own would give it.
int status_of(long child) {
  int status = -1;
  REQUIRE(child > 0);
  REQUIRE(waitpid(static_cast<pid_t>(child), &status, 0) == child);
  return status;
}

}  // namespace

TEST_CASE("raw reads and writes move far buffers, also larger than the local budget") {
  TemporaryFile file;
  for (const size_t size : {size_t{5000}, size_t{700'000}, size_t{10} << 20}) {
    far::Block out(size, 3);
    far::Block in(size, 4);
    REQUIRE(raw(SYS_pwrite64, file.fd, out.data(), size, 0) == static_cast<long>(size));
    REQUIRE(raw(SYS_pread64, file.fd, in.data(), size, 0) == static_cast<long>(size));
    REQUIRE(in.holds(3, size));
  }
}

TEST_CASE("raw vectors in far memory name far buffers") {
  TemporaryFile file;
  far::Block a(9000, 1);
  far::Block b(20'000, 2);
  far::Object<iovec[2]> vector;
  (*vector)[0] = {a.data(), a.size()};
  (*vector)[1] = {b.data(), b.size()};
  repeatedly([&](int) {
    REQUIRE(raw(SYS_pwritev, file.fd, vector.get(), 2, 0, 0) == 29'000);
    memset(a.data(), 0, a.size());
    memset(b.data(), 0, b.size());
    REQUIRE(raw(SYS_preadv, file.fd, vector.get(), 2, 0, 0) == 29'000);
    REQUIRE(a.holds(1, a.size()));
    REQUIRE(b.holds(2, b.size()));
  });
}

TEST_CASE("raw calls find far paths and fill far structures") {
  TemporaryFile file;
  far::Object<struct stat> status;
  far::Text missing("/no/such/file");
  repeatedly([&](int) {
    *status = {};
    REQUIRE(raw(SYS_stat, file.name.get(), status.get()) == 0);
    REQUIRE(S_ISREG(status->st_mode));
    REQUIRE(raw(SYS_stat, missing.get(), status.get()) == -ENOENT);
    const long fd = raw(SYS_openat, AT_FDCWD, file.name.get(), O_RDONLY);
    REQUIRE(fd >= 0);
    REQUIRE(raw(SYS_close, fd) == 0);
  });
  CHECK(raw(SYS_getpid) == getpid());
  errno = 17;
  CHECK(raw(SYS_close, -1) == -EBADF);
  CHECK(errno == 17);
}

TEST_CASE("a raw futex wait on a far word ends with the wake") {
  far::Object<int> word;
  repeatedly([&](int round) {
    *word = round;
    REQUIRE(raw(SYS_futex, word.get(), FUTEX_WAIT, round + 1, nullptr) == -EAGAIN);
    std::thread waker([&] {
      __atomic_store_n(word.get(), -1, __ATOMIC_SEQ_CST);
      while (raw(SYS_futex, word.get(), FUTEX_WAKE, 1) == 0 && __atomic_load_n(word.get(), __ATOMIC_SEQ_CST) == -1)
        std::this_thread::yield();
    });
    while (__atomic_load_n(word.get(), __ATOMIC_SEQ_CST) == round) {
      const long result = raw(SYS_futex, word.get(), FUTEX_WAIT, round, nullptr);
      CHECK((result == 0 || result == -EAGAIN));
    }
    __atomic_store_n(word.get(), -2, __ATOMIC_SEQ_CST);
    waker.join();
  });
}

TEST_CASE("raw mapping calls on far memory keep its promises") {
  if (!are_caught()) return;  // uncaught, they end the process (tests/kernel/endings.cc)
  far::Block block(64 * far::kPage, 1);
  auto* page = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(block.data()) + far::kPage) & ~(far::kPage - 1));
  REQUIRE(raw(SYS_madvise, page, far::kPage, MADV_DONTNEED) == 0);
  CHECK(page[0] == 0);
  page[1] = 7;
  REQUIRE(raw(SYS_mprotect, page, far::kPage, PROT_READ) == 0);
  CHECK(page[1] == 7);
  REQUIRE(raw(SYS_mprotect, page, far::kPage, PROT_READ | PROT_WRITE) == 0);
}

namespace {
volatile sig_atomic_t handled = 0;
void count(int) { handled = handled + 1; }

struct KernelAction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};
}  // namespace

TEST_CASE("raw signal calls change what the program sees and never block the runtime's signals") {
  const uint64_t user = uint64_t{1} << (SIGUSR1 - 1);
  uint64_t before = 0;
  uint64_t now = 0;
  const uint64_t all = ~uint64_t{0};
  struct sigaction plain {};
  plain.sa_handler = count;
  REQUIRE(sigaction(SIGUSR1, &plain, nullptr) == 0);
  REQUIRE(raw(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, 8) == 0);
  // Far memory works on, and raw calls too.
  far::Object<int[4000]> numbers;
  repeatedly([&](int round) { (*numbers)[2000] = round; });
  raise(SIGUSR1);
  CHECK(handled == 0);
  REQUIRE(raw(SYS_rt_sigprocmask, SIG_SETMASK, nullptr, &now, 8) == 0);
  CHECK((now & user) != 0);
  REQUIRE(raw(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, 8) == 0);
  CHECK(handled == 1);
  KernelAction old{};
  REQUIRE(raw(SYS_rt_sigaction, SIGUSR1, nullptr, &old, 8) == 0);
  CHECK(old.handler == count);
  stack_t stack{};
  REQUIRE(raw(SYS_sigaltstack, nullptr, &stack) == 0);
}

TEST_CASE("a raw fork makes a child that lives") {
  CHECK(status_of([] {
          const long child = raw(SYS_fork);
          if (child == 0) raw(SYS_exit_group, raw(SYS_getppid) > 0 ? 0 : 1);
          return child;
        }()) == 0);
}

TEST_CASE("a raw vfork makes a child that executes another program") {
  char path[] = "/bin/true";
  char* arguments[] = {path, nullptr};
  CHECK(status_of([&] {
          const long child = raw(SYS_vfork);
          if (child == 0) {
            raw(SYS_execve, path, arguments, environ);
            raw(SYS_exit_group, 1);
          }
          return child;
        }()) == 0);
}

namespace {

alignas(16) char thread_stack[64 << 10];
int thread_word = 1;  // cleared by the kernel when the thread ends

}  // namespace

TEST_CASE("a thread made without libc runs and ends") {
  long stack_top = reinterpret_cast<long>(thread_stack + sizeof thread_stack);
  register long r10 asm("r10") = reinterpret_cast<long>(&thread_word);
  register long r8 asm("r8") = 0;
  long result = SYS_clone;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov $60, %%eax\n\t"  // exit(0), on the new stack
      "xor %%edi, %%edi\n\t"
      "syscall\n\t"
      "1:"
      : "+a"(result)
      : "D"(long{CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
            CLONE_CHILD_CLEARTID}),
        "S"(stack_top), "d"(0L), "r"(r10), "r"(r8)
      : "rcx", "r11", "memory");
  CHECK(result > 0);
  while (__atomic_load_n(&thread_word, __ATOMIC_SEQ_CST) != 0) std::this_thread::yield();
  // This thread's raw calls are still guarded.
  TemporaryFile file;
  far::Block out(9000, 1);
  repeatedly([&](int) { REQUIRE(raw(SYS_pwrite64, file.fd, out.data(), 9000, 0) == 9000); });
}

TEST_CASE("asynchronous I/O is refused as by a kernel without it, in signal mode") {
  char parameters[120] = {};
  const long ring = raw(SYS_io_uring_setup, 1, parameters);
  const long same = syscall(SYS_io_uring_setup, 1, parameters);
  if (is_signal_mode()) {
    CHECK(ring == -ENOSYS);
    CHECK(same == -1);
  }
  if (ring >= 0) close(static_cast<int>(ring));
  if (same >= 0) close(static_cast<int>(same));
  unsigned long context = 0;
  if (is_signal_mode()) CHECK(raw(SYS_io_setup, 1, &context) == -ENOSYS);
}

namespace {
volatile long trapped = 0;
// The kernel's number of the call that seccomp refused; the program answers for it.
void answer_trap(int, siginfo_t* info, void* context) {
  trapped = info->si_syscall;
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = 4242;
}

void refuse_getpgid() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),  // offsetof(seccomp_data, nr)
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{4, filter};
  REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}
}  // namespace

TEST_CASE("a program that is to be refused is stopped at the first raw call on far memory") {
  if (!is_signal_mode()) return;
  char path[] = "/proc/self/exe";
  char which[] = "raw vectors*";
  char refuse[] = "TIARA_RAW_SYSCALLS=refuse";
  char* arguments[] = {path, which, nullptr};
  std::vector<char*> environment{refuse};
  for (char** variable = environ; *variable != nullptr; ++variable) environment.push_back(*variable);
  environment.push_back(nullptr);
  pid_t child = 0;
  REQUIRE(posix_spawn(&child, path, nullptr, nullptr, arguments, environment.data()) == 0);
  const int status = status_of(child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 71);
}

TEST_CASE("the program's own SIGSYS handler answers for what its own filter refuses") {
  struct sigaction action {};
  action.sa_sigaction = answer_trap;
  action.sa_flags = SA_SIGINFO;
  REQUIRE(sigaction(SIGSYS, &action, nullptr) == 0);
  struct sigaction now {};
  REQUIRE(sigaction(SIGSYS, nullptr, &now) == 0);
  CHECK(now.sa_sigaction == answer_trap);
  std::thread([] {  // a filter cannot be taken off: only this thread has it
    refuse_getpgid();
    CHECK(raw(SYS_getpgid, 0) == 4242);
    CHECK(trapped == SYS_getpgid);
    trapped = 0;
    CHECK(syscall(SYS_getpgid, 0) == 4242);
    CHECK(trapped == SYS_getpgid);
  }).join();
}
