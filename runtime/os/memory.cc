#include "runtime/os/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tiara::os {

void* raw_mmap(void* address, size_t length, int protection, int flags, int fd, long offset) noexcept {
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, length, protection, flags, fd, offset));
}

int raw_munmap(void* address, size_t length) noexcept {
  return syscall(SYS_munmap, address, length) == 0 ? 0 : -errno;
}

int raw_mprotect(void* address, size_t length, int protection) noexcept {
  return syscall(SYS_mprotect, address, length, protection) == 0 ? 0 : -errno;
}

int raw_madvise(void* address, size_t length, int advice) noexcept {
  return syscall(SYS_madvise, address, length, advice) == 0 ? 0 : -errno;
}

long raw_madvise_ranges(const iovec* ranges, size_t count, int advice) noexcept {
  constexpr int kThisProcess = -10001;  // PIDFD_SELF_THREAD_GROUP of <linux/pidfd.h>
  const long done = syscall(SYS_process_madvise, kThisProcess, ranges, count, advice, 0);
  return done >= 0 ? done : -errno;
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    base_ = std::exchange(other.base_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Mapping::reset() noexcept {
  if (base_ != nullptr) raw_munmap(base_, size_);
  base_ = nullptr;
  size_ = 0;
}

Result<Mapping> Mapping::anonymous(Bytes size) {
  void* base = raw_mmap(nullptr, size.value, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return std::unexpected(system_error("mmap", std::to_string(size.value) + " bytes"));
  return Mapping(static_cast<std::byte*>(base), size.value);
}

namespace {
Result<Mapping> map_shared(const UniqueFd& fd, Bytes size, int protection) {
  void* base = raw_mmap(nullptr, size.value, protection, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (base == MAP_FAILED) return std::unexpected(system_error("mmap", std::to_string(size.value) + " bytes, shared"));
  return Mapping(static_cast<std::byte*>(base), size.value);
}
}  // namespace

Result<Mapping> Mapping::shared(const UniqueFd& fd, Bytes size) { return map_shared(fd, size, PROT_READ | PROT_WRITE); }

Result<Mapping> Mapping::shared_read_only(const UniqueFd& fd, Bytes size) { return map_shared(fd, size, PROT_READ); }

Result<UniqueFd> create_memfd(const char* name, Bytes size) {
  UniqueFd fd(static_cast<int>(syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  if (!fd.is_open()) return std::unexpected(system_error("memfd_create", name));
  if (ftruncate(fd.get(), static_cast<off_t>(size.value)) != 0)
    return std::unexpected(system_error("ftruncate", std::to_string(size.value) + " bytes"));
  return fd;
}

Result<void> seal_memfd(const UniqueFd& fd, Seal seal) {
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (seal == Seal::kSizeAndWrite) seals |= F_SEAL_FUTURE_WRITE;
  if (fcntl(fd.get(), F_ADD_SEALS, seals) != 0) return std::unexpected(system_error("fcntl(F_ADD_SEALS)"));
  return {};
}

bool is_sealed_memfd(const UniqueFd& fd, Bytes size) noexcept {
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  struct stat status {};
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd.get(), &status) == 0 &&
         status.st_size >= 0 && static_cast<uint64_t>(status.st_size) >= size.value;
}

}  // namespace tiara::os
