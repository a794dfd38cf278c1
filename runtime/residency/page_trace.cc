#include "runtime/residency/page_trace.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tiara::residency {
namespace {

constexpr uint32_t kArrivalBits = 2;

Result<UniqueFd> open_file(const std::string& path, int flags) {
  // The raw call: open is interposed by the preload layer.
  UniqueFd fd(static_cast<int>(syscall(SYS_openat, AT_FDCWD, path.c_str(), flags | O_CLOEXEC, 0644)));
  if (!fd.is_open()) return std::unexpected(system_error("open", path + "; name a trace file that can be used"));
  return fd;
}

Bytes file_size(uint64_t records) { return {sizeof(PageTrace::Header) + records * sizeof(uint32_t)}; }

// The header of a file that says of itself that it is a trace, as large as it must be.
Result<os::Mapping> map_file(const UniqueFd& fd, const std::string& path) {
  const off_t end = lseek(fd.get(), 0, SEEK_END);
  if (end < 0) return std::unexpected(system_error("lseek", path));
  const auto size = static_cast<uint64_t>(end);
  const auto refuse = [&] {
    return fail(ErrorCode::kInvalidInput, path + " is not a page trace; make one with tiara run --trace FILE");
  };
  if (size < sizeof(PageTrace::Header)) return refuse();
  TIARA_TRY(os::Mapping memory, os::Mapping::shared(fd, Bytes{size}));
  const auto* header = reinterpret_cast<const PageTrace::Header*>(memory.data());
  if (header->magic != PageTrace::kMagic || header->capacity > (size - sizeof(PageTrace::Header)) / sizeof(uint32_t))
    return refuse();
  return memory;
}

}  // namespace

Result<void> PageTrace::make_file(const std::string& path, uint64_t capacity) {
  TIARA_TRY(const UniqueFd fd, open_file(path, O_RDWR | O_CREAT | O_TRUNC));
  if (ftruncate(fd.get(), static_cast<off_t>(file_size(capacity).value)) != 0)
    return std::unexpected(system_error("ftruncate", path));
  TIARA_TRY(const os::Mapping memory, os::Mapping::shared(fd, Bytes{sizeof(Header)}));
  auto* header = reinterpret_cast<Header*>(memory.data());
  header->magic = kMagic;
  header->capacity = capacity;
  return {};
}

Result<PageTrace> PageTrace::open(const std::string& path) {
  TIARA_TRY(const UniqueFd fd, open_file(path, O_RDWR));
  TIARA_TRY(os::Mapping memory, map_file(fd, path));
  int32_t nobody = 0;
  auto* header = reinterpret_cast<Header*>(memory.data());
  // Another process's page numbers would be another space's: it goes unrecorded.
  if (!header->owner.compare_exchange_strong(nobody, getpid(), std::memory_order_relaxed)) return PageTrace();
  return PageTrace(std::move(memory));
}

Result<uint64_t> PageTrace::finish_file(const std::string& path) {
  TIARA_TRY(const UniqueFd fd, open_file(path, O_RDWR));
  uint64_t kept = 0;
  uint64_t lost = 0;
  {
    TIARA_TRY(const os::Mapping memory, map_file(fd, path));
    auto* header = reinterpret_cast<Header*>(memory.data());
    const uint64_t count = header->count.load(std::memory_order_relaxed);
    kept = std::min(count, header->capacity);
    lost = count - kept;
    header->capacity = kept;
  }
  if (ftruncate(fd.get(), static_cast<off_t>(file_size(kept).value)) != 0)
    return std::unexpected(system_error("ftruncate", path));
  return lost;
}

Result<std::vector<PageTrace::Record>> PageTrace::read_file(const std::string& path) {
  TIARA_TRY(const UniqueFd fd, open_file(path, O_RDWR));
  TIARA_TRY(os::Mapping memory, map_file(fd, path));
  PageTrace trace(std::move(memory));
  const uint64_t count = std::min(trace.header_->count.load(std::memory_order_relaxed), trace.header_->capacity);
  std::vector<Record> records;
  records.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const uint32_t raw = trace.records_[i].load(std::memory_order_relaxed);
    const uint32_t how = raw & ((1u << kArrivalBits) - 1);
    if (how > static_cast<uint32_t>(fault::Arrival::kTakenBack))
      return fail(ErrorCode::kInvalidInput, path + ": record " + std::to_string(i) + " is damaged; record it again");
    records.push_back({PageNumber{raw >> kArrivalBits}, static_cast<fault::Arrival>(how)});
  }
  return records;
}

void PageTrace::record(PageNumber page, fault::Arrival how) noexcept {
  const uint64_t at = header_->count.fetch_add(1, std::memory_order_relaxed);
  if (at >= header_->capacity) return;
  records_[at].store(static_cast<uint32_t>(page.value << kArrivalBits) | static_cast<uint32_t>(how),
                     std::memory_order_relaxed);
}

}  // namespace tiara::residency
