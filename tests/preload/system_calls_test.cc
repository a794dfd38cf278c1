// System calls whose buffers, paths and structures lie in far memory. Chaos eviction takes pages away all the while, so
// a wrapper that pins nothing fails here with EFAULT in signal mode.
#include <catch2/catch.hpp>
#include <arpa/inet.h>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "tests/preload/far.h"

namespace {

constexpr size_t kMiB = 1 << 20;

// Sends the page away, if anything can: its neighbours are used until chaos or the budget has taken it. A test that
// repeats its call often enough meets the page in every state; this only helps.
template <typename F>
void repeatedly(F check) {
  static std::vector<char>& churn = *new std::vector<char>(16 * kMiB);
  for (int round = 0; round < 12; ++round) {
    for (size_t i = 0; i < churn.size(); i += far::kPage) ++churn[i];
    check(round);
  }
}

struct TemporaryFile {
  far::Text name{"/tmp/tiara-calls-XXXXXX"};
  int fd = mkstemp(name.get());
  ~TemporaryFile() {
    close(fd);
    unlink(name.get());
  }
};

struct Pair {
  far::Object<int[2]> ends;
  explicit Pair(int type) { REQUIRE(socketpair(AF_UNIX, type, 0, *ends) == 0); }
  ~Pair() {
    close((*ends)[0]);
    close((*ends)[1]);
  }
  int a() { return (*ends)[0]; }
  int b() { return (*ends)[1]; }
};

}  // namespace

TEST_CASE("Files are read and written whole, also when the buffer exceeds the local budget") {
  TemporaryFile file;
  for (size_t size : {1000 * kMiB / 1000, 24 * kMiB}) {
    far::Block out(size, 1);
    far::Block in(size, 2);
    REQUIRE(pwrite(file.fd, out.data(), size, 0) == static_cast<ssize_t>(size));
    REQUIRE(pread(file.fd, in.data(), size, 0) == static_cast<ssize_t>(size));
    REQUIRE(in.holds(1, size));
    REQUIRE(lseek(file.fd, 0, SEEK_SET) == 0);
    REQUIRE(write(file.fd, out.data(), size) == static_cast<ssize_t>(size));
    REQUIRE(lseek(file.fd, 0, SEEK_SET) == 0);
    memset(in.data(), 0, size);
    REQUIRE(read(file.fd, in.data(), size) == static_cast<ssize_t>(size));
    REQUIRE(in.holds(1, size));
    CHECK(read(file.fd, in.data(), size) == 0);
  }
}

TEST_CASE("Vectors of few, many and large far buffers") {
  TemporaryFile file;
  struct Shape {
    int buffers;
    size_t bytes;
  };
  for (const Shape shape : {Shape{3, 5000}, Shape{200, 700}, Shape{40, 100'000}}) {
    far::Object<iovec[256]> vector;
    std::vector<std::unique_ptr<far::Block>> blocks;
    for (int i = 0; i < shape.buffers; ++i) {
      blocks.push_back(std::make_unique<far::Block>(shape.bytes, static_cast<unsigned>(i)));
      (*vector)[i] = {blocks.back()->data(), shape.bytes};
    }
    const auto total = static_cast<ssize_t>(shape.bytes) * shape.buffers;
    REQUIRE(pwritev(file.fd, *vector, shape.buffers, 0) == total);
    for (auto& block : blocks) memset(block->data(), 0, shape.bytes);
    REQUIRE(preadv(file.fd, *vector, shape.buffers, 0) == total);
    for (int i = 0; i < shape.buffers; ++i) REQUIRE(blocks[i]->holds(static_cast<unsigned>(i), shape.bytes));
    REQUIRE(lseek(file.fd, 0, SEEK_SET) == 0);
    REQUIRE(writev(file.fd, *vector, shape.buffers) == total);
    REQUIRE(lseek(file.fd, 0, SEEK_SET) == 0);
    for (auto& block : blocks) memset(block->data(), 0, shape.bytes);
    REQUIRE(readv(file.fd, *vector, shape.buffers) == total);
    for (int i = 0; i < shape.buffers; ++i) REQUIRE(blocks[i]->holds(static_cast<unsigned>(i), shape.bytes));
  }
}

TEST_CASE("Pipes give what is there and block for no more") {
  far::Object<int[2]> ends;
  REQUIRE(pipe(*ends) == 0);
  far::Block out(5000, 4);
  far::Block in(4 * kMiB, 5);
  REQUIRE(write((*ends)[1], out.data(), 5000) == 5000);
  REQUIRE(read((*ends)[0], in.data(), in.size()) == 5000);
  CHECK(in.holds(4, 5000));
  close((*ends)[0]);
  close((*ends)[1]);
}

TEST_CASE("Stream sockets carry far buffers both ways") {
  Pair pair(SOCK_STREAM);
  far::Block out(3 * kMiB, 6);
  far::Block in(3 * kMiB, 7);
  std::thread sender([&] { CHECK(send(pair.a(), out.data(), out.size(), 0) == static_cast<ssize_t>(out.size())); });
  CHECK(recv(pair.b(), in.data(), in.size(), MSG_WAITALL) == static_cast<ssize_t>(in.size()));
  sender.join();
  CHECK(in.holds(6, in.size()));
}

TEST_CASE("Datagrams arrive whole and are lost to no fault") {
  Pair pair(SOCK_DGRAM);
  repeatedly([&](int round) {
    far::Block out(60'000, static_cast<unsigned>(round));
    far::Block in(70'000, 99);
    REQUIRE(send(pair.a(), out.data(), out.size(), 0) == 60'000);
    REQUIRE(recv(pair.b(), in.data(), in.size(), 0) == 60'000);
    REQUIRE(in.holds(static_cast<unsigned>(round), 60'000));
  });
}

TEST_CASE("Short messages arrive as they were, wherever they lie in their pages") {
  Pair pair(SOCK_DGRAM);
  far::Block from(4 * far::kPage, 1);
  std::vector<char> near(64 << 10);
  const std::vector<char> header{'h', 'e', 'a', 'd'};
  // Around the 4 KiB that are copied to the stack, and around a page's end.
  for (const size_t length : {1u, 511u, 512u, 4091u, 4092u, 4096u, 4097u})
    for (const size_t at : {0u, 4000u, 4095u}) {
      const auto arrives = [&](ssize_t sent, size_t before) {
        const ssize_t got = recv(pair.b(), near.data(), near.size(), 0);
        return sent == got && got == static_cast<ssize_t>(before + length) &&
               memcmp(near.data() + before, from.data() + at, length) == 0 &&
               memcmp(near.data(), header.data(), before) == 0;
      };
      REQUIRE(arrives(send(pair.a(), from.data() + at, length, 0), 0));
      REQUIRE(arrives(sendto(pair.a(), from.data() + at, length, 0, nullptr, 0), 0));
      REQUIRE(arrives(write(pair.a(), from.data() + at, length), 0));
      iovec parts[3] = {{const_cast<char*>(header.data()), header.size()},
                        {from.data() + at, length / 2},
                        {from.data() + at + length / 2, length - length / 2}};
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = 3;
      REQUIRE(arrives(sendmsg(pair.a(), &message, 0), header.size()));
    }
}

TEST_CASE("Messages with far headers, vectors, names and control data") {
  Pair pair(SOCK_STREAM);
  repeatedly([&](int round) {
    far::Object<msghdr> header;
    far::Object<iovec[20]> vector;
    far::Object<char[CMSG_SPACE(sizeof(int))]> control;
    const int buffers = round % 2 == 0 ? 3 : 20;
    far::Block out(20 * 1000, static_cast<unsigned>(round));
    for (int i = 0; i < buffers; ++i) (*vector)[i] = {out.data() + i * 1000, 1000};
    header->msg_iov = *vector;
    header->msg_iovlen = static_cast<size_t>(buffers);
    header->msg_control = *control;
    header->msg_controllen = sizeof *control;
    cmsghdr* rights = CMSG_FIRSTHDR(header.get());
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int passed = pair.a();
    memcpy(CMSG_DATA(rights), &passed, sizeof passed);
    REQUIRE(sendmsg(pair.a(), header.get(), 0) == buffers * 1000);

    far::Block in(20 * 1000, 98);
    for (int i = 0; i < buffers; ++i) (*vector)[i] = {in.data() + i * 1000, 1000};
    memset(*control, 0, sizeof *control);
    REQUIRE(recvmsg(pair.b(), header.get(), MSG_WAITALL) == buffers * 1000);
    REQUIRE(in.holds(static_cast<unsigned>(round), static_cast<size_t>(buffers) * 1000));
    int received = -1;
    memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(header.get())), sizeof received);
    REQUIRE(received >= 0);
    close(received);
  });
}

TEST_CASE("Several messages in one call") {
  Pair pair(SOCK_DGRAM);
  far::Object<mmsghdr[8]> messages;
  far::Object<iovec[8]> vectors;
  far::Block out(8000, 1);
  far::Block in(8000, 2);
  const auto aim = [&](char* bytes) {
    for (int i = 0; i < 8; ++i) {
      (*vectors)[i] = {bytes + i * 1000, 1000};
      (*messages)[i] = {};
      (*messages)[i].msg_hdr.msg_iov = &(*vectors)[i];
      (*messages)[i].msg_hdr.msg_iovlen = 1;
    }
  };
  aim(out.data());
  REQUIRE(sendmmsg(pair.a(), *messages, 8, 0) == 8);
  aim(in.data());
  REQUIRE(recvmmsg(pair.b(), *messages, 8, MSG_WAITFORONE, nullptr) == 8);
  CHECK((*messages)[7].msg_len == 1000);
  CHECK(in.holds(1, 8000));
}

TEST_CASE("Several messages end with a short one, which would leave a hole in the stream") {
  constexpr size_t kEach = 300'000;
  Pair pair(SOCK_STREAM);
  far::Object<mmsghdr[2]> messages;
  far::Object<iovec[2]> vectors;
  far::Block out(2 * kEach, 1);
  std::thread reader([&] {
    char bytes[40'000];
    while (read(pair.b(), bytes, sizeof bytes) > 0) {}
  });
  bool has_hole = false;
  int sends = 0;
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 2; ++i) {
      (*vectors)[i] = {out.data() + i * kEach, kEach};
      (*messages)[i] = {};
      (*messages)[i].msg_hdr.msg_iov = &(*vectors)[i];
      (*messages)[i].msg_hdr.msg_iovlen = 1;
    }
    const int sent = sendmmsg(pair.a(), *messages, 2, MSG_DONTWAIT);
    if (sent > 0) ++sends;
    if (sent == 2 && (*messages)[0].msg_len < kEach) has_hole = true;
  }
  shutdown(pair.a(), SHUT_WR);
  reader.join();
  CHECK(sends > 0);
  CHECK_FALSE(has_hole);
}

TEST_CASE("Internet sockets with far addresses and options") {
  far::Object<sockaddr_in> address;
  far::Object<socklen_t> length;
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  far::Object<int> on;
  *on = 1;
  REQUIRE(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, on.get(), sizeof(int)) == 0);
  REQUIRE(bind(server, reinterpret_cast<sockaddr*>(address.get()), sizeof *address) == 0);
  REQUIRE(listen(server, 1) == 0);
  *length = sizeof *address;
  REQUIRE(getsockname(server, reinterpret_cast<sockaddr*>(address.get()), length.get()) == 0);
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  REQUIRE(connect(client, reinterpret_cast<sockaddr*>(address.get()), sizeof *address) == 0);
  *length = sizeof *address;
  const int peer = accept4(server, reinterpret_cast<sockaddr*>(address.get()), length.get(), SOCK_CLOEXEC);
  REQUIRE(peer >= 0);
  CHECK(address->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
  *length = sizeof(int);
  *on = 0;
  REQUIRE(getsockopt(peer, SOL_SOCKET, SO_TYPE, on.get(), length.get()) == 0);
  CHECK(*on == SOCK_STREAM);
  for (int fd : {server, client, peer}) close(fd);
}

TEST_CASE("Far paths and far status structures") {
  repeatedly([&](int) {
    TemporaryFile file;
    REQUIRE(file.fd >= 0);
    far::Object<struct stat> status;
    REQUIRE(stat(file.name.get(), status.get()) == 0);
    REQUIRE(lstat(file.name.get(), status.get()) == 0);
    REQUIRE(fstat(file.fd, status.get()) == 0);
    REQUIRE(fstatat(AT_FDCWD, file.name.get(), status.get(), 0) == 0);
    REQUIRE(S_ISREG(status->st_mode));
    far::Object<struct statx> extended;
    REQUIRE(statx(AT_FDCWD, file.name.get(), 0, STATX_SIZE, extended.get()) == 0);
    REQUIRE(access(file.name.get(), R_OK) == 0);
    REQUIRE(chmod(file.name.get(), 0600) == 0);
    const int again = open(file.name.get(), O_RDONLY);
    REQUIRE(again >= 0);
    close(again);
    far::Object<struct statfs> filesystem;
    REQUIRE(statfs(file.name.get(), filesystem.get()) == 0);
    far::Text other(std::string(file.name.get()) + ".x");
    REQUIRE(link(file.name.get(), other.get()) == 0);
    REQUIRE(unlink(other.get()) == 0);
    REQUIRE(symlink(file.name.get(), other.get()) == 0);
    far::Object<char[4096]> target;
    REQUIRE(readlink(other.get(), *target, sizeof *target) == static_cast<ssize_t>(strlen(file.name.get())));
    REQUIRE(realpath(other.get(), *target) == *target);
    REQUIRE(unlink(other.get()) == 0);
    REQUIRE(getcwd(*target, sizeof *target) == *target);
  });
}

TEST_CASE("Folders are made, listed and removed by far names") {
  far::Text name("/tmp/tiara-folder-XXXXXX");
  REQUIRE(mkdtemp(name.get()) == name.get());
  DIR* folder = opendir(name.get());
  REQUIRE(folder != nullptr);
  int entries = 0;
  while (readdir(folder) != nullptr) ++entries;
  CHECK(entries == 2);
  closedir(folder);
  const int fd = open(name.get(), O_RDONLY | O_DIRECTORY);
  far::Object<char[8192]> raw;
  CHECK(getdents64(fd, *raw, sizeof *raw) > 0);
  close(fd);
  CHECK(rmdir(name.get()) == 0);
}

TEST_CASE("Waiting for descriptors with far sets") {
  far::Object<int[2]> ends;
  REQUIRE(pipe2(*ends, O_CLOEXEC) == 0);
  REQUIRE(write((*ends)[1], "x", 1) == 1);
  const int read_end = (*ends)[0];
  const int epoll = epoll_create1(0);
  repeatedly([&](int round) {
    far::Object<pollfd> entry;
    entry->fd = read_end;
    entry->events = POLLIN;
    far::Object<timespec> time;
    far::Object<sigset_t> mask;
    sigemptyset(mask.get());
    REQUIRE(poll(entry.get(), 1, 100) == 1);
    REQUIRE(ppoll(entry.get(), 1, time.get(), mask.get()) == 1);
    far::Object<fd_set> set;
    far::Object<timeval> wait;
    FD_SET(read_end, set.get());
    REQUIRE(select(read_end + 1, set.get(), nullptr, nullptr, wait.get()) == 1);
    REQUIRE(pselect(read_end + 1, set.get(), nullptr, nullptr, time.get(), mask.get()) == 1);
    far::Object<epoll_event[4]> events;
    (*events)[0].events = EPOLLIN;
    (*events)[0].data.fd = read_end;
    REQUIRE(epoll_ctl(epoll, round == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, read_end, *events) == 0);
    REQUIRE(epoll_wait(epoll, *events, 4, 100) == 1);
    REQUIRE(epoll_pwait(epoll, *events, 4, 100, mask.get()) == 1);
    REQUIRE((*events)[0].data.fd == read_end);
  });
  for (int fd : {epoll, (*ends)[0], (*ends)[1]}) close(fd);
}

TEST_CASE("Time, limits, names and randomness land in far memory") {
  repeatedly([&](int) {
    far::Object<timespec> time;
    REQUIRE(clock_gettime(CLOCK_MONOTONIC, time.get()) == 0);
    REQUIRE(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, time.get()) == 0);
    *time = {0, 1000};
    REQUIRE(nanosleep(time.get(), time.get()) == 0);
    far::Object<rlimit> limit;
    REQUIRE(getrlimit(RLIMIT_NOFILE, limit.get()) == 0);
    REQUIRE(setrlimit(RLIMIT_NOFILE, limit.get()) == 0);
    far::Object<rusage> usage;
    REQUIRE(getrusage(RUSAGE_SELF, usage.get()) == 0);
    far::Object<utsname> names;
    REQUIRE(uname(names.get()) == 0);
    REQUIRE(strcmp(names->sysname, "Linux") == 0);
    far::Block bytes(20'000);
    REQUIRE(getrandom(bytes.data(), bytes.size(), 0) == 20'000);
    REQUIRE(getentropy(bytes.data(), 256) == 0);
    far::Object<cpu_set_t> cpus;
    REQUIRE(sched_getaffinity(0, sizeof(cpu_set_t), cpus.get()) == 0);
    REQUIRE(CPU_COUNT(cpus.get()) > 0);
  });
}

TEST_CASE("Timers, ioctl and fcntl with far arguments") {
  const int timer = timerfd_create(CLOCK_MONOTONIC, 0);
  far::Object<itimerspec> value;
  value->it_value.tv_nsec = 1000;
  REQUIRE(timerfd_settime(timer, 0, value.get(), nullptr) == 0);
  far::Object<uint64_t> expirations;
  REQUIRE(read(timer, expirations.get(), 8) == 8);
  CHECK(*expirations == 1);
  close(timer);
  far::Object<int[2]> ends;
  REQUIRE(pipe(*ends) == 0);
  REQUIRE(write((*ends)[1], "abc", 3) == 3);
  far::Object<int> available;
  REQUIRE(ioctl((*ends)[0], FIONREAD, available.get()) == 0);
  CHECK(*available == 3);
  TemporaryFile file;
  far::Object<struct flock> lock;
  lock->l_type = F_WRLCK;
  CHECK(fcntl(file.fd, F_SETLK, lock.get()) == 0);
  close((*ends)[0]);
  close((*ends)[1]);
}

TEST_CASE("Raw system calls with far arguments") {
  TemporaryFile file;
  repeatedly([&](int round) {
    far::Block bytes(3000, static_cast<unsigned>(round));
    REQUIRE(syscall(SYS_pwrite64, file.fd, bytes.data(), bytes.size(), 0) == 3000);
    memset(bytes.data(), 0, bytes.size());
    REQUIRE(syscall(SYS_pread64, file.fd, bytes.data(), bytes.size(), 0) == 3000);
    REQUIRE(bytes.holds(static_cast<unsigned>(round), 3000));
    far::Object<uint32_t> word;
    far::Object<timespec> time;
    time->tv_nsec = 1000;
    errno = 0;
    REQUIRE(syscall(SYS_futex, word.get(), 0 /* wait */, 0, time.get(), nullptr, 0) == -1);
    REQUIRE(errno == ETIMEDOUT);
  });
}

TEST_CASE("A bad pointer still gives EFAULT") {
  TemporaryFile file;
  const void* volatile bad = reinterpret_cast<void*>(8);
  CHECK(write(file.fd, bad, 10) == -1);
  CHECK(errno == EFAULT);
  auto* pages = static_cast<char*>(mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(far::is_far(pages));
  Pair pair(SOCK_STREAM);
  // A far part that can be read does not hide a near one that cannot.
  iovec parts[2] = {{pages, 10}, {const_cast<void*>(bad), 10}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  pages[0] = 1;
  CHECK(sendmsg(pair.a(), &message, 0) == -1);
  CHECK(errno == EFAULT);
  REQUIRE(mprotect(pages, kMiB, PROT_NONE) == 0);
  CHECK(write(file.fd, pages, 10) == -1);
  CHECK(errno == EFAULT);
  CHECK(send(pair.a(), pages, 10, 0) == -1);
  CHECK(errno == EFAULT);
  REQUIRE(munmap(pages, kMiB) == 0);
  CHECK(write(file.fd, pages, 10) == -1);
  CHECK(errno == EFAULT);
  CHECK(send(pair.a(), pages, 10, 0) == -1);
  CHECK(errno == EFAULT);
}
