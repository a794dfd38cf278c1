// Anonymous private mappings of the program in far memory, and what it maps over them.
#pragma once

namespace tiara::preload {

// The registry is consistent across a fork.
void lock_mappings() noexcept;
void unlock_mappings() noexcept;

// mmap family as plain functions, for syscall(2) of the program too. `caller`: who asked.
void* map(void* address, unsigned long length, int protection, int flags, int fd, long offset,
          const void* caller) noexcept;
void* remap(void* old_address, unsigned long old_length, unsigned long new_length, int flags,
            void* new_address) noexcept;

}  // namespace tiara::preload
