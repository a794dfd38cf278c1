#include "nic/verbs/library.h"

#include <dlfcn.h>
#include <mutex>
#include <string>
#include <unistd.h>

namespace tiara::nic::verbs {
namespace {

constexpr const char* kNoDevice =
    "no RDMA device on this machine; load its driver (soft-RoCE: modprobe rdma_rxe, rdma link add rxe0 type rxe netdev "
    "INTERFACE), or use tcp://";

Library loaded;
pid_t loaded_in = 0;

Result<void*> open_library(const char* name) {
  if (void* handle = dlopen(name, RTLD_NOW | RTLD_LOCAL); handle != nullptr) return handle;
  return fail(ErrorCode::kUnsupported, std::string("cannot load ") + name +
                                           "; install the packages librdmacm1, libibverbs1 and ibverbs-providers");
}

template <typename Function>
bool find(void* handle, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(handle, name));
  return function != nullptr;
}

Result<Library> load_now() {
  // Looked at first: without a device the libraries print warnings of their own.
  if (access("/sys/class/infiniband", F_OK) != 0) return fail(ErrorCode::kUnsupported, kNoDevice);
  TIARA_TRY(void* const rdmacm, open_library("librdmacm.so.1"));
  TIARA_TRY(void* const ibverbs, open_library("libibverbs.so.1"));
  Library library;
  bool is_complete = find(ibverbs, "ibv_reg_mr", library.register_memory);
#define X(name) is_complete &= find(rdmacm, #name, library.name);
  TIARA_RDMACM_FUNCTIONS(X)
#undef X
#define X(name) is_complete &= find(ibverbs, #name, library.name);
  TIARA_IBVERBS_FUNCTIONS(X)
#undef X
  if (!is_complete)
    return fail(ErrorCode::kUnsupported, "librdmacm or libibverbs is too old; install rdma-core 44 or later");
  // What the device writes into (queues in anonymous memory) must stay the parent's when the program forks.
  library.ibv_fork_init();
  int count = 0;
  ibv_device** const devices = library.ibv_get_device_list(&count);
  if (devices != nullptr) library.ibv_free_device_list(devices);
  if (devices == nullptr || count == 0) return fail(ErrorCode::kUnsupported, kNoDevice);
  return library;
}

}  // namespace

Result<const Library*> Library::load() {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  // The libraries keep open devices to themselves, and a forked child may not use those of its parent.
  if (loaded_in != 0 && loaded_in != getpid())
    return fail(ErrorCode::kUnsupported,
                "a forked child cannot use rdma:// when its parent did; run the program with --fork near");
  if (loaded_in == 0) {
    TIARA_TRY(loaded, load_now());
    loaded_in = getpid();
  }
  return &loaded;
}

const Library& library() noexcept { return loaded; }

}  // namespace tiara::nic::verbs
