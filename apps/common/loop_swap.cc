#include "apps/common/loop_swap.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <unistd.h>

#include "apps/common/swap_area.h"
#include "apps/common/zram_swap.h"
#include "runtime/os/memory.h"

namespace tiara::apps {
namespace {

constexpr const char* kControl = "/dev/loop-control";
// Somebody else may take the device that was free a moment ago.
constexpr int kTries = 8;

std::string path_of(int number) {
  return fmt::format("/dev/loop{}", number);
}

}  // namespace

Result<std::unique_ptr<LoopSwap>> LoopSwap::create(Bytes size) {
  size.value = round_up(size.value, kPageSize);
  TIARA_TRY(const UniqueFd file, os::create_memfd("tiara-loop-swap", size));
  const UniqueFd control(open(kControl, O_RDWR | O_CLOEXEC));
  if (!control.is_open()) return std::unexpected(system_error("open", kControl));
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return std::unexpected(system_error("LOOP_CTL_GET_FREE", kControl));
    std::unique_ptr<LoopSwap> swap(new LoopSwap(number));
    swap->device_ = UniqueFd(open(path_of(number).c_str(), O_RDWR | O_CLOEXEC));
    if (!swap->device_.is_open()) return std::unexpected(system_error("open", path_of(number)));
    loop_config config{};
    config.fd = static_cast<uint32_t>(file.get());
    config.block_size = kPageSize;
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (ioctl(swap->device_.get(), LOOP_CONFIGURE, &config) != 0) {
      if (errno == EBUSY) continue;
      return std::unexpected(system_error("LOOP_CONFIGURE", path_of(number)));
    }
    TIARA_TRY_VOID(write_swap_header(path_of(number), size));
    constexpr int kFirstChoice = SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK;
    if (swapon(path_of(number).c_str(), kFirstChoice) != 0)
      return std::unexpected(system_error("swapon", path_of(number)));
    swap->is_on_ = true;
    return swap;
  }
  return fail(ErrorCode::kUnavailable, "no loop device stayed free long enough to be taken; try again");
}

LoopSwap::~LoopSwap() {
  const std::string device = path_of(number_);
  if (is_on_ && swapoff(device.c_str()) != 0)
    fmt::print(stderr, "tiara: {}; run 'swapoff {}'\n", system_error("swapoff", device).message, device);
}

std::string why_no_loop_swap() {
  if (geteuid() != 0) return "needs root";
  if (access(kControl, R_OK | W_OK) != 0) return "the kernel has no loop devices (modprobe loop)";
  return why_no_memory_cgroup();
}

}  // namespace tiara::apps
