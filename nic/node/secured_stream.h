// A node's end of TLS on one connection: the handshake, then records, with the connection's bytes given and taken by
// whoever moves them. One thread at a time; the control thread's at first, a worker's once the lane is its.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "nic/tls/handshake.h"
#include "nic/tls/identity.h"
#include "nic/tls/records.h"

namespace tiara::nic {

class SecuredStream {
 public:
  // nullptr: no memory.
  static std::unique_ptr<SecuredStream> begin(const tls::Identity& identity);

  // Bytes came. What they say is appended to `plain`, and what the handshake has to answer to `to_send`; the latter is
  // to be sent in every case. False: end the connection.
  [[nodiscard]] bool receive(std::span<const std::byte> bytes, std::vector<std::byte>& plain,
                             std::vector<std::byte>& to_send);
  bool is_established() const noexcept { return handshake_ == nullptr; }
  // No part of a record is kept: whatever came was given.
  bool is_drained() const noexcept { return unopened_.empty(); }
  // Why receive() said false, for people; a string that lives for ever.
  const char* why() const noexcept { return why_; }

  // Appends the records that say `plain` to `sealed`. False: the key is worn out; end the connection.
  [[nodiscard]] bool seal(std::span<const std::byte> plain, std::vector<std::byte>& sealed);

 private:
  SecuredStream() = default;
  bool shake_hands(std::span<const std::byte> bytes, std::vector<std::byte>& to_send);
  bool open_records(std::vector<std::byte>& plain);

  std::unique_ptr<tls::Handshake> handshake_ = std::make_unique<tls::Handshake>();  // until it is done
  tls::Records records_;
  std::vector<std::byte> unopened_;
  const char* why_ = "";
};

}  // namespace tiara::nic
