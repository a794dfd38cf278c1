#include "runtime/os/stream_loop.h"

#include "runtime/os/epoll_loop.h"
#include "runtime/os/uring_loop.h"

namespace tiara::os {

Result<IoBackend> parse_io_backend(std::string_view text) {
  if (text == "auto") return IoBackend::kAuto;
  if (text == "io_uring") return IoBackend::kUring;
  if (text == "sockets") return IoBackend::kSockets;
  return fail(ErrorCode::kInvalidInput, "\"" + std::string(text) + "\": use auto, io_uring or sockets");
}

std::string_view to_string(IoBackend backend) {
  switch (backend) {
    case IoBackend::kAuto: return "auto";
    case IoBackend::kUring: return "io_uring";
    case IoBackend::kSockets: return "sockets";
  }
  return "unknown";
}

Result<void> probe_uring() {
  TIARA_TRY_VOID(UringLoop::create());
  return {};
}

Result<std::unique_ptr<StreamLoop>> StreamLoop::create(IoBackend backend) {
  switch (backend) {
    case IoBackend::kSockets: return EpollLoop::create();
    case IoBackend::kUring: return UringLoop::create();
    case IoBackend::kAuto: break;
  }
  if (auto loop = UringLoop::create()) return loop;
  return EpollLoop::create();
}

}  // namespace tiara::os
