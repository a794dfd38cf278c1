#include "nic/tls/handshake.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <string_view>
#include <sys/syscall.h>
#include <unistd.h>

namespace tiara::nic::tls {
namespace {

// Threads inside OpenSSL, and of which process. A forked child inherits the count but not the threads.
std::atomic<uint32_t> users{0};
std::atomic<int> owner{0};

int process_id() noexcept { return static_cast<int>(syscall(SYS_getpid)); }

// HKDF-Expand-Label (RFC 8446, 7.1) of at most one block of the hash.
bool expand_label(const EVP_MD* hash, std::span<const unsigned char> secret, std::string_view label,
                  std::span<unsigned char> out) noexcept {
  constexpr std::string_view kPrefix = "tls13 ";
  std::array<unsigned char, 64> info{};
  size_t size = 0;
  info[size++] = 0;
  info[size++] = static_cast<unsigned char>(out.size());
  info[size++] = static_cast<unsigned char>(kPrefix.size() + label.size());
  for (const auto part : {kPrefix, label})
    for (const char c : part) info[size++] = static_cast<unsigned char>(c);
  info[size++] = 0;  // no context
  info[size++] = 1;  // the first block
  std::array<unsigned char, EVP_MAX_MD_SIZE> block{};
  unsigned int length = 0;
  if (HMAC(hash, secret.data(), static_cast<int>(secret.size()), info.data(), size, block.data(), &length) == nullptr ||
      length < out.size())
    return false;
  std::copy_n(block.begin(), out.size(), out.begin());
  OPENSSL_cleanse(block.data(), block.size());
  return true;
}

int from_hex(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

// --- InUse ---

Handshake::InUse::InUse() noexcept {
  const int self = process_id();
  int known = owner.load(std::memory_order_acquire);
  if (known != self && (known == 0 || users.load(std::memory_order_relaxed) == 0))
    owner.compare_exchange_strong(known, self, std::memory_order_acq_rel);
  is_allowed_ = owner.load(std::memory_order_acquire) == self;
  if (is_allowed_) users.fetch_add(1, std::memory_order_acq_rel);
}

Handshake::InUse::~InUse() {
  if (is_allowed_ && owner.load(std::memory_order_acquire) == process_id())
    users.fetch_sub(1, std::memory_order_acq_rel);
}

// --- Handshake ---

Handshake::~Handshake() {
  if (in_use_) SSL_free(connection_);
  OPENSSL_cleanse(&clients_, sizeof clients_);
  OPENSSL_cleanse(&nodes_, sizeof nodes_);
}

bool Handshake::begin(const Identity& identity) noexcept {
  if (!in_use_) return false;
  is_node_ = identity.is_node_;
  connection_ = SSL_new(identity.context_);
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  if (connection_ == nullptr || in == nullptr || out == nullptr) {
    BIO_free(in);
    BIO_free(out);
    return false;
  }
  SSL_set_bio(connection_, in, out);
  SSL_set_app_data(connection_, this);
  if (is_node_) {
    SSL_set_accept_state(connection_);
    return true;
  }
  SSL_set_connect_state(connection_);
  return identity.server_name_.empty() || SSL_set_tlsext_host_name(connection_, identity.server_name_.c_str()) == 1;
}

Handshake::Step Handshake::advance(std::span<const std::byte> received) noexcept {
  if (!received.empty() && BIO_write(SSL_get_rbio(connection_), received.data(), static_cast<int>(received.size())) !=
                               static_cast<int>(received.size())) {
    why_ = "no memory";
    return Step::kFailed;
  }
  const int result = SSL_do_handshake(connection_);
  if (result == 1) return Step::kDone;
  if (SSL_get_error(connection_, result) == SSL_ERROR_WANT_READ) return Step::kMore;
  explain();
  return Step::kFailed;
}

void Handshake::explain() noexcept {
  const long verdict = SSL_get_verify_result(connection_);
  const char* reason = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
                                            : ERR_reason_error_string(ERR_peek_last_error());
  why_ = reason != nullptr ? reason : "what answers does not speak TLS 1.3";
  ERR_clear_error();
}

size_t Handshake::take_output(std::span<std::byte> room) noexcept {
  const int count = BIO_read(SSL_get_wbio(connection_), room.data(), static_cast<int>(room.size()));
  return count > 0 ? static_cast<size_t>(count) : 0;
}

size_t Handshake::take_rest(std::span<std::byte> room) noexcept {
  const int count = BIO_read(SSL_get_rbio(connection_), room.data(), static_cast<int>(room.size()));
  return count > 0 ? static_cast<size_t>(count) : 0;
}

// A line of the key log: label, the client's random, the secret; the last two in hex.
void Handshake::note_secret(const ssl_st* connection, const char* line) {
  auto* const self = static_cast<Handshake*>(SSL_get_app_data(connection));
  const std::string_view text(line);
  const size_t first = text.find(' '), last = text.rfind(' ');
  if (self == nullptr || first == std::string_view::npos) return;
  const std::string_view label = text.substr(0, first), hex = text.substr(last + 1);
  Secret* const secret = label == "CLIENT_TRAFFIC_SECRET_0"   ? &self->clients_
                         : label == "SERVER_TRAFFIC_SECRET_0" ? &self->nodes_
                                                              : nullptr;
  if (secret == nullptr || hex.size() % 2 != 0 || hex.size() / 2 > secret->bytes.size()) return;
  secret->size = hex.size() / 2;
  for (size_t i = 0; i < secret->size; i++) {
    const int high = from_hex(hex[2 * i]), low = from_hex(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      secret->size = 0;
      return;
    }
    secret->bytes[i] = static_cast<unsigned char>(high << 4 | low);
  }
}

bool Handshake::make_key(const Secret& secret, bool is_for_sealing, Records& records) const noexcept {
  const SSL_CIPHER* const suite = SSL_get_current_cipher(connection_);
  if (suite == nullptr || secret.size == 0) return false;
  const EVP_CIPHER* const cipher = EVP_get_cipherbynid(SSL_CIPHER_get_cipher_nid(suite));
  const EVP_MD* const hash = SSL_CIPHER_get_handshake_digest(suite);
  if (cipher == nullptr || hash == nullptr || EVP_CIPHER_get_key_length(cipher) > 32) return false;
  std::array<unsigned char, 32> key{};
  std::array<unsigned char, 12> nonce{};
  const std::span<const unsigned char> bytes(secret.bytes.data(), secret.size);
  const auto used_key = std::span(key).first(static_cast<size_t>(EVP_CIPHER_get_key_length(cipher)));
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  const bool is_made =
      context != nullptr && expand_label(hash, bytes, "key", used_key) && expand_label(hash, bytes, "iv", nonce) &&
      EVP_CipherInit_ex(context, cipher, nullptr, key.data(), nullptr, is_for_sealing ? 1 : 0) == 1;
  OPENSSL_cleanse(key.data(), key.size());
  const auto first_nonce = std::as_bytes(std::span<const unsigned char, 12>(nonce));
  if (!is_made) {
    EVP_CIPHER_CTX_free(context);
  } else if (is_for_sealing) {
    records.sealer = Sealer(context, first_nonce);
  } else {
    records.opener = Opener(context, first_nonce);
  }
  return is_made;
}

bool Handshake::take_keys(Records& records) noexcept {
  if (make_key(is_node_ ? nodes_ : clients_, true, records) && make_key(is_node_ ? clients_ : nodes_, false, records))
    return true;
  why_ = "OpenSSL gives no keys; this is a defect of Tiara";
  ERR_clear_error();
  return false;
}

}  // namespace tiara::nic::tls
