// Certificates for tests of TLS: an authority, and node certificates that it signs, in PEM files that go away.
#pragma once

#include <cstdio>
#include <memory>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "nic/tls/identity.h"

namespace tiara::nic::testing {

class TestCertificates {
 public:
  // `names`: the subject's alternative names, as OpenSSL writes them ("IP:127.0.0.1"). `days`: until it expires; less
  // than 0: it has.
  explicit TestCertificates(const char* names = "IP:127.0.0.1", int days = 1) {
    REQUIRE(tls::set_up_openssl());
    char folder[] = "/tmp/tiara-tls-XXXXXX";
    REQUIRE(mkdtemp(folder) != nullptr);
    folder_ = folder;
    EVP_PKEY* const authority_key = EVP_EC_gen("P-256");
    EVP_PKEY* const node_key = EVP_EC_gen("P-256");
    X509* const authority =
        make("the authority", authority_key, nullptr, authority_key, "basicConstraints", "CA:TRUE", 1);
    X509* const node = make("the node", node_key, authority, authority_key, "subjectAltName", names, days);
    write(authority_file(), [&](FILE* file) { return PEM_write_X509(file, authority); });
    write(certificate_file(), [&](FILE* file) { return PEM_write_X509(file, node); });
    write(key_file(), [&](FILE* file) {
      return PEM_write_PrivateKey(file, node_key, nullptr, nullptr, 0, nullptr, nullptr);
    });
    X509_free(node);
    X509_free(authority);
    EVP_PKEY_free(node_key);
    EVP_PKEY_free(authority_key);
  }
  TestCertificates(const TestCertificates&) = delete;
  ~TestCertificates() {
    for (const auto& file : {authority_file(), certificate_file(), key_file()}) unlink(file.c_str());
    rmdir(folder_.c_str());
  }
  std::string authority_file() const { return folder_ + "/ca.pem"; }
  std::string certificate_file() const { return folder_ + "/node.pem"; }
  std::string key_file() const { return folder_ + "/node.key"; }
  // Behind a tcp:// address.
  std::string query() const { return "?tls=" + authority_file(); }

 private:
  static X509* make(const char* name, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key, const char* extension,
                    const char* value, int days) {
    X509* const made = X509_new();
    static long serial = 1;
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made), -10L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(made), days * 86400L);
    X509_set_pubkey(made, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(issuer != nullptr ? issuer : made));
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer != nullptr ? issuer : made, made, nullptr, nullptr, 0);
    X509_EXTENSION* const added = X509V3_EXT_conf(nullptr, &context, extension, value);
    REQUIRE(added != nullptr);
    X509_add_ext(made, added, -1);
    X509_EXTENSION_free(added);
    REQUIRE(X509_sign(made, issuer_key, EVP_sha256()) != 0);
    return made;
  }
  template <typename Write>
  static void write(const std::string& path, Write write_it) {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "w"), fclose);
    REQUIRE(file != nullptr);
    REQUIRE(write_it(file.get()) == 1);
  }

  std::string folder_;
};

// One for all tests of a run: signed for 127.0.0.1.
inline const TestCertificates& test_certificates() {
  static const TestCertificates made;
  return made;
}

}  // namespace tiara::nic::testing
