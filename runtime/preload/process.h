// The life of far memory in this process: what the user asked for, when it starts, what becomes of it in children.
#pragma once

#include "runtime/base/config.h"
#include "runtime/base/stats.h"

namespace tiara::preload {

// What the environment asks for; nullptr when it asks for nothing (or this is a child that should have none).
// Valid once the constructor of libtiara.so has run.
const Config* active_config() noexcept;

// Starts far memory now. A failure ends the process with one line: the user asked for far memory, and going on
// without it would take the memory of the machine instead.
void start_far_memory() noexcept;

// The program is about to give up privileges, or to filter its system calls: opens what needs them first.
void acquire_before_privileges_go() noexcept;

// What a fork needs, in this order; pthread_atfork runs them for libc's forks.
void before_fork() noexcept;
void after_fork_in_parent() noexcept;
void after_fork_in_child() noexcept;

// This process's entry in the shared statistics; nullptr before the start.
stats::ProcessStats* process_stats() noexcept;

}  // namespace tiara::preload
