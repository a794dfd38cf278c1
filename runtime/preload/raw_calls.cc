#include "runtime/preload/raw_calls.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <elf.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "fault-handler/stop.h"
#include "runtime/base/exit_status.h"
#include "runtime/base/log.h"
#include "runtime/preload/alternate_stack.h"
#include "runtime/preload/guard.h"
#include "runtime/preload/process.h"
#include "runtime/preload/real.h"
#include "runtime/preload/signals.h"
#include "runtime/preload/system_call.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(prctl);
TIARA_DEFINE_REAL(syscall);

constinit thread_local RawCallsOfThread raw_calls_of_thread{};

namespace {

// linux/prctl.h and asm-generic/siginfo.h, of kernels newer than Debian 12's headers promise.
constexpr int kSetSyscallUserDispatch = 59;
constexpr unsigned long kDispatchOn = 1;
constexpr int kSysUserDispatch = 2;
// `syscall` and `int $0x80` both have two bytes.
constexpr long kInstructionBytes = 2;
constexpr long kX32Bit = 0x40000000;

struct CodeRange {
  uintptr_t begin = 0;
  size_t size = 0;
  bool contains(uintptr_t address) const noexcept { return address - begin < size; }
};

enum class Support : uint8_t { kUnknown, kCaught, kSwitchedOff, kNoDispatch, kNoLibcCode };

constinit CodeRange libc_code;
constinit CodeRange own_code;
constinit const unsigned char* libc_instruction = nullptr;  // a `syscall` in libc_code
constinit std::atomic<Support> support{Support::kUnknown};
constinit std::atomic<bool> is_preparing{false};

// The executable segment of a loaded object that holds `address`. Found without the loader's lock, as in real.cc.
CodeRange code_around(const void* address) noexcept {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  for (const link_map* object = _r_debug.r_map; object != nullptr; object = object->l_next) {
    if (object->l_addr == 0 || object->l_ld == nullptr) continue;  // an executable at a fixed place is not libc
    const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(object->l_addr);
    if (wanted < object->l_addr || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) continue;
    const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(object->l_addr + header->e_phoff);
    for (int i = 0; i < header->e_phnum; ++i) {
      const CodeRange range{object->l_addr + segments[i].p_vaddr, segments[i].p_memsz};
      if (segments[i].p_type == PT_LOAD && (segments[i].p_flags & PF_X) != 0 && range.contains(wanted)) return range;
    }
  }
  return {};
}

// The `syscall` instruction in libc's syscall(2); nullptr when that function is not what it is known to be.
const unsigned char* find_instruction(const void* function) noexcept {
  constexpr unsigned char kInstruction[] = {0x0f, 0x05};
  constexpr size_t kFunctionBytes = 64;  // a dozen moves stand before it
  return static_cast<const unsigned char*>(memmem(function, kFunctionBytes, kInstruction, sizeof kInstruction));
}

int switch_on(const CodeRange& allowed) noexcept {
  return TIARA_REAL(prctl)(kSetSyscallUserDispatch, kDispatchOn, allowed.begin, allowed.size,
                           &raw_calls_of_thread.selector);
}

void on_sigsys(int signal, siginfo_t* info, void* context) noexcept;

// Once in the process; whoever comes second finds the answer or goes uncaught for the moment (single-threaded then:
// the first thread prepares before it makes others).
Support prepare() noexcept {
  if (const Support known = support.load(std::memory_order_acquire); known != Support::kUnknown) return known;
  const Config* config = active_config();
  if (config == nullptr || is_preparing.exchange(true, std::memory_order_acq_rel)) return Support::kUnknown;
  Support found = Support::kSwitchedOff;
  // Hybrid mode needs no pins, but a raw rt_sigprocmask must not block SIGBUS there either.
  const bool may_raise_signals = config->fault != FaultMode::kMessage;
  if (config->raw_syscalls != RawSyscalls::kIgnore && may_raise_signals) {
    libc_code = code_around(reinterpret_cast<const void*>(TIARA_REAL(syscall)));
    own_code = code_around(reinterpret_cast<const void*>(&prepare));
    libc_instruction = find_instruction(reinterpret_cast<const void*>(TIARA_REAL(syscall)));
    if (libc_code.size == 0 || own_code.size == 0 || libc_instruction == nullptr) {
      found = Support::kNoLibcCode;
    } else {
      take_sigsys(on_sigsys);
      found = switch_on(libc_code) == 0 ? Support::kCaught : Support::kNoDispatch;
    }
  }
  support.store(found, std::memory_order_release);
  return found;
}

// --- what cannot be done by making the call from the handler ---

uint64_t* mask_of(ucontext_t& context) noexcept { return reinterpret_cast<uint64_t*>(&context.uc_sigmask); }

// The mask that counts is the one that the handler's return puts back.
long change_mask(ucontext_t& context, const Words& words) noexcept {
  if (words[3] != sizeof(uint64_t)) return -EINVAL;
  uint64_t* mask = mask_of(context);
  const uint64_t before = *mask;
  if (words[1] != 0) {
    const uint64_t wanted = *reinterpret_cast<const uint64_t*>(words[1]);
    switch (words[0]) {
      case SIG_BLOCK: *mask |= wanted; break;
      case SIG_UNBLOCK: *mask &= ~wanted; break;
      case SIG_SETMASK: *mask = wanted; break;
      default: return -EINVAL;
    }
    *mask &= ~reserved_signal_bits();
  }
  if (words[2] != 0) *reinterpret_cast<uint64_t*>(words[2]) = before;
  return 0;
}

// The kernel's struct sigaction (asm/signal.h).
struct KernelAction {
  void (*handler)(int, siginfo_t*, void*);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};

// By way of sigaction(2), which knows the reserved signals; libc's way back from a handler is as good as the program's.
long change_action(const Words& words) noexcept {
  if (words[3] != sizeof(uint64_t)) return -EINVAL;
  constexpr unsigned long kRestorer = 0x04000000;
  struct sigaction wanted {};
  struct sigaction before {};
  const auto* asked = reinterpret_cast<const KernelAction*>(words[1]);
  if (asked != nullptr) {
    wanted.sa_sigaction = asked->handler;
    wanted.sa_flags = static_cast<int>(asked->flags & ~kRestorer);
    memcpy(&wanted.sa_mask, &asked->mask, sizeof asked->mask);
  }
  if (sigaction(static_cast<int>(words[0]), asked != nullptr ? &wanted : nullptr, &before) != 0) return -errno;
  if (auto* old = reinterpret_cast<KernelAction*>(words[2]); old != nullptr) {
    *old = {before.sa_sigaction, static_cast<unsigned long>(before.sa_flags), before.sa_restorer, 0};
    memcpy(&old->mask, &before.sa_mask, sizeof old->mask);
  }
  return 0;
}

long change_stack(const ucontext_t& context, const Words& words) noexcept {
  const auto stack_pointer = static_cast<uintptr_t>(context.uc_mcontext.gregs[REG_RSP]);
  const StackUse use = is_in_alternate_stack(stack_pointer) ? StackUse::kInUse : StackUse::kFree;
  return change_programs_stack(reinterpret_cast<const stack_t*>(words[0]), reinterpret_cast<stack_t*>(words[1]),
                               use) == 0
             ? 0
             : -errno;
}

// sigreturn(2) of a handler of the program's own making: its frame is where the program's stack pointer is.
[[noreturn]] void return_from_programs_handler(uintptr_t stack_pointer) noexcept {
  // By libc's instruction, which is allowed.
  asm volatile(
      "mov %0, %%rsp\n\t"
      "jmp *%1"
      :
      : "r"(stack_pointer), "r"(libc_instruction), "a"(SYS_rt_sigreturn)
      : "memory");
  __builtin_unreachable();
}

// fork, vfork, clone and clone3 that make a process.
struct Birth {
  bool is_clone = false;
  bool is_clone3 = false;
  uint64_t flags = 0;
  uint64_t stack = 0;  // the child's stack pointer; 0 = the caller's
  clone_args arguments{};

  Birth(long number, const Words& words) noexcept {
    switch (number) {
      case SYS_fork:
      case SYS_vfork: is_clone = true; arguments.exit_signal = SIGCHLD; break;
      case SYS_clone:
        is_clone = true;
        flags = static_cast<uint64_t>(words[0]) & ~uint64_t{CSIGNAL};
        stack = static_cast<uint64_t>(words[1]);
        arguments.exit_signal = static_cast<uint64_t>(words[0]) & CSIGNAL;
        arguments.parent_tid = static_cast<uint64_t>(words[2]);
        arguments.pidfd = static_cast<uint64_t>(words[2]);
        arguments.child_tid = static_cast<uint64_t>(words[3]);
        arguments.tls = static_cast<uint64_t>(words[4]);
        break;
      case SYS_clone3:
        is_clone = is_clone3 = true;
        memcpy(&arguments, reinterpret_cast<const void*>(words[0]),
               std::min(static_cast<size_t>(words[1]), sizeof arguments));
        flags = arguments.flags;
        stack = arguments.stack != 0 ? arguments.stack + arguments.stack_size : 0;
        break;
      default: break;
    }
  }
  bool is_thread() const noexcept { return (flags & CLONE_VM) != 0 && (flags & CLONE_VFORK) == 0; }
};

// The child runs on in this handler, on its own copy of the stack, and leaves it as the parent does. It never shares
// memory with its parent (vfork): two processes cannot stand on one signal stack.
long make_process(Birth& birth, ucontext_t& context) noexcept {
  clone_args& arguments = birth.arguments;
  arguments.flags = birth.flags & ~uint64_t{CLONE_VM | CLONE_VFORK};
  arguments.stack = arguments.stack_size = 0;
  if ((arguments.flags & CLONE_PIDFD) == 0) arguments.pidfd = 0;
  Guards guards;
  guards.object(reinterpret_cast<int*>(arguments.parent_tid));
  guards.object(reinterpret_cast<int*>(arguments.child_tid));
  before_fork();
  const long result =
      birth.is_clone3 ? TIARA_REAL(syscall)(SYS_clone3, &arguments, sizeof arguments)
                      : TIARA_REAL(syscall)(SYS_clone, arguments.flags | arguments.exit_signal, 0, arguments.parent_tid,
                                            arguments.child_tid, arguments.tls);
  if (result != 0) {
    const int error = errno;
    after_fork_in_parent();
    return result > 0 ? result : -error;
  }
  after_fork_in_child();
  if (birth.stack != 0) context.uc_mcontext.gregs[REG_RSP] = static_cast<greg_t>(birth.stack);
  return 0;
}

void say_once(std::atomic<bool>& is_said, const char* text) noexcept {
  if (!is_said.exchange(true, std::memory_order_relaxed)) LogLine(text).write();
}

// The program's own instruction is executed after all. The thread catches again when it next comes to the runtime.
void let_through(ucontext_t& context, long number) noexcept {
  raw_calls_of_thread.selector = Selector::kAllow;
  context.uc_mcontext.gregs[REG_RIP] -= kInstructionBytes;
  context.uc_mcontext.gregs[REG_RAX] = number;
}

void refuse_far_arguments(long number, const Words& words) noexcept {
  const Config* config = active_config();
  if (config == nullptr || config->raw_syscalls != RawSyscalls::kRefuse) return;
  if (!std::any_of(words, words + 6, [](long word) { return is_guarded(reinterpret_cast<const void*>(word)); })) return;
  char what[96] = "the program makes system call ";
  size_t length = strlen(what);
  char digits[24];
  size_t count = 0;
  for (auto rest = static_cast<unsigned long>(number); count == 0 || rest != 0; rest /= 10)
    digits[count++] = static_cast<char>('0' + rest % 10);
  while (count > 0) what[length++] = digits[--count];
  strcpy(what + length, " on far memory by an instruction of its own");
  fault::stop_process(*process_stats(), kExitOsError, what,
                      "run it with --raw-syscalls dispatch, or with --fault message");
}

void catch_call(const siginfo_t& info, ucontext_t& context) noexcept {
  greg_t* registers = context.uc_mcontext.gregs;
  const long number = info.si_syscall;
  const Words words = {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                       registers[REG_R10], registers[REG_R8],  registers[REG_R9]};
  long& result = reinterpret_cast<long&>(registers[REG_RAX]);
  if (info.si_arch != AUDIT_ARCH_X86_64 || (number & kX32Bit) != 0) return let_through(context, registers[REG_RAX]);
  if (own_code.contains(reinterpret_cast<uintptr_t>(info.si_call_addr))) {
    const long made = TIARA_REAL(syscall)(number, words[0], words[1], words[2], words[3], words[4], words[5]);
    result = made == -1 ? -errno : made;
    return;
  }
  if (stats::ProcessStats* stats = process_stats(); stats != nullptr) stats::bump(stats->counters.raw_calls);
  refuse_far_arguments(number, words);
  Birth birth(number, words);
  if (birth.is_clone && birth.is_thread()) {
    static constinit std::atomic<bool> is_said{false};
    say_once(is_said, "the program makes threads without libc: their own system-call instructions are not caught");
    return let_through(context, number);
  }
  if (birth.is_clone) {
    result = make_process(birth, context);
    return;
  }
  switch (number) {
    case SYS_rt_sigreturn: return_from_programs_handler(static_cast<uintptr_t>(registers[REG_RSP]));
    case SYS_rt_sigprocmask: result = change_mask(context, words); return;
    case SYS_rt_sigaction: result = change_action(words); return;
    case SYS_sigaltstack: result = change_stack(context, words); return;
    default: result = make_system_call(number, words); return;
  }
}

void on_sigsys(int signal, siginfo_t* info, void* context) noexcept {
  if (info->si_code != kSysUserDispatch || raw_calls_of_thread.at_rest != Selector::kCatch)
    return chain_signal(signal, info, context);
  const int saved = errno;
  catch_call(*info, *static_cast<ucontext_t*>(context));
  errno = saved;
}

}  // namespace

void catch_raw_calls() noexcept {
  RawCallsOfThread& mine = raw_calls_of_thread;
  if (mine.at_rest == Selector::kCatch || prepare() != Support::kCaught) return;
  if (switch_on(libc_code) != 0) return;
  let_reserved_signals_through();
  mine.at_rest = Selector::kCatch;
  mine.selector = Selector::kCatch;
}

void leave_raw_calls_to_program() noexcept {
  static constinit std::atomic<bool> is_said{false};
  if (raw_calls_of_thread.at_rest == Selector::kAllow) return;
  raw_calls_of_thread.at_rest = Selector::kAllow;
  raw_calls_of_thread.selector = Selector::kAllow;
  say_once(is_said, "the program catches system calls itself: far memory in its raw calls is not guarded any more");
}

void catch_raw_calls_again() noexcept {
  if (raw_calls_of_thread.at_rest == Selector::kCatch) (void)switch_on(libc_code);
}

const char* why_raw_calls_are_not_caught() noexcept {
  switch (support.load(std::memory_order_acquire)) {
    case Support::kNoDispatch: return "raw system calls are not caught: no Syscall User Dispatch (Linux 5.11)";
    case Support::kNoLibcCode: return "raw system calls are not caught: libc's code was not found";
    case Support::kUnknown:
    case Support::kCaught:
    case Support::kSwitchedOff: return nullptr;
  }
  return nullptr;
}

}  // namespace tiara::preload
