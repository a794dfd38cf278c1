#include "nic/verbs/manager.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>

#include "nic/verbs/library.h"

namespace tiara::nic::verbs {
namespace {

// 4.096 us times two to this power, half a second, and seven times again: a peer that acknowledges nothing for some
// four seconds is gone. InfiniBand's own figure for Ethernet makes that half a minute.
constexpr uint8_t kAckTimeout = 17;
constexpr uint8_t kRetries = 7;
// Credits see to it that there always is a receive. Finite, so that a peer that breaks them cannot hold a queue.
constexpr uint8_t kReceiverNotReadyRetries = 6;

int milliseconds(os::Nanoseconds timeout) noexcept {
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  return static_cast<int>(std::clamp<int64_t>(count, 1, 60'000));
}

void set_timeout(rdma_cm_id* id) noexcept {
  uint8_t timeout = kAckTimeout;  // an old kernel does not know it: then the long one holds
  (void)library().rdma_set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout, sizeof timeout);
}

rdma_conn_param parameters(std::span<const std::byte> private_data) noexcept {
  rdma_conn_param param{};
  param.private_data = private_data.data();
  param.private_data_len = static_cast<uint8_t>(private_data.size());
  param.responder_resources = RDMA_MAX_RESP_RES;
  param.initiator_depth = RDMA_MAX_INIT_DEPTH;
  param.retry_count = kRetries;
  param.rnr_retry_count = kReceiverNotReadyRetries;
  return param;
}

ManagerEvent::Kind kind_of(rdma_cm_event_type type) noexcept {
  using Kind = ManagerEvent::Kind;
  switch (type) {
    case RDMA_CM_EVENT_ADDR_RESOLVED: return Kind::kAddressResolved;
    case RDMA_CM_EVENT_ROUTE_RESOLVED: return Kind::kRouteResolved;
    case RDMA_CM_EVENT_CONNECT_REQUEST: return Kind::kRequest;
    case RDMA_CM_EVENT_ESTABLISHED: return Kind::kEstablished;
    case RDMA_CM_EVENT_REJECTED: return Kind::kRefused;
    case RDMA_CM_EVENT_DISCONNECTED: return Kind::kDisconnected;
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_DEVICE_REMOVAL: return Kind::kFailed;
    case RDMA_CM_EVENT_CONNECT_RESPONSE:  // only without a queue pair of the library's
    case RDMA_CM_EVENT_MULTICAST_JOIN:
    case RDMA_CM_EVENT_MULTICAST_ERROR:
    case RDMA_CM_EVENT_ADDR_CHANGE:
    case RDMA_CM_EVENT_TIMEWAIT_EXIT: break;
  }
  return Kind::kNone;
}

}  // namespace

void Id::reset() noexcept {
  if (id_ != nullptr) library().rdma_destroy_id(std::exchange(id_, nullptr));
}

Result<Manager> Manager::create() {
  TIARA_TRY(const Library* const verbs, Library::load());
  rdma_event_channel* const channel = verbs->rdma_create_event_channel();
  if (channel == nullptr) {
    Error error = system_error("rdma_create_event_channel");
    error.message += "; load the kernel module rdma_ucm";
    return std::unexpected(std::move(error));
  }
  Manager manager(channel);
  const int flags = fcntl(channel->fd, F_GETFL);
  if (flags < 0 || fcntl(channel->fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return std::unexpected(system_error("fcntl", "the event channel"));
  return manager;
}

Manager::~Manager() {
  if (channel_ != nullptr) library().rdma_destroy_event_channel(channel_);
}

int Manager::descriptor() const noexcept { return channel_->fd; }

ManagerEvent Manager::next() noexcept {
  ManagerEvent result;
  rdma_cm_event* event = nullptr;
  while (result.kind == ManagerEvent::Kind::kNone && library().rdma_get_cm_event(channel_, &event) == 0) {
    result.kind = kind_of(event->event);
    result.id = event->id;
    result.status = event->status;
    if (result.kind == ManagerEvent::Kind::kRequest) result.request = Id(event->id);
    result.data_bytes = std::min<size_t>(event->param.conn.private_data_len, kMaxPrivateData);
    if (event->param.conn.private_data == nullptr) result.data_bytes = 0;
    if (result.data_bytes != 0) std::memcpy(result.data.data(), event->param.conn.private_data, result.data_bytes);
    library().rdma_ack_cm_event(event);
  }
  return result;
}

ManagerEvent Manager::await(os::Nanoseconds deadline) noexcept {
  for (;;) {
    ManagerEvent event = next();
    const os::Nanoseconds left = deadline - os::monotonic_now();
    if (event.kind != ManagerEvent::Kind::kNone || left <= os::Nanoseconds::zero()) return event;
    pollfd waiting{channel_->fd, POLLIN, 0};
    (void)poll(&waiting, 1, milliseconds(left));
  }
}

Result<Id> Manager::make_id() {
  rdma_cm_id* id = nullptr;
  if (library().rdma_create_id(channel_, &id, nullptr, RDMA_PS_TCP) != 0)
    return std::unexpected(system_error("rdma_create_id"));
  set_timeout(id);
  return Id(id);
}

Result<Id> Manager::listen(const os::TcpAddress& address, int backlog) {
  TIARA_TRY(Id id, make_id());
  os::TcpAddress copy = address;
  const std::string name = os::to_string(address);
  if (library().rdma_bind_addr(id.get(), reinterpret_cast<sockaddr*>(&copy.bytes)) != 0) {
    Error error = system_error("rdma_bind_addr", name);
    if (error.sys_errno == ENODEV || error.sys_errno == EADDRNOTAVAIL)
      error.message += "; name an address of an RDMA device: tiara doctor lists them";
    return std::unexpected(std::move(error));
  }
  if (id.get()->verbs == nullptr)
    return fail(ErrorCode::kInvalidInput, name + " belongs to no RDMA device, or to every one; name an address of one: "
                                                 "tiara doctor lists them");
  if (library().rdma_listen(id.get(), backlog) != 0) return std::unexpected(system_error("rdma_listen", name));
  return id;
}

uint16_t Manager::port_of(const Id& id) noexcept { return ntohs(library().rdma_get_src_port(id.get())); }

int Manager::resolve_address(const Id& id, const os::TcpAddress& address, os::Nanoseconds timeout) noexcept {
  os::TcpAddress copy = address;
  sockaddr* const to = reinterpret_cast<sockaddr*>(&copy.bytes);
  return library().rdma_resolve_addr(id.get(), nullptr, to, milliseconds(timeout)) == 0 ? 0 : errno;
}

int Manager::resolve_route(const Id& id, os::Nanoseconds timeout) noexcept {
  return library().rdma_resolve_route(id.get(), milliseconds(timeout)) == 0 ? 0 : errno;
}

int Manager::connect(const Id& id, std::span<const std::byte> private_data) noexcept {
  rdma_conn_param param = parameters(private_data);
  return library().rdma_connect(id.get(), &param) == 0 ? 0 : errno;
}

int Manager::accept(const Id& id, std::span<const std::byte> private_data) noexcept {
  set_timeout(id.get());
  rdma_conn_param param = parameters(private_data);
  return library().rdma_accept(id.get(), &param) == 0 ? 0 : errno;
}

void Manager::reject(const Id& id) noexcept { (void)library().rdma_reject(id.get(), nullptr, 0); }

void Manager::disconnect(const Id& id) noexcept { (void)library().rdma_disconnect(id.get()); }

}  // namespace tiara::nic::verbs
