#include "apps/common/zram_swap.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "apps/common/swap_area.h"
#include "runtime/os/unique_fd.h"

namespace tiara::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHotAdd = "/sys/class/zram-control/hot_add";
constexpr const char* kHotRemove = "/sys/class/zram-control/hot_remove";
// Names begin with this, then the maker's process id: that is how a later run knows what is stale.
constexpr std::string_view kCgroupPrefix = "tiara-bench-";

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text, '\0');
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Result<void> write_text(const std::string& path, std::string_view text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.is_open()) return std::unexpected(system_error("open", path));
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return std::unexpected(system_error("write", fmt::format("{} to {}", text, path)));
  return {};
}

struct CgroupRoot {
  std::string path;
  bool is_v2;
};

// The mount that has the memory controller, from /proc/self/mounts.
Result<CgroupRoot> find_memory_controller() {
  std::istringstream mounts(read_text("/proc/self/mounts"));
  std::string device, path, type, options, rest;
  std::vector<CgroupRoot> found;
  while (mounts >> device >> path >> type >> options && std::getline(mounts, rest)) {
    const std::string listed = "," + options + ",";
    if (type == "cgroup" && listed.find(",memory,") != std::string::npos)
      found.push_back({path, false});
    if (type == "cgroup2") {
      const std::string controllers = " " + read_text(path + "/cgroup.controllers") + " ";
      if (controllers.find(" memory ") != std::string::npos) found.push_back({path, true});
    }
  }
  if (found.empty())
    return fail(ErrorCode::kUnsupported,
                "no memory cgroup is mounted; mount one, or boot with cgroup_enable=memory");
  return found.front();
}

std::vector<pid_t> processes_in(const fs::path& cgroup) {
  std::ifstream file(cgroup / "cgroup.procs");
  std::vector<pid_t> pids;
  for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
  return pids;
}

// rmdir of a cgroup is refused while its last process is still being torn down.
void remove_cgroup(const fs::path& path) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (rmdir(path.c_str()) == 0 || errno == ENOENT) return;
    for (const pid_t pid : processes_in(path)) kill(pid, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

std::string block_folder(int number) {
  return fmt::format("/sys/block/zram{}", number);
}
std::string device_path(int number) {
  return fmt::format("/dev/zram{}", number);
}

void remove_device(int number) {
  // The device stays busy for a moment after swapoff.
  for (int attempt = 0; attempt < 50 && !write_text(block_folder(number) + "/reset", "1");
       ++attempt)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  if (number == 0) return;  // made when the module was loaded: not ours to remove
  for (int attempt = 0; attempt < 50 && !write_text(kHotRemove, std::to_string(number)); ++attempt)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

// Cgroups, and the swap that their names tell of, of benchmarks that were killed before they could
// clean up.
void remove_stale_cgroups(const CgroupRoot& root) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root.path, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kCgroupPrefix)) continue;
    const pid_t maker =
        static_cast<pid_t>(strtol(name.c_str() + kCgroupPrefix.size(), nullptr, 10));
    if (maker <= 0 || kill(maker, 0) == 0 || errno != ESRCH) continue;
    remove_cgroup(entry.path());
    int number = 0;
    const char* const label = name.c_str() + name.rfind('-');
    // A loop device goes by itself with its last user.
    if (sscanf(label, "-loop%d", &number) == 1) (void)swapoff(fmt::format("/dev/loop{}", number).c_str());
    if (sscanf(label, "-zram%d", &number) != 1) continue;
    if (swapoff(device_path(number).c_str()) == 0) remove_device(number);
  }
}

bool is_unused(int number) {
  return read_text(block_folder(number) + "/disksize") == "0";
}

Result<int> take_device() {
  // hot_add makes a device that is surely nobody else's; older kernels only have the ones made at
  // load time.
  if (const int number = atoi(read_text(kHotAdd).c_str());
      access(kHotAdd, F_OK) == 0 && access(block_folder(number).c_str(), F_OK) == 0)
    return number;
  if (is_unused(0)) return 0;
  return fail(ErrorCode::kUnsupported, "no free zram device; load the zram module (modprobe zram)");
}

}  // namespace

Result<std::unique_ptr<MemoryCgroup>> MemoryCgroup::create(Bytes limit, const std::string& label) {
  TIARA_TRY(const CgroupRoot root, find_memory_controller());
  remove_stale_cgroups(root);
  if (root.is_v2)
    (void)write_text(root.path + "/cgroup.subtree_control", "+memory");  // may be on already
  const std::string path = fmt::format("{}/{}{}-{}", root.path, kCgroupPrefix, getpid(), label);
  if (mkdir(path.c_str(), 0755) != 0) return std::unexpected(system_error("mkdir", path));
  std::unique_ptr<MemoryCgroup> cgroup(new MemoryCgroup(path, root.is_v2));
  TIARA_TRY_VOID(write_text(path + (root.is_v2 ? "/memory.max" : "/memory.limit_in_bytes"),
                            std::to_string(limit.value)));
  return cgroup;
}

MemoryCgroup::~MemoryCgroup() {
  remove_cgroup(path_);
}

uint64_t MemoryCgroup::oom_kills() const {
  std::istringstream events(read_text(path_ + (is_v2_ ? "/memory.events" : "/memory.oom_control")));
  std::string name;
  for (uint64_t value = 0; events >> name >> value;)
    if (name == "oom_kill") return value;
  return 0;
}

Result<std::unique_ptr<ZramSwap>> ZramSwap::create(Bytes size) {
  TIARA_TRY(const int number, take_device());
  std::unique_ptr<ZramSwap> swap(new ZramSwap(number));
  TIARA_TRY_VOID(swap->start(size));
  return swap;
}

Result<void> ZramSwap::start(Bytes size) {
  size.value = round_up(size.value, kPageSize);
  TIARA_TRY_VOID(write_text(block_folder(number_) + "/disksize", std::to_string(size.value)));
  const std::string device = device_path(number_);
  if (access(device.c_str(), F_OK) != 0) {  // no udev here: make the node ourselves
    unsigned major_number = 0, minor_number = 0;
    if (sscanf(read_text(block_folder(number_) + "/dev").c_str(), "%u:%u", &major_number,
               &minor_number) != 2)
      return fail(ErrorCode::kSystem,
                  fmt::format("{}/dev does not name a device", block_folder(number_)));
    if (mknod(device.c_str(), S_IFBLK | 0600, makedev(major_number, minor_number)) != 0)
      return std::unexpected(system_error("mknod", device));
    made_node_ = true;
  }
  TIARA_TRY_VOID(write_swap_header(device, size));
  constexpr int kFirstChoice = SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK;
  if (swapon(device.c_str(), kFirstChoice) != 0)
    return std::unexpected(system_error("swapon", device));
  is_on_ = true;
  return {};
}

ZramSwap::~ZramSwap() {
  const std::string device = device_path(number_);
  if (is_on_ && swapoff(device.c_str()) != 0)
    fmt::print(stderr, "tiara: {}; run 'swapoff {}'\n", system_error("swapoff", device).message,
               device);
  remove_device(number_);
  if (made_node_) unlink(device.c_str());
}

std::string ZramSwap::compressor() const {
  const std::string all =
      read_text(block_folder(number_) + "/comp_algorithm");  // "lzo [lzo-rle] lz4"
  const size_t open_bracket = all.find('['), close_bracket = all.find(']');
  if (open_bracket == std::string::npos || close_bracket == std::string::npos) return all;
  return all.substr(open_bracket + 1, close_bracket - open_bracket - 1);
}

std::string why_no_zram() {
  if (geteuid() != 0) return "needs root";
  if (access(kHotAdd, F_OK) != 0 && access(block_folder(0).c_str(), F_OK) != 0)
    return "the kernel has no zram (modprobe zram)";
  return why_no_memory_cgroup();
}

std::string why_no_memory_cgroup() {
  if (const auto root = find_memory_controller(); !root) return root.error().message;
  return {};
}

}  // namespace tiara::apps
