// Devices that write to the program's memory by themselves, between its system calls: RDMA adapters, devices handed to
// user space, accelerators. Eviction has to leave their pages alone once the program turns to one
// (FarMemory::expect_device_access).
#pragma once

namespace tiara::preload {

// The program has opened `path`, or has not (`fd` is negative, and the path may be no readable memory). Returns `fd`.
int note_opened(int fd, const char* path) noexcept;

}  // namespace tiara::preload
