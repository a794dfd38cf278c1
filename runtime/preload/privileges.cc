// Calls after which /dev/userfaultfd or a node may be out of reach: what needs privileges is opened first.
#include <cstdarg>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "runtime/preload/guard.h"
#include "runtime/preload/process.h"
#include "runtime/preload/raw_calls.h"
#include "runtime/preload/real.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(setuid);
TIARA_DEFINE_REAL(seteuid);
TIARA_DEFINE_REAL(setreuid);
TIARA_DEFINE_REAL(setresuid);
TIARA_DEFINE_REAL(setgid);
TIARA_DEFINE_REAL(setegid);
TIARA_DEFINE_REAL(setregid);
TIARA_DEFINE_REAL(setresgid);
TIARA_DEFINE_REAL(setgroups);
TIARA_DEFINE_REAL(initgroups);
TIARA_DEFINE_REAL(chroot);
TIARA_DEFINE_REAL(prctl);

}  // namespace tiara::preload

using namespace tiara::preload;

#define BEFORE_IT(function, parameters, arguments)         \
  TIARA_INTERPOSE int function parameters noexcept {       \
    acquire_before_privileges_go();                        \
    return TIARA_REAL(function) arguments;                 \
  }

BEFORE_IT(setuid, (uid_t user), (user))
BEFORE_IT(seteuid, (uid_t user), (user))
BEFORE_IT(setreuid, (uid_t real, uid_t effective), (real, effective))
BEFORE_IT(setresuid, (uid_t real, uid_t effective, uid_t saved), (real, effective, saved))
BEFORE_IT(setgid, (gid_t group), (group))
BEFORE_IT(setegid, (gid_t group), (group))
BEFORE_IT(setregid, (gid_t real, gid_t effective), (real, effective))
BEFORE_IT(setresgid, (gid_t real, gid_t effective, gid_t saved), (real, effective, saved))

TIARA_INTERPOSE int setgroups(size_t count, const gid_t* groups) noexcept {
  acquire_before_privileges_go();
  Guards guards;
  guards.object(groups, count);
  return TIARA_REAL(setgroups)(count, groups);
}

TIARA_INTERPOSE int initgroups(const char* user, gid_t group) {
  acquire_before_privileges_go();
  return TIARA_REAL(initgroups)(user, group);
}

TIARA_INTERPOSE int chroot(const char* path) noexcept {
  acquire_before_privileges_go();
  Guards guards;
  guards.string(path);
  return TIARA_REAL(chroot)(path);
}

TIARA_INTERPOSE int prctl(int option, ...) noexcept {
  va_list list;
  va_start(list, option);
  unsigned long arguments[4];
  for (unsigned long& argument : arguments) argument = va_arg(list, unsigned long);
  va_end(list);
  if (option == PR_SET_SECCOMP) acquire_before_privileges_go();
  constexpr int kSetSyscallUserDispatch = 59;  // linux/prctl.h
  if (option == kSetSyscallUserDispatch) leave_raw_calls_to_program();
  Guards guards;
  // The largest structure that prctl reads or writes (prctl_mm_map) has 104 bytes.
  for (const unsigned long argument : arguments) guards.bytes(reinterpret_cast<const char*>(argument), 104);
  return TIARA_REAL(prctl)(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}
