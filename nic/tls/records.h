// The record layer of TLS 1.3 (RFC 8446, section 5) after the handshake: what kernel TLS would do, in user space, for
// kernels without it. OpenSSL makes the handshake (handshake.h) and gives the keys; its ciphers do the arithmetic.
//
// Nothing here allocates, takes a lock or touches anything but its arguments: a miss seals its request and opens its
// answer in a signal handler of somebody else's program. One direction of one connection at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct evp_cipher_ctx_st;

namespace tiara::nic::tls {

inline constexpr size_t kRecordHeader = 5;
inline constexpr size_t kMaxPlain = 16 * 1024;
// Header, content type and tag.
inline constexpr size_t kRecordOverhead = kRecordHeader + 1 + 16;
// What a peer may send: padding and other ciphers' expansion are allowed for.
inline constexpr size_t kMaxRecord = kRecordHeader + kMaxPlain + 256;
// Under one key: AES-GCM's own limit is 2^24.5 full records. A connection that has carried this many ends, and the
// session goes on over a new one.
inline constexpr uint64_t kMaxRecords = uint64_t{1} << 24;

// Bytes that `plain` bytes take when they are sealed.
constexpr size_t sealed_bytes(size_t plain) {
  return plain + (plain + kMaxPlain - 1) / kMaxPlain * kRecordOverhead;
}

struct FreeCipher {
  void operator()(evp_cipher_ctx_st* context) const noexcept;
};

// A key, its first nonce, and how many records it has seen.
class RecordKey {
 public:
  RecordKey() = default;
  // Takes `context`, which has cipher and key.
  RecordKey(evp_cipher_ctx_st* context, std::span<const std::byte, 12> first_nonce) noexcept;
  void limit_for_testing(uint64_t records) noexcept { limit_ = records; }

 protected:
  std::array<unsigned char, 12> next_nonce() noexcept;
  bool is_worn_out() const noexcept { return context_ == nullptr || records_ >= limit_; }
  std::unique_ptr<evp_cipher_ctx_st, FreeCipher> context_;

 private:
  std::array<unsigned char, 12> first_nonce_{};
  uint64_t records_ = 0;
  uint64_t limit_ = kMaxRecords;
};

class Sealer : public RecordKey {
 public:
  using RecordKey::RecordKey;
  // Writes records with all of `plain` to `out`, which has room for sealed_bytes() and does not overlap it; how many
  // bytes that were. 0: the key is worn out; end the connection.
  size_t seal(std::span<const std::byte> plain, std::span<std::byte> out) noexcept;

 private:
  bool seal_one(std::span<const std::byte> plain, std::byte* out) noexcept;
};

class Opener : public RecordKey {
 public:
  using RecordKey::RecordKey;
  enum class [[nodiscard]] Opened : uint8_t {
    kData,        // `plain` holds bytes of the peer's
    kNothing,     // a record that says nothing to us (a ticket)
    kIncomplete,  // more bytes are needed
    kBroken,      // damaged, forged, an alert, or of another protocol: end the connection
  };
  // The record at the start of `bytes`, opened where it lies. `used`: its length, unless incomplete or broken.
  Opened open(std::span<std::byte> bytes, size_t& used, std::span<const std::byte>& plain) noexcept;

 private:
  bool open_one(std::span<std::byte> record) noexcept;
};

// Both directions of a connection.
struct Records {
  Sealer sealer;
  Opener opener;
};

}  // namespace tiara::nic::tls
