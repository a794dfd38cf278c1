// TLS 1.3 handshakes, made by a copy of OpenSSL of our own that nobody else in the process sees. Moves no bytes: its
// caller gives it what came and sends what it gives. When it is done it hands out the keys (records.h) and is dropped.
//
// A client always verifies: the node's certificate must be signed by an authority that the client was given and name
// the host that it was asked to reach (identity.h). There is no way to ask for less.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "nic/tls/identity.h"
#include "nic/tls/records.h"

struct ssl_st;

namespace tiara::nic::tls {

// Takes memory from near_memory.h alone: it may run on a thread that must not wait for the program's allocator. Not
// for signal handlers.
class Handshake {
 public:
  Handshake() = default;
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;
  ~Handshake();

  // Once, before everything else. False: no memory, or the process was forked while a handshake was being made (then
  // OpenSSL's locks may be held for ever).
  [[nodiscard]] bool begin(const Identity& identity) noexcept;

  enum class [[nodiscard]] Step : uint8_t { kMore, kDone, kFailed };
  // Takes what came. Behind it, in every case, what take_output() gives has to be sent.
  Step advance(std::span<const std::byte> received) noexcept;
  // Bytes for the peer, at most as many as fit; 0: no more for now.
  size_t take_output(std::span<std::byte> room) noexcept;
  // After kDone: what came behind the peer's part of the handshake, records with its first bytes. 0: no more.
  size_t take_rest(std::span<std::byte> room) noexcept;
  // After kDone, once.
  [[nodiscard]] bool take_keys(Records& records) noexcept;
  // After kFailed: why, for people; a string that lives for ever.
  const char* why() const noexcept { return why_; }

  // Marks that a thread uses OpenSSL; false: it must not (see begin()).
  class InUse {
   public:
    InUse() noexcept;
    ~InUse();
    InUse(const InUse&) = delete;
    InUse& operator=(const InUse&) = delete;
    explicit operator bool() const noexcept { return is_allowed_; }

   private:
    bool is_allowed_;
  };

 private:
  friend class Identity;
  // Of the keys under which application data travels, as OpenSSL's key log tells them.
  struct Secret {
    std::array<unsigned char, 64> bytes{};
    size_t size = 0;
  };
  static void note_secret(const ssl_st* connection, const char* line);
  bool make_key(const Secret& secret, bool is_for_sealing, Records& records) const noexcept;
  void explain() noexcept;

  const InUse in_use_;
  ssl_st* connection_ = nullptr;  // owns the memory that it reads from and writes to
  bool is_node_ = false;
  Secret clients_, nodes_;
  const char* why_ = "the handshake did not begin";
};

}  // namespace tiara::nic::tls
