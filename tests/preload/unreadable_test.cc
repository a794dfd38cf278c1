// What is sent from memory that cannot be read, wholly or in part: far memory gets the answer, the error number and the
// bytes on the other side that the kernel gives for near memory.
#include <catch2/catch.hpp>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <string>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

#include "tests/preload/far.h"

namespace {

constexpr size_t kPages = 16;
constexpr size_t kHole = 6;  // the page that cannot be read

enum class Hole { kReadOnly, kProtected, kUnmapped };

// A few pages with one in the middle that cannot be written, or not be read, or that is not there.
class Pages {
 public:
  static Pages far(Hole hole) {
    return Pages(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), hole);
  }
  // Of a file, so that it is not far. Nothing else can come to lie in a hole that is only protected; the kernel says
  // the same of both.
  static Pages near(Hole hole) {
    const int fd = memfd_create("near", MFD_CLOEXEC);
    REQUIRE(ftruncate(fd, kBytes) == 0);
    void* bytes = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return Pages(bytes, hole == Hole::kUnmapped ? Hole::kProtected : hole);
  }
  ~Pages() { munmap(bytes_, kBytes); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  char* bytes() const { return bytes_; }

 private:
  static constexpr size_t kBytes = kPages * far::kPage;
  Pages(void* bytes, Hole hole) : bytes_(static_cast<char*>(bytes)) {
    REQUIRE(bytes != MAP_FAILED);
    for (size_t i = 0; i < kBytes; ++i) bytes_[i] = far::Block::pattern(5, i);
    char* page = bytes_ + kHole * far::kPage;
    if (hole == Hole::kUnmapped) REQUIRE(munmap(page, far::kPage) == 0);
    else REQUIRE(mprotect(page, far::kPage, hole == Hole::kReadOnly ? PROT_READ : PROT_NONE) == 0);
  }
  char* bytes_;
};

// What a call said, and what has come out of the other end.
struct Outcome {
  ssize_t result;
  int error;
  std::vector<char> received;
  bool operator==(const Outcome&) const = default;
};

enum class Way { kStream, kDatagram, kPipe };

template <typename Call>
Outcome outcome(Way way, Call call) {
  int ends[2];
  if (way == Way::kPipe) REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
  else REQUIRE(socketpair(AF_UNIX, (way == Way::kStream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0, ends) == 0);
  errno = 0;
  Outcome outcome{};
  outcome.result = call(ends[1]);
  outcome.error = outcome.result < 0 ? errno : 0;
  std::vector<char> piece(kPages * far::kPage);
  for (ssize_t got = 0; (got = read(ends[0], piece.data(), piece.size())) > 0;)
    outcome.received.insert(outcome.received.end(), piece.begin(), piece.begin() + got);
  close(ends[0]);
  close(ends[1]);
  return outcome;
}

// The same pages on both sides.
class Sides {
 public:
  explicit Sides(Hole hole) : near_(Pages::near(hole)), far_(Pages::far(hole)) { REQUIRE(far::is_far(far_.bytes())); }

  // `call(fd, bytes)` of far and of near pages.
  template <typename Call>
  bool are_alike(Way way, Call call) const {
    const Outcome expected = outcome(way, [&](int fd) { return call(fd, near_.bytes()); });
    const Outcome seen = outcome(way, [&](int fd) { return call(fd, far_.bytes()); });
    CHECK(seen.result == expected.result);
    CHECK(seen.error == expected.error);
    return seen == expected;
  }
  // Other pages are used until these are away.
  void send_away() const {
    static std::vector<char>& churn = *new std::vector<char>(10 << 20);
    for (size_t i = 0; i < churn.size(); i += far::kPage) ++churn[i];
  }

 private:
  const Pages near_;
  const Pages far_;
};

constexpr Hole kHoles[] = {Hole::kReadOnly, Hole::kProtected, Hole::kUnmapped};

}  // namespace

TEST_CASE("One unreadable buffer, on both sides of the length that is copied to the stack") {
  for (const Hole hole : kHoles) {
    const Sides sides(hole);
    for (const size_t length : {1u, 4095u, 4096u, 4097u}) {
      sides.send_away();
      // In the hole; into it; out of it.
      for (const size_t from : {kHole * far::kPage, kHole * far::kPage - 1000, (kHole + 1) * far::kPage - 1}) {
        CAPTURE(static_cast<int>(hole), length, from);
        for (const Way way : {Way::kStream, Way::kDatagram}) {
          CHECK(sides.are_alike(way, [=](int fd, char* bytes) { return send(fd, bytes + from, length, 0); }));
          CHECK(sides.are_alike(way, [=](int fd, char* bytes) {
            return sendto(fd, bytes + from, length, 0, nullptr, 0);
          }));
        }
        for (const Way way : {Way::kStream, Way::kDatagram, Way::kPipe})
          CHECK(sides.are_alike(way, [=](int fd, char* bytes) { return write(fd, bytes + from, length); }));
      }
    }
  }
}

namespace {

// Buffers of which the middle one has the hole in it. Seventeen are more than are pinned one by one.
struct Vector {
  iovec parts[17];
  msghdr message{};
  Vector(char* bytes, size_t count, size_t length) {
    for (size_t i = 0; i < count; ++i) parts[i] = {bytes + i * 100, 100};
    parts[count / 2] = {bytes + kHole * far::kPage - 100, length};
    message.msg_iov = parts;
    message.msg_iovlen = count;
  }
};

}  // namespace

TEST_CASE("A vector one of whose buffers is unreadable, of few and of many buffers") {
  for (const Hole hole : kHoles) {
    const Sides sides(hole);
    for (const size_t count : {3u, 17u}) {
      sides.send_away();
      // With the fourth, three buffers are 4096 bytes in all.
      for (const size_t length : {90u, 200u, 3895u, 3896u, 3897u, 9000u}) {
        CAPTURE(static_cast<int>(hole), count, length);
        for (const Way way : {Way::kStream, Way::kDatagram})
          CHECK(sides.are_alike(way, [=](int fd, char* bytes) {
            const Vector vector(bytes, count, length);
            return sendmsg(fd, &vector.message, 0);
          }));
        for (const Way way : {Way::kStream, Way::kDatagram, Way::kPipe})
          CHECK(sides.are_alike(way, [=](int fd, char* bytes) {
            return writev(fd, Vector(bytes, count, length).parts, static_cast<int>(count));
          }));
      }
    }
  }
}

TEST_CASE("A vector one of whose buffers cannot be written takes what comes before it") {
  for (const Hole hole : kHoles)
    for (const size_t count : {3u, 17u}) {
      CAPTURE(static_cast<int>(hole), count);
      const auto received = [&](char* bytes) {
        const int file = memfd_create("text", MFD_CLOEXEC);
        const std::vector<char> text(9000, 'x');
        REQUIRE(write(file, text.data(), text.size()) == 9000);
        REQUIRE(lseek(file, 0, SEEK_SET) == 0);
        const ssize_t got = readv(file, Vector(bytes, count, 3000).parts, static_cast<int>(count));
        close(file);
        return std::pair{got, std::string(bytes, 100 * (count / 2))};
      };
      const Pages near = Pages::near(hole);
      const Pages far = Pages::far(hole);
      const auto expected = received(near.bytes());
      const auto seen = received(far.bytes());
      CHECK(seen.first == expected.first);
      CHECK(seen.second == expected.second);
    }
}

TEST_CASE("A vector of more buffers than there may be is refused") {
  far::Block bytes(4000);
  std::vector<iovec> parts(IOV_MAX + 1, iovec{bytes.data(), 1});
  for (const Way way : {Way::kStream, Way::kPipe}) {
    const Outcome seen = outcome(way, [&](int fd) { return writev(fd, parts.data(), IOV_MAX + 1); });
    CHECK(seen.result == -1);
    CHECK(seen.error == EINVAL);
    CHECK(seen.received.empty());
  }
}
