#include "runtime/os/epoll_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <unistd.h>

#include "runtime/os/socket.h"
#include "runtime/os/tcp.h"

namespace tiara::os {
namespace {

constexpr uint64_t kWakeKey = UINT64_MAX;

}  // namespace

Result<std::unique_ptr<StreamLoop>> EpollLoop::create() {
  std::unique_ptr<EpollLoop> loop(new EpollLoop);
  loop->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_.is_open()) return std::unexpected(system_error("epoll_create1"));
  TIARA_TRY(loop->event_, create_event());
  epoll_event interest{};
  interest.events = EPOLLIN;
  interest.data.u64 = kWakeKey;
  if (epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, loop->event_.get(), &interest) != 0)
    return std::unexpected(system_error("epoll_ctl"));
  return loop;
}

Result<void> EpollLoop::add(uint64_t key, UniqueFd socket) {
  epoll_event interest{};
  interest.events = EPOLLIN | EPOLLRDHUP;
  interest.data.u64 = key;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.get(), &interest) != 0)
    return std::unexpected(system_error("epoll_ctl", "connection"));
  streams_.emplace(key, Stream{std::move(socket), {}, false});
  return {};
}

void EpollLoop::watch(uint64_t key, const Stream& stream) noexcept {
  epoll_event interest{};
  if (!stream.is_paused) interest.events |= EPOLLIN | EPOLLRDHUP;
  if (!stream.unsent.empty()) interest.events |= EPOLLOUT;
  interest.data.u64 = key;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, stream.socket.get(), &interest);
}

void EpollLoop::send(uint64_t key, std::span<const std::byte> bytes) noexcept {
  Stream& stream = streams_.at(key);
  stream.unsent = bytes;
  if (push(stream)) {
    happened_.push_back({Event::kSent, key});
  } else {
    watch(key, stream);
  }
}

// True when all is sent. A broken connection shows when it is read.
bool EpollLoop::push(Stream& stream) noexcept {
  while (!stream.unsent.empty()) {
    const long sent = send_some(stream.socket, stream.unsent);
    if (sent == 0) return false;
    if (sent < 0) {
      stream.unsent = {};
      return true;
    }
    stream.unsent = stream.unsent.subspan(static_cast<size_t>(sent));
  }
  return true;
}

void EpollLoop::pause(uint64_t key) noexcept {
  Stream& stream = streams_.at(key);
  stream.is_paused = true;
  watch(key, stream);
}

void EpollLoop::resume(uint64_t key) noexcept {
  Stream& stream = streams_.at(key);
  stream.is_paused = false;
  watch(key, stream);
}

void EpollLoop::remove(uint64_t key) noexcept {
  streams_.erase(key);
  happened_.push_back({Event::kRemoved, key});
}

void EpollLoop::read(Owner& owner, uint64_t key, uint32_t events) noexcept {
  const auto found = streams_.find(key);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  if ((events & EPOLLOUT) != 0 && !stream.unsent.empty() && push(stream)) {
    watch(key, stream);
    happened_.push_back({Event::kSent, key});
  }
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
  if (stream.is_paused) {
    // Not to be read, but gone: EPOLLHUP and EPOLLERR are reported whatever was asked for.
    owner.broke(key);
    return;
  }
  const long got = receive_some(stream.socket, room_, Wait::kNo);
  if (got > 0) owner.received(key, std::span(room_).first(static_cast<size_t>(got)));
  if (got < 0) owner.broke(key);
}

uint32_t EpollLoop::run(Owner& owner, Nanoseconds bound) noexcept {
  std::array<epoll_event, 64> events;
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(bound).count();
  const int wait = !happened_.empty() ? 0 : static_cast<int>(std::clamp<int64_t>(milliseconds, 0, 60'000));
  const int count = std::max(0, epoll_wait(epoll_.get(), events.data(), events.size(), wait));
  uint32_t handled = static_cast<uint32_t>(count);
  for (int i = 0; i < count; i++) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.u64 == kWakeKey) {
      uint64_t value = 0;
      (void)!::read(event_.get(), &value, sizeof value);
      owner.woken();
    } else {
      read(owner, event.data.u64, event.events);
    }
  }
  // Callbacks may make more of them: those are for the next round.
  batch_.swap(happened_);
  for (const Happened& it : batch_) {
    handled++;
    switch (it.event) {
      case Event::kSent:
        if (streams_.contains(it.key)) owner.sent(it.key);
        break;
      case Event::kRemoved: owner.removed(it.key); break;
    }
  }
  batch_.clear();
  return handled;
}

void EpollLoop::wake() noexcept { signal_event(event_); }

}  // namespace tiara::os
