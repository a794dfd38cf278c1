// The floor that no pager gets below: faults by signal, served with one UFFDIO_COPY from local memory and no policy at
// all; and for sequential access, UFFDIO_MOVE of 16 pages at a time.
#pragma once

#include "apps/fault/worker.h"

namespace tiara::apps::fault {

// Prints lines of the same form as run_worker(): patterns "floor_copy" (random pages) and "floor_move" (in order).
// Returns the exit status: 77 when this kernel or user has no signal delivery.
int run_floor(const WorkerOptions& options);

}  // namespace tiara::apps::fault
