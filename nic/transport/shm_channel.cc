#include "nic/transport/shm_channel.h"

#include <algorithm>
#include <cstring>
#include <sys/mman.h>

#include "nic/transport/request_frame.h"
#include "runtime/base/check.h"
#include "runtime/os/clock.h"
#include "runtime/os/futex.h"
#include "runtime/os/socket.h"

namespace tiara::nic {

using os::Nanoseconds;
using wire::Lane;
using wire::SlotState;

namespace {

// A dead node is noticed after the first slice where it died before we slept, and never later than the last one.
constexpr Nanoseconds kFirstSlice{5'000'000};
constexpr Nanoseconds kLongestSlice{100'000'000};

constexpr uint32_t word_of(SlotState state) { return static_cast<uint32_t>(state); }

}  // namespace

ShmChannel::ShmChannel(std::string path, UniqueFd socket, const wire::Welcome& welcome, Nanoseconds timeout) noexcept
    : path_(std::move(path)),
      timeout_(timeout),
      tenant_(welcome.tenant),
      slot_count_(welcome.slots),
      worker_(welcome.worker),
      socket_(std::move(socket)),
      slots_(welcome.slots) {}

ShmChannel::~ShmChannel() = default;

// --- data path ---

wire::SegmentHeader& ShmChannel::header() const noexcept {
  return *reinterpret_cast<wire::SegmentHeader*>(segment_.data());
}

wire::SegmentSlot& ShmChannel::slot(uint32_t index) const noexcept {
  return reinterpret_cast<wire::SegmentSlot*>(segment_.data() + wire::kSlotsOffset)[index];
}

const wire::BoardLine& ShmChannel::board_line() const noexcept {
  return reinterpret_cast<const wire::Board*>(board_.data())->lines[worker_];
}

void ShmChannel::submit(uint32_t index, Lane lane, const Request& request, std::span<std::byte> reply_room) noexcept {
  Pending& pending = pending_[index];
  pending.request_id = next_request_id_.fetch_add(1, std::memory_order_relaxed);
  pending.refusal = Refusal::kNone;
  wire::InvocationFrame frame;
  if (const auto refusal = make_frame(request, reply_room.size(), pending.request_id, tenant_, frame)) {
    pending.refusal = *refusal;
    return;
  }
  pending.reply_room = reply_room.first(frame.reply_room);
  copy_payload(request, segment_.data() + wire::payload_offset(index));
  wire::SegmentSlot& shared = slot(index);
  wire::encode(frame, shared.invocation);
  shared.done_at.store(0, std::memory_order_relaxed);
  shared.cpu.store(os::current_cpu(), std::memory_order_relaxed);
  shared.state.store(word_of(SlotState::kSubmitted), std::memory_order_relaxed);
  // Releases all of the above to the worker that takes the bit; sequentially consistent with the look at `asleep`.
  header().submitted[static_cast<uint32_t>(lane)].fetch_or(uint64_t{1} << index, std::memory_order_seq_cst);
  if (board_line().asleep.load(std::memory_order_seq_cst) == 0) return;
  header().rung_at.store(static_cast<uint64_t>(os::monotonic_now().count()), std::memory_order_relaxed);
  os::signal_event(doorbell_);
}

bool ShmChannel::is_answered(uint32_t index) const noexcept {
  // Acquire: pairs with the worker's exchange, so that reply and bytes are seen.
  return slot(index).state.load(std::memory_order_acquire) == word_of(SlotState::kDone);
}

bool ShmChannel::await(uint32_t index) noexcept {
  if (is_answered(index)) return true;
  const Nanoseconds start = os::monotonic_now();
  const auto worker_cpu = [this] { return board_line().cpu.load(std::memory_order_relaxed); };
  if (spin_.wait(start, [&] { return is_answered(index); }, worker_cpu)) {
    spin_.record(os::monotonic_now() - start);
    return true;
  }
  return await_asleep(index, start);
}

bool ShmChannel::await_asleep(uint32_t index, Nanoseconds start) noexcept {
  wire::SegmentSlot& shared = slot(index);
  const Nanoseconds deadline = start + timeout_;
  Nanoseconds slice = kFirstSlice;
  for (;;) {
    uint32_t state = word_of(SlotState::kSubmitted);
    // Release is not needed (nothing is published), acquire is: the failure may be kDone.
    const bool announced = shared.state.compare_exchange_strong(state, word_of(SlotState::kAwaited),
                                                                std::memory_order_acquire) ||
                           state == word_of(SlotState::kAwaited);
    if (!announced && state != word_of(SlotState::kDone)) break;  // the node scribbles: no word of ours
    if (announced)
      (void)os::futex_wait(shared.state, word_of(SlotState::kAwaited), std::min(slice, timeout_),
                           os::FutexScope::kShared);
    if (is_answered(index)) {
      const Nanoseconds now = os::monotonic_now();
      const Nanoseconds done(static_cast<int64_t>(shared.done_at.load(std::memory_order_relaxed)));
      spin_.record(std::clamp(done, start, now) - start);
      return true;
    }
    if (is_lost() || os::has_hung_up(socket_) || os::monotonic_now() >= deadline) break;
    slice = std::min(slice * 2, kLongestSlice);
  }
  if (is_answered(index)) return true;  // its last words
  mark_lost();
  return false;
}

Reply ShmChannel::take_answer(uint32_t index) noexcept {
  const Pending& pending = pending_[index];
  std::array<std::byte, wire::kFrameBytes> bytes;
  std::memcpy(bytes.data(), slot(index).reply.data(), bytes.size());
  wire::ReplyFrame frame;
  if (wire::decode(bytes, frame) != wire::DecodeStatus::kOk || frame.request_id != pending.request_id ||
      frame.outcome.reply_bytes > pending.reply_room.size()) {
    mark_lost();
    return {};
  }
  if (frame.outcome.reply_bytes > 0)  // without room there is no address to copy to
    std::memcpy(pending.reply_room.data(), segment_.data() + wire::reply_offset(index), frame.outcome.reply_bytes);
  return {CallStatus::kAnswered, frame.outcome};
}

// The slot of a lost request stays taken: the node may still be writing into it.
Reply ShmChannel::finish(uint32_t index) noexcept {
  Reply reply;
  if (pending_[index].refusal != Refusal::kNone) {
    reply = refused(pending_[index].refusal);
  } else {
    if (!await(index)) return {};
    reply = take_answer(index);
  }
  slots_.release(index);
  return reply;
}

uint32_t ShmChannel::take_call_slot() noexcept {
  uint32_t index = slots_.try_take(Lane::kCall);
  if (index != SlotPool::kNone) return index;
  const Nanoseconds deadline = os::monotonic_now() + timeout_;
  while (!is_lost()) {
    index = slots_.take(Lane::kCall, std::min(kLongestSlice, timeout_));
    if (index != SlotPool::kNone) return index;
    if (os::has_hung_up(socket_) || os::monotonic_now() >= deadline) mark_lost();
  }
  return SlotPool::kNone;
}

Reply ShmChannel::call(const Request& request, std::span<std::byte> reply_room) noexcept {
  if (is_lost()) return {};
  const uint32_t index = take_call_slot();
  if (index == SlotPool::kNone) return {};
  submit(index, Lane::kCall, request, reply_room);
  return finish(index);
}

Ticket ShmChannel::post(const Request& request, std::span<std::byte> reply_room) noexcept {
  if (is_lost()) return {};
  const uint32_t index = slots_.try_take(Lane::kPosted);
  if (index == SlotPool::kNone) return {};
  submit(index, Lane::kPosted, request, reply_room);
  return {index};
}

bool ShmChannel::is_done(Ticket ticket) noexcept {
  TIARA_CHECK(slots_.is_taken(ticket.value));
  return pending_[ticket.value].refusal != Refusal::kNone || is_answered(ticket.value) || is_lost();
}

Reply ShmChannel::collect(Ticket ticket) noexcept {
  TIARA_CHECK(slots_.is_taken(ticket.value));
  return finish(ticket.value);
}

void ShmChannel::mark_lost() noexcept {
  // Release: pairs with is_lost(). Whoever sleeps on a slot looks around now instead of at the end of its slice.
  if (is_lost_.exchange(true, std::memory_order_acq_rel)) return;
  for (uint32_t i = 0; i < slot_count_; i++) os::futex_wake_all(slot(i).state, os::FutexScope::kShared);
}

// --- control path ---

Result<std::unique_ptr<ShmChannel>> ShmChannel::connect(const std::string& path, const ConnectOptions& options) {
  const Nanoseconds timeout = options.node_timeout;
  const Nanoseconds deadline = os::monotonic_now() + timeout;
  const auto unreachable = [&path](Error error) {
    error.message = "cannot reach the memory node at shm://" + path + ": " + error.message +
                    "; start it with: tiara node --listen shm://" + path;
    return std::unexpected(std::move(error));
  };
  auto socket = os::connect_unix(path, deadline);
  if (!socket) return unreachable(std::move(socket).error());
  const auto hello = wire::encode_request(wire::ControlOperation::kHello, 0, {},
                                          wire::encode(wire::Hello{options.slots, options.token}));
  if (auto sent = os::send_all(*socket, hello, deadline); !sent) return unreachable(std::move(sent).error());
  std::array<std::byte, wire::kControlHeaderBytes> bytes;
  auto fds = os::receive_all_with_fds(*socket, bytes, deadline);
  if (!fds) return unreachable(std::move(fds).error());
  TIARA_TRY(const wire::ControlHeader header, wire::decode_control_header(bytes));
  wire::Body body(header.body_bytes);
  if (auto received = os::receive_all(*socket, body, deadline); !received)
    return unreachable(std::move(received).error());
  TIARA_TRY_VOID(wire::check_body(header, body));
  if (header.status != 0) return std::unexpected(wire::decode_error(header, body));
  TIARA_TRY(const wire::Welcome welcome, wire::decode_welcome(body));
  if (fds->size() != 3 || welcome.slots == 0 || welcome.slots > wire::kMaxSlots ||
      welcome.worker >= wire::kMaxWorkers ||
      welcome.segment_bytes != wire::segment_bytes(welcome.slots) ||
      welcome.board_bytes != wire::kBoardBytes)
    return fail(ErrorCode::kInvalidInput,
                "the node's welcome makes no sense; use the same version of tiara on both sides");
  std::unique_ptr<ShmChannel> channel(new ShmChannel(path, std::move(*socket), welcome, timeout));
  TIARA_TRY_VOID(channel->map((*fds)[0], (*fds)[1], std::move((*fds)[2])));
  return channel;
}

Result<void> ShmChannel::map(const UniqueFd& segment, const UniqueFd& board, UniqueFd doorbell) {
  const Bytes size{wire::segment_bytes(slot_count_)};
  if (!os::is_sealed_memfd(segment, size) || !os::is_sealed_memfd(board, Bytes{wire::kBoardBytes}))
    return fail(ErrorCode::kInvalidInput, "the node's shared memory is not sealed; use the same version of tiara");
  TIARA_TRY(segment_, os::Mapping::shared(segment, size));
  TIARA_TRY(board_, os::Mapping::shared_read_only(board, Bytes{wire::kBoardBytes}));
  // A forked child must not talk to the node as if it were its parent.
  os::raw_madvise(segment_.data(), segment_.size(), MADV_DONTFORK);
  os::raw_madvise(board_.data(), board_.size(), MADV_DONTFORK);
  doorbell_ = std::move(doorbell);
  const auto& shared_board = *reinterpret_cast<const wire::Board*>(board_.data());
  if (header().magic != wire::kShmMagic || header().version != wire::kShmVersion ||
      shared_board.magic != wire::kShmMagic || shared_board.version != wire::kShmVersion)
    return fail(ErrorCode::kInvalidInput, "the node lays out shared memory differently; use the same version of tiara");
  return {};
}

Result<ShmChannel::Answer> ShmChannel::exchange(wire::ControlOperation operation, std::span<const std::byte> body) {
  const Nanoseconds deadline = os::monotonic_now() + timeout_;
  const uint64_t id = next_request_id_.fetch_add(1, std::memory_order_relaxed);
  TIARA_TRY_VOID(os::send_all(socket_, wire::encode_request(operation, id, tenant_, body), deadline));
  std::array<std::byte, wire::kControlHeaderBytes> bytes;
  TIARA_TRY_VOID(os::receive_all(socket_, bytes, deadline));
  TIARA_TRY(const wire::ControlHeader reply, wire::decode_control_header(bytes));
  wire::Body answer(reply.body_bytes);
  TIARA_TRY_VOID(os::receive_all(socket_, answer, deadline));
  TIARA_TRY_VOID(wire::check_body(reply, answer));
  if (reply.kind != wire::FrameKind::kControlReply || reply.request_id != id || reply.operation != operation)
    return fail(ErrorCode::kInvalidInput, "an answer to another question");
  return Answer{reply, std::move(answer)};
}

Result<wire::Body> ShmChannel::ask(wire::ControlOperation operation, std::span<const std::byte> body) {
  const std::lock_guard lock(control_mutex_);
  if (is_lost()) return fail(ErrorCode::kUnavailable, "the memory node at shm://" + path_ + " is lost; start it again");
  auto answer = exchange(operation, body);
  if (answer && answer->header.status == 0) return std::move(answer->body);
  if (answer) return std::unexpected(wire::decode_error(answer->header, answer->body));
  mark_lost();  // where the stream stands is unknown
  Error error = std::move(answer).error();
  error.message = "lost the memory node at shm://" + path_ + ": " + error.message + "; start it again";
  return std::unexpected(std::move(error));
}

}  // namespace tiara::nic
