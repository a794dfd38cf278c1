// Exit statuses of the `tiara` command and of programs that the runtime has to stop (sysexits.h numbers,
// and env(1)'s for programs that cannot be started). docs/operating.md lists them for users.
#pragma once

namespace tiara {

enum ExitStatus : int {
  kExitOk = 0,
  kExitFailure = 1,      // the command ran and its answer is "no" (a rejected program, a doctor's refusal)
  kExitUsage = 64,       // unknown option, malformed value
  kExitDataError = 65,   // corrupt or malformed input file
  kExitUnavailable = 69, // the memory node cannot be reached, or was lost while the program ran
  kExitBug = 70,         // an internal invariant broke
  kExitOsError = 71,     // a system call that must work did not; also: a page failed its content check
  kExitNodeFull = 73,    // the memory node has no frame left
  kExitNoPermission = 77,// userfaultfd or the node refuses this user
  kExitForked = 78,      // a forked child touched a page that only its parent can reach
  kExitCannotExec = 126, // the program exists but cannot run with far memory (static, setuid)
  kExitNoProgram = 127,  // the program was not found
};

}  // namespace tiara
