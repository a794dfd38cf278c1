#include "nic/tls/identity.h"

#include <array>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>
#include <vector>

#include "nic/tls/handshake.h"
#include "nic/tls/near_memory.h"
#include "runtime/os/unique_fd.h"

namespace tiara::nic::tls {
namespace {

constexpr size_t kMaxFile = 1 << 20;  // a few hundred authorities

template <auto kFree>
struct Freed {
  template <typename T>
  void operator()(T* object) const noexcept {
    kFree(object);
  }
};
using Memory = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

void* allocate(size_t bytes, const char*, int) { return allocate_near(bytes); }
void* reallocate(void* block, size_t bytes, const char*, int) { return reallocate_near(block, bytes); }
void release(void* block, const char*, int) { release_near(block); }

// Not by stdio: its buffers come from the program's allocator.
Result<std::vector<char>> read_file(const std::string& path, std::string_view cure) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<char> text(kMaxFile);
  size_t size = 0;
  ssize_t got = fd.is_open() ? 1 : -1;
  while (got > 0 && size < text.size()) {
    got = read(fd.get(), text.data() + size, text.size() - size);
    if (got > 0) size += static_cast<size_t>(got);
  }
  if (got < 0) {
    Error error = system_error("open", path);
    error.code = ErrorCode::kInvalidInput;
    error.message += "; " + std::string(cure);
    return std::unexpected(std::move(error));
  }
  text.resize(size);
  return text;
}

std::unexpected<Error> unusable(const std::string& path, std::string_view what) {
  ERR_clear_error();
  return fail(ErrorCode::kInvalidInput, path + ": " + std::string(what));
}

// No pass phrase: a prompt would go to whatever terminal there is.
int no_pass_phrase(char*, int, int, void*) { return -1; }

Memory memory_of(const std::vector<char>& text) {
  return Memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Certificate next_certificate(const Memory& memory) {
  return Certificate(PEM_read_bio_X509(memory.get(), nullptr, no_pass_phrase, nullptr));
}

}  // namespace

// It reads no configuration (that would be somebody else's) and has nothing to do
// when the process ends.
bool set_up_openssl() {
  static const bool is_set_up =
      CRYPTO_set_mem_functions(allocate, reallocate, release) == 1 &&
      OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, nullptr) == 1;
  return is_set_up;
}

Identity::~Identity() { SSL_CTX_free(context_); }

Result<std::shared_ptr<Identity>> Identity::create() {
  if (!set_up_openssl()) return fail(ErrorCode::kSystem, "OpenSSL cannot be set up; this is a defect of Tiara");
  std::shared_ptr<Identity> identity(new Identity);
  identity->context_ = SSL_CTX_new(TLS_method());
  SSL_CTX* const context = identity->context_;
  // One version, ciphers with authentication built in, and no state that outlives a connection.
  const bool is_made = context != nullptr && SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                       SSL_CTX_set_num_tickets(context, 0) == 1;
  if (!is_made) return fail(ErrorCode::kSystem, "OpenSSL cannot do TLS 1.3; this is a defect of Tiara");
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_keylog_callback(context, Handshake::note_secret);
  return identity;
}

Result<std::shared_ptr<const Identity>> Identity::of_node(const std::string& certificate_file,
                                                          const std::string& key_file) {
  TIARA_TRY(const auto certificates, read_file(certificate_file, "name the node's certificate in --tls-cert"));
  TIARA_TRY(const auto keys, read_file(key_file, "name the certificate's key in --tls-key"));
  const Handshake::InUse in_use;
  if (!in_use) return fail(ErrorCode::kSystem, "this process was forked during a TLS handshake");
  TIARA_TRY(auto identity, create());
  identity->is_node_ = true;
  const Memory chain = memory_of(certificates);
  const Certificate own = next_certificate(chain);
  if (own == nullptr || SSL_CTX_use_certificate(identity->context_, own.get()) != 1)
    return unusable(certificate_file, "no certificate in PEM form; give the node's own first, its chain behind it");
  while (Certificate next = next_certificate(chain))
    if (SSL_CTX_add1_chain_cert(identity->context_, next.get()) != 1)
      return unusable(certificate_file, "a certificate of the chain cannot be used; check the file");
  const Memory key_memory = memory_of(keys);
  const Key key(PEM_read_bio_PrivateKey(key_memory.get(), nullptr, no_pass_phrase, nullptr));
  if (key == nullptr) return unusable(key_file, "no key in PEM form without a pass phrase; write one");
  if (SSL_CTX_use_PrivateKey(identity->context_, key.get()) != 1 ||
      SSL_CTX_check_private_key(identity->context_) != 1)
    return unusable(key_file, "not the key of the certificate in " + certificate_file + "; give the two that match");
  ERR_clear_error();  // the end of the file
  return identity;
}

Result<std::shared_ptr<const Identity>> Identity::of_client(const std::string& authorities_file,
                                                            std::string_view node_name) {
  TIARA_TRY(const auto authorities,
            read_file(authorities_file, "name a file of certificates to trust, as in ?tls=/etc/tiara/ca.pem"));
  const Handshake::InUse in_use;
  if (!in_use) return fail(ErrorCode::kSystem, "this process was forked during a TLS handshake");
  TIARA_TRY(auto identity, create());
  SSL_CTX* const context = identity->context_;
  const Memory memory = memory_of(authorities);
  size_t count = 0;
  for (; Certificate authority = next_certificate(memory); count++)
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1)
      return unusable(authorities_file, "a certificate in it cannot be used; check the file");
  if (count == 0)
    return unusable(authorities_file, "no certificate in PEM form; give those of the authorities to trust");
  ERR_clear_error();  // the end of the file
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  X509_VERIFY_PARAM* const wanted = SSL_CTX_get0_param(context);
  const std::string name(node_name);
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1) return identity;
  ERR_clear_error();
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (name.empty() || X509_VERIFY_PARAM_set1_host(wanted, name.c_str(), name.size()) != 1)
    return fail(ErrorCode::kInvalidInput, "\"" + name + "\" is no name that a certificate can have; check the address");
  identity->server_name_ = name;
  return identity;
}

}  // namespace tiara::nic::tls
