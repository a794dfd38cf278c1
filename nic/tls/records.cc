#include "nic/tls/records.h"

#include <algorithm>
#include <cstring>
#include <openssl/evp.h>
#include <utility>

namespace tiara::nic::tls {
namespace {

constexpr size_t kTag = 16;
constexpr unsigned char kApplicationData = 23, kHandshakeMessage = 22;
constexpr unsigned char kNewSessionTicket = 4;

unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* raw(const std::byte* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }

}  // namespace

void FreeCipher::operator()(evp_cipher_ctx_st* context) const noexcept { EVP_CIPHER_CTX_free(context); }

RecordKey::RecordKey(evp_cipher_ctx_st* context, std::span<const std::byte, 12> first_nonce) noexcept
    : context_(context) {
  std::memcpy(first_nonce_.data(), first_nonce.data(), first_nonce_.size());
}

std::array<unsigned char, 12> RecordKey::next_nonce() noexcept {
  auto nonce = first_nonce_;
  for (size_t i = 0; i < 8; i++) nonce[11 - i] ^= static_cast<unsigned char>(records_ >> (8 * i));
  records_++;
  return nonce;
}

bool Sealer::seal_one(std::span<const std::byte> plain, std::byte* out) noexcept {
  const size_t length = plain.size() + 1 + kTag;
  unsigned char* const header = raw(out);
  header[0] = kApplicationData;
  header[1] = 3;
  header[2] = 3;
  header[3] = static_cast<unsigned char>(length >> 8);
  header[4] = static_cast<unsigned char>(length);
  unsigned char* const body = header + kRecordHeader;
  const auto nonce = next_nonce();
  int count = 0;
  return EVP_EncryptInit_ex(context_.get(), nullptr, nullptr, nullptr, nonce.data()) == 1 &&
         EVP_EncryptUpdate(context_.get(), nullptr, &count, header, kRecordHeader) == 1 &&
         EVP_EncryptUpdate(context_.get(), body, &count, raw(plain.data()), static_cast<int>(plain.size())) == 1 &&
         EVP_EncryptUpdate(context_.get(), body + plain.size(), &count, &kApplicationData, 1) == 1 &&
         EVP_EncryptFinal_ex(context_.get(), body + plain.size() + 1, &count) == 1 &&
         EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, kTag, body + plain.size() + 1) == 1;
}

size_t Sealer::seal(std::span<const std::byte> plain, std::span<std::byte> out) noexcept {
  size_t written = 0;
  while (!plain.empty()) {
    const auto part = plain.first(std::min(plain.size(), kMaxPlain));
    if (is_worn_out() || out.size() - written < part.size() + kRecordOverhead) return 0;
    if (!seal_one(part, out.data() + written)) return 0;
    written += part.size() + kRecordOverhead;
    plain = plain.subspan(part.size());
  }
  return written;
}

bool Opener::open_one(std::span<std::byte> record) noexcept {
  unsigned char* const header = raw(record.data());
  unsigned char* const body = header + kRecordHeader;
  const int length = static_cast<int>(record.size() - kRecordHeader - kTag);
  const auto nonce = next_nonce();
  int count = 0;
  return EVP_DecryptInit_ex(context_.get(), nullptr, nullptr, nullptr, nonce.data()) == 1 &&
         EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, kTag, body + length) == 1 &&
         EVP_DecryptUpdate(context_.get(), nullptr, &count, header, kRecordHeader) == 1 &&
         EVP_DecryptUpdate(context_.get(), body, &count, body, length) == 1 &&
         EVP_DecryptFinal_ex(context_.get(), body + length, &count) == 1;
}

Opener::Opened Opener::open(std::span<std::byte> bytes, size_t& used, std::span<const std::byte>& plain) noexcept {
  if (bytes.size() < kRecordHeader) return Opened::kIncomplete;
  const unsigned char* const header = raw(bytes.data());
  const size_t length = kRecordHeader + (size_t{header[3]} << 8 | header[4]);
  // The content type is inside; outside everything looks like data.
  if (header[0] != kApplicationData || header[1] != 3 || header[2] != 3 || length > kMaxRecord ||
      length < kRecordOverhead)
    return Opened::kBroken;
  if (bytes.size() < length) return Opened::kIncomplete;
  const auto record = bytes.first(length);
  if (is_worn_out() || !open_one(record)) return Opened::kBroken;
  used = length;
  std::span<const std::byte> inner = record.subspan(kRecordHeader, length - kRecordHeader - kTag);
  while (!inner.empty() && inner.back() == std::byte{0}) inner = inner.first(inner.size() - 1);  // padding
  if (inner.empty()) return Opened::kBroken;
  const auto type = static_cast<unsigned char>(inner.back());
  plain = inner.first(inner.size() - 1);
  if (type == kApplicationData) return plain.empty() ? Opened::kNothing : Opened::kData;
  // A ticket for a later handshake, which we do not use. Anything else (an alert, new keys) ends the connection.
  const bool is_ticket =
      type == kHandshakeMessage && !plain.empty() && static_cast<unsigned char>(plain.front()) == kNewSessionTicket;
  return is_ticket ? Opened::kNothing : Opened::kBroken;
}

}  // namespace tiara::nic::tls
