// Transfers between descriptors and far memory. Large ones are pinned and made piece by piece; vectors of many far
// buffers go through near copies (near_vector.h), because a thread has few pins.
#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/preload/guard.h"
#include "runtime/preload/near_vector.h"
#include "runtime/preload/raw_calls.h"
#include "runtime/preload/real.h"

extern "C" {
ssize_t __read_chk(int, void*, size_t, size_t);
ssize_t __pread_chk(int, void*, size_t, off_t, size_t);
ssize_t __pread64_chk(int, void*, size_t, off64_t, size_t);
ssize_t __recv_chk(int, void*, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void*, size_t, size_t, int, sockaddr*, socklen_t*);
}

namespace tiara::preload {

TIARA_DEFINE_REAL(read);
TIARA_DEFINE_REAL(write);
TIARA_DEFINE_REAL(pread);
TIARA_DEFINE_REAL(pwrite);
TIARA_DEFINE_REAL(readv);
TIARA_DEFINE_REAL(writev);
TIARA_DEFINE_REAL(preadv);
TIARA_DEFINE_REAL(pwritev);
TIARA_DEFINE_REAL(preadv2);
TIARA_DEFINE_REAL(pwritev2);
TIARA_DEFINE_REAL(recv);
TIARA_DEFINE_REAL(send);
TIARA_DEFINE_REAL(recvfrom);
TIARA_DEFINE_REAL(sendto);
TIARA_DEFINE_REAL(recvmsg);
TIARA_DEFINE_REAL(sendmsg);
TIARA_DEFINE_REAL(recvmmsg);
TIARA_DEFINE_REAL(sendmmsg);
TIARA_DEFINE_REAL(vmsplice);
TIARA_DEFINE_REAL(__read_chk);
TIARA_DEFINE_REAL(__pread_chk);
TIARA_DEFINE_REAL(__recv_chk);
TIARA_DEFINE_REAL(__recvfrom_chk);

namespace {

// What may follow a piece that was transferred whole.
enum class Next { kGoOn, kStop };

// read(2) of a file returns all there is; of a pipe, a socket or a terminal the next piece might block although
// the program has data to look at.
Next after_read(int fd) noexcept {
  struct stat status {};
  return syscall(SYS_fstat, fd, &status) == 0 && S_ISREG(status.st_mode) ? Next::kGoOn : Next::kStop;
}

// Transfers of up to twice the piece are pinned whole: a datagram must not be cut.
template <typename Call, typename After>
ssize_t in_pieces(const void* buffer, size_t length, Call call, After after) noexcept {
  char* bytes = static_cast<char*>(const_cast<void*>(buffer));
  size_t done = 0;
  do {
    const size_t left = length - done;
    const size_t piece = left <= 2 * kPinnedAtOnce ? left : kPinnedAtOnce;
    Guards guards;
    guards.bytes(bytes + done, piece);
    const ssize_t moved = call(bytes + done, piece, done);
    if (moved < 0) return done > 0 ? static_cast<ssize_t>(done) : moved;
    done += static_cast<size_t>(moved);
    if (static_cast<size_t>(moved) < piece) break;
  } while (done < length && after() == Next::kGoOn);
  return static_cast<ssize_t>(done);
}

Next always() noexcept { return Next::kGoOn; }

// --- vectors ---

constexpr size_t kSector = 512;

// A thread's pins are few, and a call may need some for its message and its address.
constexpr int kMaxPinnedBuffers = 8;

struct VectorShape {
  int far_buffers = 0;
  size_t bytes = 0;
};

VectorShape shape_of(const iovec* vector, size_t count) noexcept {
  VectorShape shape;
  for (size_t i = 0; i < std::min<size_t>(count, IOV_MAX); ++i) {
    if (vector[i].iov_len != 0 && is_guarded(vector[i].iov_base)) ++shape.far_buffers;
    shape.bytes = std::min<size_t>(shape.bytes + vector[i].iov_len, SSIZE_MAX);
  }
  return shape;
}

bool is_vector_guarded(const iovec* vector, size_t count) noexcept {
  if (!is_guarding()) return false;
  return is_guarded(vector) || shape_of(vector, count).far_buffers > 0;
}

// What leaves in a short message is copied to the stack, and the kernel reads it there. Where the hypervisor keeps
// shadow page tables, the kernel's first look at a far page costs a fault of its own, far more than the copy does.
class ShortSend {
 public:
  ShortSend() noexcept = default;
  ShortSend(const ShortSend&) = delete;
  ShortSend& operator=(const ShortSend&) = delete;

  // The buffers to send in place of these, whose far ones are pinned: the same when they are long, or when the kernel
  // has to see the very pages, or to refuse them (EFAULT).
  const iovec* instead_of(const iovec* vector, size_t count, size_t bytes, int flags) noexcept {
    if (bytes > kMost || count > kMostBuffers || (flags & MSG_ZEROCOPY) != 0 || !copies_short_sends()) return vector;
    const RuntimeCalls ours;
    const FarMemory* far = FarMemory::instance();
    char* next = bytes_;
    for (size_t i = 0; i < count; ++i) {
      vector_[i] = vector[i];
      const auto* first = static_cast<const char*>(vector[i].iov_base);
      const size_t length = vector[i].iov_len;
      if (length == 0 || !is_guarded(first)) continue;
      if (!is_guarded(first + length - 1) || !far->can_read(first, length)) return vector;
      vector_[i].iov_base = memcpy(next, first, length);
      next += length;
    }
    return vector_;
  }

 private:
  static constexpr size_t kMost = 4096;  // of any thread's stack
  static constexpr size_t kMostBuffers = 8;
  iovec vector_[kMostBuffers];
  char bytes_[kMost];
};

// `call(bytes)` with a pinned buffer, or with its copy.
template <typename Call>
ssize_t send_short(void* buffer, size_t length, int flags, Call call) noexcept {
  ShortSend copy;
  const iovec whole{buffer, length};
  return call(copy.instead_of(&whole, 1, length, flags)->iov_base);
}

// readv and relatives: `call(iovec*, count, offset)` with vectors that the kernel may touch. The transfer is short
// only where the kernel's own would be, or after a piece of a stream.
template <typename Call>
ssize_t transfer_vector(const iovec* vector, int signed_count, Direction direction, int fd, Call call) noexcept {
  const auto count = static_cast<size_t>(std::max(signed_count, 0));
  if (count > IOV_MAX) return call(vector, signed_count, 0);  // EINVAL
  const VectorShape shape = shape_of(vector, count);
  if (shape.far_buffers <= kMaxPinnedBuffers && shape.bytes <= 2 * kPinnedAtOnce) {
    Guards guards;
    guards.object(vector, count);
    for (size_t i = 0; i < count; ++i) guards.bytes(vector[i].iov_base, vector[i].iov_len);
    return call(vector, signed_count, 0);
  }
  if (shape.bytes <= 2 * kPinnedAtOnce) {
    NearVector near(vector, count, shape.bytes, direction, NearVector::Copies::kReused);
    if (!near.exists()) return -1;
    const ssize_t moved = call(near.parts(), static_cast<int>(near.count()), 0);
    if (direction == Direction::kIn && moved > 0) near.scatter(static_cast<size_t>(moved));
    return moved;
  }
  size_t done = 0;
  for (size_t i = 0; i < count; ++i) {
    if (vector[i].iov_len == 0) continue;
    const auto after = [&] { return direction == Direction::kOut ? Next::kGoOn : after_read(fd); };
    const ssize_t moved = in_pieces(
        vector[i].iov_base, vector[i].iov_len,
        [&](char* bytes, size_t length, size_t offset) {
          const iovec piece{bytes, length};
          return call(&piece, 1, done + offset);
        },
        after);
    if (moved < 0) return done > 0 ? static_cast<ssize_t>(done) : moved;
    done += static_cast<size_t>(moved);
    if (static_cast<size_t>(moved) < vector[i].iov_len || after() == Next::kStop) break;
  }
  return static_cast<ssize_t>(done);
}

bool is_message_guarded(const msghdr* message) noexcept {
  if (!is_guarding()) return false;
  return is_guarded(message) || is_guarded(message->msg_name) || is_guarded(message->msg_control) ||
         is_vector_guarded(message->msg_iov, message->msg_iovlen);
}

// sendmsg and recvmsg with a header whose every pointer the kernel may follow.
template <typename Call>
ssize_t transfer_message(msghdr& message, Direction direction, int flags, Call call) noexcept {
  if (message.msg_iovlen > IOV_MAX) return call(message);  // EMSGSIZE
  const VectorShape shape = shape_of(message.msg_iov, message.msg_iovlen);
  Guards guards;
  guards.bytes(message.msg_name, message.msg_namelen);
  guards.bytes(message.msg_control, message.msg_controllen);
  if (shape.far_buffers <= kMaxPinnedBuffers && shape.bytes <= 2 * kPinnedAtOnce) {
    guards.object(message.msg_iov, message.msg_iovlen);
    for (size_t i = 0; i < message.msg_iovlen; ++i)
      guards.bytes(message.msg_iov[i].iov_base, message.msg_iov[i].iov_len);
    if (direction == Direction::kIn) return call(message);
    ShortSend copy;
    message.msg_iov = const_cast<iovec*>(copy.instead_of(message.msg_iov, message.msg_iovlen, shape.bytes, flags));
    return call(message);
  }
  // Of a stream, the beginning: a short transfer is an answer that callers of these must expect.
  NearVector copy(message.msg_iov, message.msg_iovlen, std::min(shape.bytes, 2 * kPinnedAtOnce), direction,
                  (flags & MSG_ZEROCOPY) != 0 ? NearVector::Copies::kLeftToKernel : NearVector::Copies::kReused);
  if (!copy.exists()) return -1;
  msghdr near = message;
  near.msg_iov = copy.parts();
  near.msg_iovlen = copy.count();
  const ssize_t moved = call(near);
  if (direction == Direction::kIn && moved >= 0) {
    copy.scatter(static_cast<size_t>(moved));
    message.msg_namelen = near.msg_namelen;
    message.msg_controllen = near.msg_controllen;
    message.msg_flags = near.msg_flags;
  }
  return moved;
}

// The kernel numbers what it sends with MSG_ZEROCOPY by the calls, and the program counts its own: one piece, a short
// count.
Next after_send(int flags) noexcept { return (flags & MSG_ZEROCOPY) == 0 ? Next::kGoOn : Next::kStop; }

Next after_receive(int flags) noexcept { return (flags & MSG_WAITALL) != 0 ? Next::kGoOn : Next::kStop; }

}  // namespace
}  // namespace tiara::preload

using namespace tiara::preload;

TIARA_INTERPOSE ssize_t read(int fd, void* buffer, size_t length) {
  if (!is_guarded(buffer)) [[likely]] return TIARA_REAL(read)(fd, buffer, length);
  return in_pieces(buffer, length, [fd](char* piece, size_t size, size_t) { return TIARA_REAL(read)(fd, piece, size); },
                   [fd] { return after_read(fd); });
}

TIARA_INTERPOSE ssize_t write(int fd, const void* buffer, size_t length) {
  if (!is_guarded(buffer)) [[likely]] return TIARA_REAL(write)(fd, buffer, length);
  return in_pieces(buffer, length, [fd](char* piece, size_t size, size_t) {
    const auto call = [=](const void* bytes) { return TIARA_REAL(write)(fd, bytes, size); };
    // Whole sectors may be direct I/O, to which the buffer's own place matters.
    return size % kSector == 0 ? call(piece) : send_short(piece, size, 0, call);
  }, always);
}

TIARA_INTERPOSE ssize_t pread(int fd, void* buffer, size_t length, off_t offset) {
  if (!is_guarded(buffer)) [[likely]] return TIARA_REAL(pread)(fd, buffer, length, offset);
  return in_pieces(buffer, length, [=](char* piece, size_t size, size_t done) {
    return TIARA_REAL(pread)(fd, piece, size, offset + static_cast<off_t>(done));
  }, [fd] { return after_read(fd); });
}

TIARA_INTERPOSE ssize_t pwrite(int fd, const void* buffer, size_t length, off_t offset) {
  if (!is_guarded(buffer)) [[likely]] return TIARA_REAL(pwrite)(fd, buffer, length, offset);
  return in_pieces(buffer, length, [=](char* piece, size_t size, size_t done) {
    return TIARA_REAL(pwrite)(fd, piece, size, offset + static_cast<off_t>(done));
  }, always);
}

TIARA_INTERPOSE ssize_t pread64(int fd, void* buffer, size_t length, off64_t offset) {
  return pread(fd, buffer, length, offset);
}
TIARA_INTERPOSE ssize_t pwrite64(int fd, const void* buffer, size_t length, off64_t offset) {
  return pwrite(fd, buffer, length, offset);
}

// Fortified variants: `room` is what the compiler knows of the buffer; libc ends the program when it is too small.
TIARA_INTERPOSE ssize_t __read_chk(int fd, void* buffer, size_t length, size_t room) {
  return length > room ? TIARA_REAL(__read_chk)(fd, buffer, length, room) : read(fd, buffer, length);
}
TIARA_INTERPOSE ssize_t __pread_chk(int fd, void* buffer, size_t length, off_t offset, size_t room) {
  return length > room ? TIARA_REAL(__pread_chk)(fd, buffer, length, offset, room) : pread(fd, buffer, length, offset);
}
TIARA_INTERPOSE ssize_t __pread64_chk(int fd, void* buffer, size_t length, off64_t offset, size_t room) {
  return __pread_chk(fd, buffer, length, offset, room);
}

TIARA_INTERPOSE ssize_t readv(int fd, const iovec* vector, int count) {
  if (!is_vector_guarded(vector, static_cast<size_t>(count))) [[likely]] return TIARA_REAL(readv)(fd, vector, count);
  return transfer_vector(vector, count, Direction::kIn, fd,
                         [fd](const iovec* part, int parts, size_t) { return TIARA_REAL(readv)(fd, part, parts); });
}

TIARA_INTERPOSE ssize_t writev(int fd, const iovec* vector, int count) {
  if (!is_vector_guarded(vector, static_cast<size_t>(count))) [[likely]] return TIARA_REAL(writev)(fd, vector, count);
  return transfer_vector(vector, count, Direction::kOut, fd,
                         [fd](const iovec* part, int parts, size_t) { return TIARA_REAL(writev)(fd, part, parts); });
}

#define POSITIONED(function, direction)                                                                    \
  TIARA_INTERPOSE ssize_t function(int fd, const iovec* vector, int count, off_t offset) {                 \
    if (!is_vector_guarded(vector, static_cast<size_t>(count))) [[likely]]                                 \
      return TIARA_REAL(function)(fd, vector, count, offset);                                              \
    return transfer_vector(vector, count, direction, fd, [=](const iovec* part, int parts, size_t done) {  \
      return TIARA_REAL(function)(fd, part, parts, offset + static_cast<off_t>(done));                     \
    });                                                                                                    \
  }                                                                                                        \
  TIARA_INTERPOSE ssize_t function##64(int fd, const iovec* vector, int count, off64_t offset) {           \
    return function(fd, vector, count, offset);                                                            \
  }
POSITIONED(preadv, Direction::kIn)
POSITIONED(pwritev, Direction::kOut)

// Offset -1: the descriptor's own position, which moves by itself.
#define POSITIONED_WITH_FLAGS(function, alias, direction)                                                  \
  TIARA_INTERPOSE ssize_t function(int fd, const iovec* vector, int count, off_t offset, int flags) {      \
    if (!is_vector_guarded(vector, static_cast<size_t>(count))) [[likely]]                                 \
      return TIARA_REAL(function)(fd, vector, count, offset, flags);                                       \
    return transfer_vector(vector, count, direction, fd, [=](const iovec* part, int parts, size_t done) {  \
      return TIARA_REAL(function)(fd, part, parts, offset == -1 ? -1 : offset + static_cast<off_t>(done), flags); \
    });                                                                                                    \
  }                                                                                                        \
  TIARA_INTERPOSE ssize_t alias(int fd, const iovec* vector, int count, off64_t offset, int flags) {       \
    return function(fd, vector, count, offset, flags);                                                     \
  }
POSITIONED_WITH_FLAGS(preadv2, preadv64v2, Direction::kIn)
POSITIONED_WITH_FLAGS(pwritev2, pwritev64v2, Direction::kOut)

TIARA_INTERPOSE ssize_t recv(int fd, void* buffer, size_t length, int flags) {
  if (!is_guarded(buffer)) [[likely]] return TIARA_REAL(recv)(fd, buffer, length, flags);
  return in_pieces(buffer, length,
                   [=](char* piece, size_t size, size_t) { return TIARA_REAL(recv)(fd, piece, size, flags); },
                   [=] { return after_receive(flags); });
}

TIARA_INTERPOSE ssize_t send(int fd, const void* buffer, size_t length, int flags) {
  if (!is_guarded(buffer)) [[likely]] return TIARA_REAL(send)(fd, buffer, length, flags);
  return in_pieces(buffer, length, [=](char* piece, size_t size, size_t) {
    return send_short(piece, size, flags, [=](const void* bytes) { return TIARA_REAL(send)(fd, bytes, size, flags); });
  }, [=] { return after_send(flags); });
}

TIARA_INTERPOSE ssize_t __recv_chk(int fd, void* buffer, size_t length, size_t room, int flags) {
  return length > room ? TIARA_REAL(__recv_chk)(fd, buffer, length, room, flags) : recv(fd, buffer, length, flags);
}

TIARA_INTERPOSE ssize_t recvfrom(int fd, void* buffer, size_t length, int flags, sockaddr* address,
                                 socklen_t* address_length) {
  if (!is_guarding()) return TIARA_REAL(recvfrom)(fd, buffer, length, flags, address, address_length);
  Guards guards;
  guards.sized(address, address_length);
  return in_pieces(buffer, length, [=](char* piece, size_t size, size_t) {
    return TIARA_REAL(recvfrom)(fd, piece, size, flags, address, address_length);
  }, [=] { return after_receive(flags); });
}

TIARA_INTERPOSE ssize_t __recvfrom_chk(int fd, void* buffer, size_t length, size_t room, int flags, sockaddr* address,
                                       socklen_t* address_length) {
  if (length > room) return TIARA_REAL(__recvfrom_chk)(fd, buffer, length, room, flags, address, address_length);
  return recvfrom(fd, buffer, length, flags, address, address_length);
}

TIARA_INTERPOSE ssize_t sendto(int fd, const void* buffer, size_t length, int flags, const sockaddr* address,
                               socklen_t address_length) {
  if (!is_guarding()) return TIARA_REAL(sendto)(fd, buffer, length, flags, address, address_length);
  Guards guards;
  guards.bytes(address, address_length);
  return in_pieces(buffer, length, [=](char* piece, size_t size, size_t) {
    return send_short(piece, size, flags, [=](const void* bytes) {
      return TIARA_REAL(sendto)(fd, bytes, size, flags, address, address_length);
    });
  }, [=] { return after_send(flags); });
}

TIARA_INTERPOSE ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if (!is_message_guarded(message)) [[likely]] return TIARA_REAL(recvmsg)(fd, message, flags);
  Guards guards;
  guards.object(message);
  return transfer_message(*message, Direction::kIn, flags,
                          [=](msghdr& near) { return TIARA_REAL(recvmsg)(fd, &near, flags); });
}

TIARA_INTERPOSE ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (!is_message_guarded(message)) [[likely]] return TIARA_REAL(sendmsg)(fd, message, flags);
  msghdr near = *message;
  return transfer_message(near, Direction::kOut, flags,
                          [=](msghdr& header) { return TIARA_REAL(sendmsg)(fd, &header, flags); });
}

namespace {

bool are_messages_guarded(const mmsghdr* messages, unsigned count) noexcept {
  if (!is_guarding()) return false;
  if (is_guarded(messages)) return true;
  return std::any_of(messages, messages + count,
                     [](const mmsghdr& message) { return is_message_guarded(&message.msg_hdr); });
}

}  // namespace

// One by one where one is far: the kernel does the same in a loop.
TIARA_INTERPOSE int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  if (!are_messages_guarded(messages, count)) [[likely]] return TIARA_REAL(sendmmsg)(fd, messages, count, flags);
  unsigned sent = 0;
  for (; sent < count; ++sent) {
    const ssize_t bytes = sendmsg(fd, &messages[sent].msg_hdr, flags);
    if (bytes < 0) return sent > 0 ? static_cast<int>(sent) : -1;
    messages[sent].msg_len = static_cast<unsigned>(bytes);
    // What follows a short message of a stream would leave a hole in it: the kernel stops there too.
    const msghdr& header = messages[sent].msg_hdr;
    if (static_cast<size_t>(bytes) < shape_of(header.msg_iov, header.msg_iovlen).bytes)
      return static_cast<int>(sent + 1);
  }
  return static_cast<int>(sent);
}

TIARA_INTERPOSE int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  if (!are_messages_guarded(messages, count)) [[likely]]
    return TIARA_REAL(recvmmsg)(fd, messages, count, flags, timeout);
  unsigned received = 0;
  for (; received < count; ++received) {
    int how = flags & ~MSG_WAITFORONE;
    // The time-out is checked after each datagram only (BUGS in recvmmsg(2)): after the first, ask without waiting.
    if (received > 0 && ((flags & MSG_WAITFORONE) != 0 || timeout != nullptr)) how |= MSG_DONTWAIT;
    const ssize_t bytes = recvmsg(fd, &messages[received].msg_hdr, how);
    if (bytes < 0) return received > 0 ? static_cast<int>(received) : -1;
    messages[received].msg_len = static_cast<unsigned>(bytes);
  }
  return static_cast<int>(received);
}

// The pipe keeps references to the pages. They are moved away whole and their frames are never used again for other
// bytes, so the reader sees what was there when it was spliced.
TIARA_INTERPOSE ssize_t vmsplice(int fd, const iovec* vector, size_t count, unsigned flags) {
  if (!is_vector_guarded(vector, count)) [[likely]] return TIARA_REAL(vmsplice)(fd, vector, count, flags);
  Guards guards;
  guards.object(vector, count);
  count = std::min<size_t>(count, kMaxPinnedBuffers);
  for (size_t i = 0; i < count; ++i) guards.bytes(vector[i].iov_base, vector[i].iov_len);
  return TIARA_REAL(vmsplice)(fd, vector, count, flags);
}
