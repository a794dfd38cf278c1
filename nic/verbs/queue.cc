#include "nic/verbs/queue.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>

#include "nic/verbs/library.h"

namespace tiara::nic::verbs {
namespace {

// A frame without bytes travels in the request itself: no second fetch by the device.
constexpr uint32_t kWantedInline = 128;
// Requests in one list; longer ones are posted in parts.
constexpr size_t kListLength = 16;

void count(std::atomic<uint64_t>& counter, uint64_t by = 1) noexcept {
  counter.fetch_add(by, std::memory_order_relaxed);
}

int access_flags(Access access) noexcept {
  switch (access) {
    case Access::kNone: return IBV_ACCESS_LOCAL_WRITE;
    case Access::kRead: return IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ;
    case Access::kReadWrite: return IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
  }
  return 0;
}

ibv_wr_opcode opcode_of(Send::Kind kind) noexcept {
  switch (kind) {
    case Send::Kind::kSend: return IBV_WR_SEND_WITH_IMM;
    case Send::Kind::kWrite: return IBV_WR_RDMA_WRITE_WITH_IMM;
    case Send::Kind::kProbe: return IBV_WR_RDMA_WRITE;
    case Send::Kind::kRead: return IBV_WR_RDMA_READ;
  }
  return IBV_WR_SEND;
}

}  // namespace

// --- Registration ---

Registration::Registration(Registration&& other) noexcept
    : mapping_(std::move(other.mapping_)), bytes_(std::exchange(other.bytes_, {})),
      region_(std::exchange(other.region_, nullptr)) {}

Registration& Registration::operator=(Registration&& other) noexcept {
  reset();
  mapping_ = std::move(other.mapping_);
  bytes_ = std::exchange(other.bytes_, {});
  region_ = std::exchange(other.region_, nullptr);
  return *this;
}

void Registration::reset() noexcept {
  if (region_ != nullptr) library().ibv_dereg_mr(std::exchange(region_, nullptr));
  mapping_.reset();
  bytes_ = {};
}

uint32_t Registration::local_key() const noexcept { return region_->lkey; }
RemoteArea Registration::remote() const noexcept {
  return {reinterpret_cast<uint64_t>(bytes_.data()), region_->rkey};
}

// --- Domain ---

Result<std::unique_ptr<Domain>> Domain::create(const Id& id) {
  std::unique_ptr<Domain> made(new Domain);
  made->domain_ = library().ibv_alloc_pd(id.get()->verbs);
  if (made->domain_ == nullptr) return std::unexpected(system_error("ibv_alloc_pd"));
  made->channel_ = library().ibv_create_comp_channel(id.get()->verbs);
  if (made->channel_ == nullptr) return std::unexpected(system_error("ibv_create_comp_channel"));
  const int flags = fcntl(made->channel_->fd, F_GETFL);
  if (flags < 0 || fcntl(made->channel_->fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return std::unexpected(system_error("fcntl", "the completion channel"));
  return made;
}

Domain::~Domain() {
  if (channel_ != nullptr) library().ibv_destroy_comp_channel(channel_);
  if (domain_ != nullptr) library().ibv_dealloc_pd(domain_);
}

Result<Registration> Domain::allocate(Bytes size, Access access) {
  // Shared memory: it plays the link, and is not the program's anonymous memory.
  TIARA_TRY(const UniqueFd fd, os::create_memfd("tiara-rdma", size));
  Registration made;
  TIARA_TRY(made.mapping_, os::Mapping::shared(fd, size));
  os::raw_madvise(made.mapping_.data(), made.mapping_.size(), MADV_DONTFORK);
  made.bytes_ = made.mapping_.span();
  return register_bytes(std::move(made), access);
}

Result<Registration> Domain::adopt(std::span<std::byte> memory, Access access) {
  Registration made;
  made.bytes_ = memory;
  return register_bytes(std::move(made), access);
}

Result<Registration> Domain::register_bytes(Registration made, Access access) {
  made.region_ = library().register_memory(domain_, made.bytes_.data(), made.bytes_.size(), access_flags(access));
  if (made.region_ != nullptr) return made;
  Error error = system_error("ibv_reg_mr", std::to_string(made.bytes_.size()) + " bytes");
  if (error.sys_errno == ENOMEM || error.sys_errno == EAGAIN || error.sys_errno == EPERM)
    error.message += "; registered memory is locked: raise ulimit -l (LimitMEMLOCK= in a unit)";
  return std::unexpected(std::move(error));
}

int Domain::descriptor() const noexcept { return channel_->fd; }

std::vector<int> Domain::descriptors() const {
  return {channel_->fd, domain_->context->cmd_fd, domain_->context->async_fd};
}

std::optional<uint64_t> Domain::next_report() noexcept {
  ibv_cq* queue = nullptr;
  void* cookie = nullptr;
  if (library().ibv_get_cq_event(channel_, &queue, &cookie) != 0) return std::nullopt;
  library().ibv_ack_cq_events(queue, 1);
  return reinterpret_cast<uint64_t>(cookie);
}

// --- Queue ---

Result<std::unique_ptr<Queue>> Queue::create(const Id& id, Domain& domain, const Limits& limits, uint64_t cookie) {
  if (id.get()->verbs != domain.domain_->context)
    return fail(ErrorCode::kUnavailable, "the address is another RDMA device's than before");
  std::unique_ptr<Queue> made(new Queue);
  made->id_ = id.get();
  // One completion for each receive and for each send: it cannot overflow.
  made->completions_ =
      library().ibv_create_cq(id.get()->verbs, static_cast<int>(limits.receives + limits.sends),
                              reinterpret_cast<void*>(cookie), domain.channel_, 0);
  if (made->completions_ == nullptr) return std::unexpected(system_error("ibv_create_cq"));
  ibv_qp_init_attr wanted{};
  wanted.send_cq = wanted.recv_cq = made->completions_;
  wanted.qp_type = IBV_QPT_RC;
  wanted.cap = {limits.sends, limits.receives, 1, 1, kWantedInline};
  if (library().rdma_create_qp(id.get(), domain.domain_, &wanted) != 0) {
    wanted.cap.max_inline_data = 0;  // a device without
    if (library().rdma_create_qp(id.get(), domain.domain_, &wanted) != 0)
      return std::unexpected(system_error("rdma_create_qp"));
  }
  made->pair_ = id.get()->qp;
  made->max_inline_ = std::min(wanted.cap.max_inline_data, kWantedInline);
  return made;
}

Queue::~Queue() {
  if (pair_ != nullptr) library().rdma_destroy_qp(id_);
  if (completions_ != nullptr) library().ibv_destroy_cq(completions_);
}

bool Queue::post_sends(std::span<const Send> list) noexcept {
  std::array<ibv_send_wr, kListLength> requests;
  std::array<ibv_sge, kListLength> pieces;
  while (!list.empty()) {
    const size_t length = std::min(list.size(), kListLength);
    for (size_t i = 0; i < length; i++) {
      const Send& send = list[i];
      pieces[i] = {reinterpret_cast<uint64_t>(send.at), send.length, send.key};
      ibv_send_wr& request = requests[i];
      request = {};
      request.wr_id = send.tag;
      request.next = i + 1 < length ? &requests[i + 1] : nullptr;
      request.sg_list = &pieces[i];
      request.num_sge = send.length != 0 ? 1 : 0;
      request.opcode = opcode_of(send.kind);
      request.imm_data = htonl(send.immediate);
      request.wr.rdma.remote_addr = send.remote.address;
      request.wr.rdma.rkey = send.remote.key;
      if (send.signal == Send::Signal::kYes) request.send_flags |= IBV_SEND_SIGNALED;
      if (send.kind != Send::Kind::kRead && send.length != 0 && send.length <= max_inline_) {
        request.send_flags |= IBV_SEND_INLINE;
        count(counters_.inlined);
      }
      switch (send.kind) {
        case Send::Kind::kSend: count(counters_.sends); break;
        case Send::Kind::kWrite: count(counters_.writes); break;
        case Send::Kind::kProbe: count(counters_.probes); break;
        case Send::Kind::kRead: count(counters_.reads); break;
      }
    }
    count(counters_.lists);
    ibv_send_wr* refused = nullptr;
    if (ibv_post_send(pair_, requests.data(), &refused) != 0) return false;
    list = list.subspan(length);
  }
  return true;
}

bool Queue::post_receives(std::span<const Receive> list) noexcept {
  std::array<ibv_recv_wr, kListLength> requests;
  std::array<ibv_sge, kListLength> pieces;
  while (!list.empty()) {
    const size_t length = std::min(list.size(), kListLength);
    for (size_t i = 0; i < length; i++) {
      const Receive& receive = list[i];
      pieces[i] = {reinterpret_cast<uint64_t>(receive.at), receive.length, receive.key};
      requests[i] = {};
      requests[i].wr_id = receive.tag;
      requests[i].next = i + 1 < length ? &requests[i + 1] : nullptr;
      requests[i].sg_list = &pieces[i];
      requests[i].num_sge = receive.length != 0 ? 1 : 0;
    }
    ibv_recv_wr* refused = nullptr;
    if (ibv_post_recv(pair_, requests.data(), &refused) != 0) return false;
    list = list.subspan(length);
  }
  return true;
}

size_t Queue::poll(std::span<Completion> room) noexcept {
  std::array<ibv_wc, kListLength> taken;
  const int most = static_cast<int>(std::min(room.size(), taken.size()));
  const int polled = ibv_poll_cq(completions_, most, taken.data());
  if (polled < 0) {
    room[0] = {Completion::Kind::kBroken, 0, 0, 0};
    return 1;
  }
  for (size_t i = 0; i < static_cast<size_t>(polled); i++) {
    const ibv_wc& work = taken[i];
    room[i] = {Completion::Kind::kBroken, 0, 0, work.wr_id};
    if (work.status != IBV_WC_SUCCESS) continue;  // the other fields are not valid then
    const bool is_arrival = (work.opcode & IBV_WC_RECV) != 0;
    room[i].kind = is_arrival ? Completion::Kind::kReceived : Completion::Kind::kSent;
    count(is_arrival ? counters_.arrivals : counters_.completions);
    if (!is_arrival) continue;
    // Everything that travels has an immediate.
    if ((work.wc_flags & IBV_WC_WITH_IMM) == 0) room[i].kind = Completion::Kind::kBroken;
    room[i].immediate = ntohl(work.imm_data);
    room[i].length = work.byte_len;
  }
  return static_cast<size_t>(polled);
}

bool Queue::arm() noexcept { return ibv_req_notify_cq(completions_, 0) == 0; }

void Queue::break_off() noexcept {
  ibv_qp_attr broken{};
  broken.qp_state = IBV_QPS_ERR;
  (void)library().ibv_modify_qp(pair_, &broken, IBV_QP_STATE);
}

WorkCounts Queue::counts() const noexcept {
  const auto read = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  return {read(counters_.sends), read(counters_.writes),  read(counters_.reads),       read(counters_.probes),
          read(counters_.lists), read(counters_.inlined), read(counters_.completions), read(counters_.arrivals)};
}

}  // namespace tiara::nic::verbs
