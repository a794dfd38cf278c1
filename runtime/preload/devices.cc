#include "runtime/preload/devices.h"

#include <cstring>

#include "runtime/residency/far_memory.h"

namespace tiara::preload {

int note_opened(int fd, const char* path) noexcept {
  // Before the program gets the descriptor, so before the device can know of its memory.
  if (fd < 0 || strncmp(path, "/dev/", 5) != 0) return fd;
  // Where drivers of such devices put their nodes: verbs, VFIO, GPUs (NVIDIA, DRM, AMD), shared DMA buffers, UIO,
  // accelerators.
  for (const char* device : {"infiniband/", "vfio/", "nvidia", "dri/", "kfd", "udmabuf", "dma_heap/", "uio", "accel/"})
    if (strncmp(path + 5, device, strlen(device)) == 0) FarMemory::expect_device_access();
  return fd;
}

}  // namespace tiara::preload
