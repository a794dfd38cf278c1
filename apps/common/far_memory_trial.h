// What `tiara doctor` tries out: a small program of its own under libtiara.so, whose memory is
// several times what it may keep here, once for each delivery mode.
#pragma once

#include "apps/common/findings.h"

namespace tiara::apps {

// Adds one finding for each delivery mode, and one that says what follows when neither works.
void try_far_memory(Findings& findings);

// The small program: fills memory, reads all of it back twice, and compares. Returns its exit
// status.
int far_memory_trial_main();

// The argument of `tiara doctor` that makes it the small program; not for users.
inline constexpr const char* kTrialArgument = "--be-the-trial";

}  // namespace tiara::apps
