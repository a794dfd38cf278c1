#include "apps/common/swap_area.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/os/unique_fd.h"

namespace tiara::apps {

// The first page of a swap area: include/linux/swap.h, union swap_header; what mkswap(8) writes.
Result<void> write_swap_header(const std::string& device, Bytes size) {
  struct Info {
    char boot_bits[1024];
    uint32_t version;
    uint32_t last_page;
    uint32_t bad_pages;
  };
  std::vector<char> page(kPageSize, 0);
  const Info info{{}, 1, static_cast<uint32_t>(size.value / kPageSize - 1), 0};
  memcpy(page.data(), &info, sizeof info);
  memcpy(page.data() + kPageSize - 10, "SWAPSPACE2", 10);
  const UniqueFd file(open(device.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.is_open()) return std::unexpected(system_error("open", device));
  if (pwrite(file.get(), page.data(), page.size(), 0) != static_cast<ssize_t>(page.size()))
    return std::unexpected(system_error("pwrite", device));
  if (fsync(file.get()) != 0) return std::unexpected(system_error("fsync", device));
  return {};
}

}  // namespace tiara::apps
