// The stack on which a thread resolves its faults in signal mode. Ours is large and near; a stack that the program
// names with sigaltstack(2) is remembered and reported back, but its handlers run on ours as well.
#pragma once

#include <csignal>
#include <cstdint>

namespace tiara::preload {

// Gives the calling thread its alternate stack (once) and lets the runtime's signals through. Freed when it ends.
void enter_thread() noexcept;
// Once per process, before the first enter_thread().
void prepare_alternate_stacks() noexcept;

bool is_in_alternate_stack(uintptr_t address) noexcept;  // of the calling thread
bool is_on_alternate_stack() noexcept;

// sigaltstack(2) as the program means it; does the code that asks run on the alternate stack?
enum class StackUse : uint8_t { kFree, kInUse };
int change_programs_stack(const stack_t* stack, stack_t* old, StackUse use) noexcept;

}  // namespace tiara::preload
