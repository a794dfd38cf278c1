// A bad network between a client and a node, in this process: forwards TCP connections and, when told to, cuts them,
// flips a bit of what passes, or holds everything back.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "runtime/os/tcp.h"
#include "runtime/os/unique_fd.h"

namespace tiara::nic::testing {

class Proxy {
 public:
  // `to` is a node's tcp:// URL.
  explicit Proxy(const std::string& to) : to_(*os::resolve_tcp(to.substr(6))) {
    auto listener = os::listen_tcp(*os::resolve_tcp("127.0.0.1:0"));
    REQUIRE(listener);
    listener_ = std::move(*listener);
    url_ = "tcp://" + os::to_string(*os::local_address(listener_));
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  const std::string& url() const { return url_; }

  void cut() { cuts_++; }
  // Of the bytes that pass from now on, the one after `bytes` others gets a bit flipped.
  void corrupt_after(int64_t bytes) { corrupt_after_ = bytes; }
  bool has_corrupted() const { return corrupt_after_ < 0; }
  void record() { is_recording_ = true; }
  // Nothing passes and nobody gets in, and nobody is told.
  void hold(bool whether) { is_holding_ = whether; }
  uint32_t connections() const { return connections_; }
  // Whether these bytes were in one of the pieces that passed.
  bool has_passed(std::span<const std::byte> wanted) const {
    const std::lock_guard lock(mutex_);
    return !std::ranges::search(passed_, wanted).empty();
  }

 private:
  struct Pair {
    UniqueFd client, node;
  };

  void run(const std::stop_token& stop) {
    uint32_t cuts = 0;
    while (!stop.stop_requested()) {
      if (cuts != cuts_) {
        cuts = cuts_;
        pairs_.clear();
      }
      std::vector<pollfd> polls;
      if (!is_holding_) {
        polls.push_back({listener_.get(), POLLIN, 0});
        for (const Pair& pair : pairs_) {
          polls.push_back({pair.client.get(), POLLIN, 0});
          polls.push_back({pair.node.get(), POLLIN, 0});
        }
      }
      if (poll(polls.data(), polls.size(), 2) <= 0) continue;
      std::vector<size_t> ended;
      for (size_t i = 0; i < pairs_.size(); i++) {
        const bool is_over = (polls[1 + 2 * i].revents != 0 && !pass(pairs_[i].client, pairs_[i].node)) ||
                             (polls[2 + 2 * i].revents != 0 && !pass(pairs_[i].node, pairs_[i].client));
        if (is_over) ended.push_back(i);
      }
      for (auto at = ended.rbegin(); at != ended.rend(); ++at)
        pairs_.erase(pairs_.begin() + static_cast<ptrdiff_t>(*at));
      if (polls[0].revents != 0) accept();
    }
  }
  void accept() {
    UniqueFd client = os::accept_tcp(listener_);
    auto node = os::open_tcp(to_, std::chrono::seconds(1));
    if (!client.is_open() || !node || os::connect_tcp(*node, to_, std::chrono::seconds(5)) != 0) return;
    connections_++;
    pairs_.push_back({std::move(client), std::move(*node)});
  }
  bool pass(const UniqueFd& from, const UniqueFd& to) {
    std::array<std::byte, 16384> room;
    const long got = os::receive_some(from, room, os::Wait::kNo);
    if (got < 0) return false;
    if (const int64_t at = corrupt_after_; at >= 0 && got > 0) {
      if (at < got) room[static_cast<size_t>(at)] ^= std::byte{16};
      corrupt_after_ = at < got ? -1 : at - got;
    }
    std::span<const std::byte> rest(room.data(), static_cast<size_t>(got));
    if (is_recording_) {
      const std::lock_guard lock(mutex_);
      passed_.insert(passed_.end(), rest.begin(), rest.end());
    }
    while (!rest.empty()) {
      const long sent = os::send_some(to, rest);
      if (sent < 0) return false;
      if (sent == 0) os::poll_socket(to, os::PollFor::kRoom, std::chrono::milliseconds(100));
      rest = rest.subspan(static_cast<size_t>(sent));
    }
    return true;
  }

  os::TcpAddress to_;
  UniqueFd listener_;
  std::string url_;
  std::vector<Pair> pairs_;  // the thread's own
  std::atomic<uint32_t> cuts_{0}, connections_{0};
  std::atomic<int64_t> corrupt_after_{-1};
  std::atomic<bool> is_holding_{false}, is_recording_{false};
  mutable std::mutex mutex_;  // passed_
  std::vector<std::byte> passed_;
  std::jthread thread_;
};

}  // namespace tiara::nic::testing
