// Where OpenSSL's memory comes from. Our copy of OpenSSL lives in other people's processes too, and makes connections
// again on a thread that must never wait for the program's allocator: it has an allocator of its own, near by
// definition, whose lock nobody holds while he touches anything else.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tiara::nic::tls {

// Blocks are 16-byte aligned; nullptr when the system has no more. Thread-safe; not for signal handlers.
void* allocate_near(size_t bytes) noexcept;
void* reallocate_near(void* block, size_t bytes) noexcept;
void release_near(void* block) noexcept;

// How many blocks were ever asked for. For tests: what allocates and what does not.
uint64_t near_allocations() noexcept;

}  // namespace tiara::nic::tls
