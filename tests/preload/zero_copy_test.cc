// MSG_ZEROCOPY from far memory: the kernel keeps references to the pages of a send after it has returned, while
// eviction takes them away. A buffer is written again only when the kernel has said that it is done with it.
#include <catch2/catch.hpp>
#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <linux/errqueue.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <thread>
#include <unistd.h>

#include "tests/preload/far.h"

namespace {

constexpr size_t kBuffers = 6;
constexpr size_t kMost = 600'000;   // a send; beyond what is pinned at once
constexpr size_t kWindow = 32 << 10;  // small, so that sends wait in the socket, with references to their pages

struct Connection {
  int sender = -1;
  int receiver = -1;
  Connection() {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    const int server = socket(AF_INET, SOCK_STREAM, 0);
    const int small = kWindow;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(setsockopt(server, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    REQUIRE(bind(server, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(listen(server, 1) == 0);
    REQUIRE(getsockname(server, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    sender = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(connect(sender, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    receiver = accept(server, nullptr, nullptr);
    REQUIRE(receiver >= 0);
    close(server);
  }
  ~Connection() {
    close(sender);
    close(receiver);
  }
};

// The byte at a position of the stream.
char byte_at(uint64_t position) { return static_cast<char>((position * 2654435761u >> 13) ^ (position >> 7)); }

// What the kernel says of sends: they are numbered by the calls that sent something.
class Completions {
 public:
  explicit Completions(int fd) : fd_(fd) {}
  bool is_complete(uint32_t send) const { return send < done_.size() && done_[send]; }
  size_t seen() const { return done_.size(); }

  // Waits for at least one report; false when something is wrong.
  bool wait() {
    pollfd entry{fd_, 0, 0};  // POLLERR needs no asking
    while (poll(&entry, 1, -1) < 0)
      if (errno != EINTR) return false;
    return take() || errno == EAGAIN;
  }

  // One report, if there is one; errno is EAGAIN if not.
  bool take() {
    errno = 0;
    far::Object<msghdr> message;
    far::Object<char[512]> control;
    message->msg_control = *control;
    message->msg_controllen = sizeof *control;
    if (recvmsg(fd_, message.get(), MSG_ERRQUEUE) != 0) return false;
    for (cmsghdr* part = CMSG_FIRSTHDR(message.get()); part != nullptr; part = CMSG_NXTHDR(message.get(), part)) {
      if (part->cmsg_level != SOL_IP || part->cmsg_type != IP_RECVERR) continue;
      sock_extended_err error;
      memcpy(&error, CMSG_DATA(part), sizeof error);
      if (error.ee_origin != SO_EE_ORIGIN_ZEROCOPY || error.ee_errno != 0) return errno = EPROTO, false;
      if (error.ee_data >= done_.size()) done_.resize(error.ee_data + 1);
      for (uint32_t send = error.ee_info; send <= error.ee_data; ++send) done_[send] = true;
      // SO_EE_CODE_ZEROCOPY_COPIED may be set or not: loopback copies what it delivers, and keeps what has to wait.
    }
    return true;
  }

 private:
  int fd_;
  std::vector<bool> done_;
};

// Sends what each call of `send_some(fd, bytes, length)` takes, out of buffers used again and again; the receiver
// compares. What a call leaves over is not sent: the stream goes on with the next buffer.
template <typename Send>
void stream(size_t sends, Send send_some) {
  Connection connection;
  const int on = 1;
  REQUIRE(setsockopt(connection.sender, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) == 0);
  constexpr size_t kNone = SIZE_MAX;
  size_t wrong_at = kNone;
  std::thread reader([&] {
    std::vector<char> near(17'000);
    uint64_t position = 0;
    for (ssize_t got = 0; (got = recv(connection.receiver, near.data(), near.size(), 0)) > 0;)
      for (ssize_t i = 0; i < got; ++i, ++position)
        if (near[static_cast<size_t>(i)] != byte_at(position) && wrong_at == kNone) wrong_at = position;
  });
  std::vector<char> churn(12 << 20);  // far: sends the buffers away
  std::vector<std::unique_ptr<far::Block>> buffers;
  for (size_t i = 0; i < kBuffers; ++i) buffers.push_back(std::make_unique<far::Block>(kMost + far::kPage));
  std::vector<uint32_t> used_by(kBuffers, 0);
  Completions completions(connection.sender);
  uint64_t position = 0;
  bool is_right = true;
  for (uint32_t i = 0; i < sends && is_right; ++i) {
    const size_t which = i % kBuffers;
    while (i >= kBuffers && is_right && !completions.is_complete(used_by[which])) is_right = completions.wait();
    if (!is_right) break;
    const size_t lengths[] = {700, 4095, 4096, 4097, 60'000, 9000, 250'000, 1, kMost};
    const size_t length = lengths[i % std::size(lengths)];
    char* bytes = buffers[which]->data() + i * 97 % far::kPage;
    for (size_t at = 0; at < length; ++at) bytes[at] = byte_at(position + at);
    for (size_t at = i % 8; at < churn.size() / far::kPage; at += 8) ++churn[at * far::kPage];
    const ssize_t sent = send_some(connection.sender, bytes, length);
    is_right = sent > 0 && static_cast<size_t>(sent) <= length;
    position += static_cast<size_t>(std::max<ssize_t>(sent, 0));
    used_by[which] = i;
  }
  for (uint32_t i = 0; i < sends && is_right; ++i)
    while (is_right && !completions.is_complete(i)) is_right = completions.wait();
  shutdown(connection.sender, SHUT_WR);
  reader.join();
  while (completions.take()) {}
  CHECK(errno == EAGAIN);
  CHECK(is_right);
  CHECK(completions.seen() == sends);  // no call was numbered twice
  CHECK(wrong_at == kNone);
}

ssize_t send_in_parts(int fd, char* bytes, size_t length, size_t most) {
  iovec parts[17];
  const size_t count = std::min({length, most, std::size(parts)});
  for (size_t i = 0; i < count; ++i) {
    const size_t from = length * i / count;
    parts[i] = {bytes + from, length * (i + 1) / count - from};
  }
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  return sendmsg(fd, &message, MSG_ZEROCOPY);
}

}  // namespace

TEST_CASE("Zero-copy sends of far buffers carry what was in them, and each has one completion") {
  stream(90, [](int fd, char* bytes, size_t length) { return send(fd, bytes, length, MSG_ZEROCOPY); });
}

TEST_CASE("Zero-copy messages of few and of many far buffers carry what was in them") {
  for (const size_t most : {3u, 17u})
    stream(54, [most](int fd, char* bytes, size_t length) { return send_in_parts(fd, bytes, length, most); });
}

TEST_CASE("Zero-copy messages that wait in the socket are not touched by those after them") {
  constexpr size_t kLength = 40'000;
  constexpr size_t kSends = 5;
  for (const size_t most : {1u, 3u, 17u}) {
    Connection connection;
    const int on = 1;
    REQUIRE(setsockopt(connection.sender, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) == 0);
    far::Block bytes(kSends * kLength);
    for (size_t i = 0; i < bytes.size(); ++i) bytes.data()[i] = byte_at(i);
    // Nobody receives yet: what does not fit the window waits.
    size_t sent = 0;
    for (size_t i = 0; i < kSends; ++i) {
      const ssize_t here = send_in_parts(connection.sender, bytes.data() + sent, kLength, most);
      REQUIRE(here > 0);
      sent += static_cast<size_t>(here);
    }
    std::vector<char> churn(12 << 20);
    for (size_t i = 0; i < churn.size(); i += far::kPage) ++churn[i];
    std::vector<char> received(sent);
    REQUIRE(recv(connection.receiver, received.data(), sent, MSG_WAITALL) == static_cast<ssize_t>(sent));
    size_t wrong = 0;
    for (size_t i = 0; i < sent; ++i) wrong += received[i] != byte_at(i) ? 1 : 0;
    CHECK(wrong == 0);
  }
}
