// Who one is in a TLS handshake (handshake.h): a node with its certificate and key, or a client and whom it trusts.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/error.h"

struct ssl_ctx_st;

namespace tiara::nic::tls {

// Has our copy of OpenSSL take its memory from near_memory.h, which it can be told only before it has taken any. Done
// by Identity; before that by whoever else calls it. False: too late.
bool set_up_openssl();

// Immutable; any thread.
class Identity {
 public:
  // PEM files: the certificate, with its chain behind it, and its key without a pass phrase. Control path.
  static Result<std::shared_ptr<const Identity>> of_node(const std::string& certificate_file,
                                                         const std::string& key_file);
  // A PEM file of authorities, and the DNS name or address that the node's certificate must have. Control path.
  static Result<std::shared_ptr<const Identity>> of_client(const std::string& authorities_file,
                                                           std::string_view node_name);
  ~Identity();

 private:
  friend class Handshake;
  Identity() = default;
  static Result<std::shared_ptr<Identity>> create();

  ssl_ctx_st* context_ = nullptr;
  bool is_node_ = false;
  std::string server_name_;  // what a client says whom it wants to reach; empty: an address
};

}  // namespace tiara::nic::tls
