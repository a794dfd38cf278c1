#include "runtime/os/uring_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/check.h"
#include "runtime/os/socket.h"

namespace tiara::os {
namespace {

constexpr uint32_t kEntries = 256;
constexpr uint32_t kCompletions = 4096;
// Provided buffers: 64 of 32 KiB hold what a few busy clients send between two rounds. When they run out, receives
// stop with ENOBUFS and are armed again: slower, never wrong.
constexpr uint32_t kBuffers = 64;
constexpr uint32_t kBufferBytes = 32 * 1024;
constexpr int kGroup = 0;
static_assert((kBuffers & (kBuffers - 1)) == 0);

// Newest first: completions are handled in our own context, when we ask for them, which spares interrupts.
int set_up(io_uring& ring) noexcept {
  int error = -EINVAL;
  for (const uint32_t flags :
       {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0u}) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = kCompletions;
    error = io_uring_queue_init_params(kEntries, &ring, &params);
    if (error != -EINVAL) return error;
  }
  return error;
}

}  // namespace

Result<std::unique_ptr<StreamLoop>> UringLoop::create() {
  std::unique_ptr<UringLoop> loop(new UringLoop);
  if (const int error = set_up(loop->ring_); error != 0)
    return std::unexpected(system_error("io_uring_setup", "kernel.io_uring_disabled, seccomp or an old kernel; use "
                                                          "--io sockets",
                                        -error));
  loop->has_ring_ = true;
  TIARA_TRY(loop->provided_memory_, Mapping::anonymous(Bytes{kBuffers * sizeof(io_uring_buf)}));
  TIARA_TRY(loop->buffers_, Mapping::anonymous(Bytes{uint64_t{kBuffers} * kBufferBytes}));
  loop->provided_ = reinterpret_cast<io_uring_buf_ring*>(loop->provided_memory_.data());
  io_uring_buf_reg reg{};
  reg.ring_addr = reinterpret_cast<uint64_t>(loop->provided_);
  reg.ring_entries = kBuffers;
  reg.bgid = kGroup;
  if (const int error = io_uring_register_buf_ring(&loop->ring_, &reg, 0); error != 0)
    return std::unexpected(system_error("io_uring_register", "provided buffers; use --io sockets", -error));
  io_uring_buf_ring_init(loop->provided_);
  for (uint32_t i = 0; i < kBuffers; i++) loop->give_back(i);
  TIARA_TRY(loop->event_, create_event());
  loop->arm_wake();
  return loop;
}

UringLoop::~UringLoop() {
  // Closes the ring first: the kernel lets go of buffers and sockets before they are freed.
  if (has_ring_) io_uring_queue_exit(&ring_);
}

void UringLoop::give_back(uint32_t buffer) noexcept {
  io_uring_buf_ring_add(provided_, buffers_.data() + size_t{buffer} * kBufferBytes, kBufferBytes,
                        static_cast<unsigned short>(buffer), io_uring_buf_ring_mask(kBuffers), 0);
  io_uring_buf_ring_advance(provided_, 1);
}

io_uring_sqe* UringLoop::next_entry() noexcept {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) {
    io_uring_submit(&ring_);
    entry = io_uring_get_sqe(&ring_);
  }
  TIARA_CHECK(entry != nullptr);
  return entry;
}

void UringLoop::arm_receive(uint64_t key, Stream& stream) noexcept {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_recv_multishot(entry, stream.socket.get(), nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = kGroup;
  entry->user_data = tag(key, Operation::kReceive);
  stream.is_receiving = true;
  stream.in_flight++;
}

void UringLoop::arm_send(uint64_t key, Stream& stream) noexcept {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_send(entry, stream.socket.get(), stream.unsent.data(), stream.unsent.size(),
                     MSG_NOSIGNAL | MSG_WAITALL);
  entry->user_data = tag(key, Operation::kSend);
  stream.in_flight++;
}

void UringLoop::arm_wake() noexcept {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_poll_add(entry, event_.get(), POLLIN);
  entry->user_data = tag(0, Operation::kWake);
}

void UringLoop::cancel_receive(uint64_t key, Stream& stream) noexcept {
  if (!stream.is_receiving) return;
  io_uring_sqe* entry = next_entry();
  io_uring_prep_cancel64(entry, tag(key, Operation::kReceive), 0);
  entry->user_data = tag(key, Operation::kCancel);
}

Result<void> UringLoop::add(uint64_t key, UniqueFd socket) {
  // An operation on a non-blocking socket would fail instead of waiting.
  const int flags = fcntl(socket.get(), F_GETFL);
  if (flags < 0 || fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK) != 0)
    return std::unexpected(system_error("fcntl", "connection"));
  Stream& stream = streams_[key];
  stream.socket = std::move(socket);
  arm_receive(key, stream);
  return {};
}

void UringLoop::send(uint64_t key, std::span<const std::byte> bytes) noexcept {
  Stream& stream = streams_.at(key);
  stream.unsent = bytes;
  arm_send(key, stream);
}

void UringLoop::pause(uint64_t key) noexcept {
  Stream& stream = streams_.at(key);
  stream.is_paused = true;
  cancel_receive(key, stream);
}

void UringLoop::resume(uint64_t key) noexcept {
  Stream& stream = streams_.at(key);
  stream.is_paused = false;
  if (!stream.is_receiving) arm_receive(key, stream);
}

void UringLoop::remove(uint64_t key) noexcept {
  Stream& stream = streams_.at(key);
  if (stream.is_removed) return;
  stream.is_removed = true;
  // The kernel completes what waits on the socket, with an error or with what it has done.
  shutdown(stream.socket.get(), SHUT_RDWR);
  cancel_receive(key, stream);
  if (stream.in_flight == 0) idle_removed_.push_back(key);
}

void UringLoop::finish_removal(Owner& owner, uint64_t key, const Stream& stream) noexcept {
  if (!stream.is_removed || stream.in_flight != 0) return;
  streams_.erase(key);
  owner.removed(key);
}

void UringLoop::complete_receive(Owner& owner, uint64_t key, Stream& stream, const io_uring_cqe& completion) noexcept {
  if ((completion.flags & IORING_CQE_F_MORE) == 0) {
    stream.is_receiving = false;
    stream.in_flight--;
  }
  const bool has_buffer = (completion.flags & IORING_CQE_F_BUFFER) != 0;
  const uint32_t buffer = completion.flags >> IORING_CQE_BUFFER_SHIFT;
  if (completion.res > 0 && has_buffer && !stream.is_removed)
    owner.received(key, {buffers_.data() + size_t{buffer} * kBufferBytes, static_cast<size_t>(completion.res)});
  if (has_buffer) give_back(buffer);
  const bool is_over = completion.res == 0 || (completion.res < 0 && completion.res != -ENOBUFS &&
                                               completion.res != -ECANCELED && completion.res != -EINTR);
  if (is_over && !stream.is_removed) owner.broke(key);
  // received() and broke() may have paused, resumed or removed the stream; it stays in the table until removed().
  if (!stream.is_receiving && !stream.is_paused && !stream.is_removed && !is_over) arm_receive(key, stream);
}

void UringLoop::complete_send(Owner& owner, uint64_t key, Stream& stream, int result) noexcept {
  stream.in_flight--;
  if (stream.is_removed) return;
  if (result > 0) stream.unsent = stream.unsent.subspan(static_cast<size_t>(result));
  if (stream.unsent.empty()) {
    owner.sent(key);
  } else if (result > 0 || result == -EAGAIN || result == -EINTR) {
    arm_send(key, stream);
  } else {
    owner.broke(key);
  }
}

void UringLoop::complete(Owner& owner, const io_uring_cqe& completion) noexcept {
  const uint64_t key = completion.user_data >> 2;
  const auto operation = static_cast<Operation>(completion.user_data & 3);
  if (operation == Operation::kCancel) return;
  if (operation == Operation::kWake) {
    (void)!read(event_.get(), &woken_value_, sizeof woken_value_);
    arm_wake();
    owner.woken();
    return;
  }
  const auto found = streams_.find(key);
  TIARA_CHECK(found != streams_.end());
  Stream& stream = found->second;
  if (operation == Operation::kReceive)
    complete_receive(owner, key, stream, completion);
  else
    complete_send(owner, key, stream, completion.res);
  finish_removal(owner, key, stream);
}

// Whether the kernel holds completions back until it is entered: a look at shared memory.
bool UringLoop::has_kernel_work() const noexcept {
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

uint32_t UringLoop::run(Owner& owner, Nanoseconds bound) noexcept {
  uint32_t handled = 0;
  std::vector<uint64_t> removed;
  removed.swap(idle_removed_);
  for (const uint64_t key : removed) {
    const auto found = streams_.find(key);
    if (found == streams_.end()) continue;  // it went with its last completion
    handled++;
    finish_removal(owner, key, found->second);
  }
  io_uring_cqe* first = nullptr;
  if (handled == 0 && bound > Nanoseconds::zero()) {
    __kernel_timespec time{bound.count() / 1'000'000'000, bound.count() % 1'000'000'000};
    io_uring_submit_and_wait_timeout(&ring_, &first, 1, &time, nullptr);
  } else if (io_uring_sq_ready(&ring_) != 0 || has_kernel_work()) {
    io_uring_submit_and_get_events(&ring_);
  }
  // A round is bounded by what is there now: what callbacks start is for the next one.
  std::array<io_uring_cqe*, 64> batch;
  const uint32_t count = io_uring_peek_batch_cqe(&ring_, batch.data(), batch.size());
  for (uint32_t i = 0; i < count; i++) {
    const io_uring_cqe completion = *batch[i];
    complete(owner, completion);
  }
  io_uring_cq_advance(&ring_, count);
  return handled + count;
}

void UringLoop::wake() noexcept { signal_event(event_); }

}  // namespace tiara::os
