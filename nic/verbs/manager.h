// Making reliable connections with librdmacm: identifiers (an end of a connection, or a listener) and what happens to
// them. One thread at a time uses a manager and its identifiers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/os/clock.h"
#include "runtime/os/tcp.h"

struct rdma_cm_id;
struct rdma_event_channel;

namespace tiara::nic::verbs {

inline constexpr size_t kMaxPrivateData = 56;  // of a connection request; an acceptance takes more

// An owned rdma_cm_id.
class Id {
 public:
  Id() = default;
  explicit Id(rdma_cm_id* id) noexcept : id_(id) {}
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, nullptr)) {}
  Id& operator=(Id&& other) noexcept {
    reset();
    id_ = std::exchange(other.id_, nullptr);
    return *this;
  }
  ~Id() { reset(); }
  void reset() noexcept;  // its queue must be gone
  rdma_cm_id* get() const noexcept { return id_; }
  bool is_open() const noexcept { return id_ != nullptr; }

 private:
  rdma_cm_id* id_ = nullptr;
};

struct ManagerEvent {
  enum class Kind : uint8_t {
    kNone,             // nothing now
    kAddressResolved,
    kRouteResolved,
    kRequest,          // `request` is the new connection's
    kEstablished,
    kRefused,          // nobody listens there, or it does not want us
    kDisconnected,
    kFailed,           // unreachable, no address, no route, or the device is gone
  } kind = Kind::kNone;
  Id request;
  const rdma_cm_id* id = nullptr;  // which; dangling once its owner has ended it
  int status = 0;                  // a negative errno, or why it was refused (InfiniBand's number)
  std::array<std::byte, kMaxPrivateData> data{};
  size_t data_bytes = 0;

  std::span<const std::byte> private_data() const { return std::span(data).first(data_bytes); }
};

class Manager {
 public:
  static Result<Manager> create();
  Manager(Manager&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
  Manager& operator=(Manager&&) = delete;
  ~Manager();

  int descriptor() const noexcept;  // readable when next() has something
  ManagerEvent next() noexcept;
  // The next event, or kNone at the deadline.
  ManagerEvent await(os::Nanoseconds deadline) noexcept;

  Result<Id> make_id();
  // Binds to the one device that has `address`, and listens. Port 0: any; see port_of().
  Result<Id> listen(const os::TcpAddress& address, int backlog);
  static uint16_t port_of(const Id& id) noexcept;

  // Each starts something that an event ends. 0, or the errno.
  static int resolve_address(const Id& id, const os::TcpAddress& address, os::Nanoseconds timeout) noexcept;
  static int resolve_route(const Id& id, os::Nanoseconds timeout) noexcept;
  static int connect(const Id& id, std::span<const std::byte> private_data) noexcept;
  static int accept(const Id& id, std::span<const std::byte> private_data) noexcept;
  static void reject(const Id& id) noexcept;
  static void disconnect(const Id& id) noexcept;

 private:
  explicit Manager(rdma_event_channel* channel) noexcept : channel_(channel) {}
  rdma_event_channel* channel_;
};

}  // namespace tiara::nic::verbs
