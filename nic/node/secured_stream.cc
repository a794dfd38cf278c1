#include "nic/node/secured_stream.h"

#include <array>

namespace tiara::nic {
namespace {

// An idle client's connection keeps no more than this.
constexpr size_t kKept = 1024;

}  // namespace

std::unique_ptr<SecuredStream> SecuredStream::begin(const tls::Identity& identity) {
  std::unique_ptr<SecuredStream> stream(new SecuredStream);
  return stream->handshake_->begin(identity) ? std::move(stream) : nullptr;
}

bool SecuredStream::receive(std::span<const std::byte> bytes, std::vector<std::byte>& plain,
                            std::vector<std::byte>& to_send) {
  if (is_established())
    unopened_.insert(unopened_.end(), bytes.begin(), bytes.end());
  else if (!shake_hands(bytes, to_send))
    return false;
  return !is_established() || open_records(plain);
}

bool SecuredStream::shake_hands(std::span<const std::byte> bytes, std::vector<std::byte>& to_send) {
  const auto step = handshake_->advance(bytes);
  std::array<std::byte, 4096> part;
  for (size_t count = handshake_->take_output(part); count != 0; count = handshake_->take_output(part))
    to_send.insert(to_send.end(), part.begin(), part.begin() + static_cast<ptrdiff_t>(count));
  if (step == tls::Handshake::Step::kMore) return true;
  if (step == tls::Handshake::Step::kFailed || !handshake_->take_keys(records_)) {
    why_ = handshake_->why();
    return false;
  }
  for (size_t count = handshake_->take_rest(part); count != 0; count = handshake_->take_rest(part))
    unopened_.insert(unopened_.end(), part.begin(), part.begin() + static_cast<ptrdiff_t>(count));
  handshake_.reset();
  return true;
}

bool SecuredStream::open_records(std::vector<std::byte>& plain) {
  std::span<std::byte> rest(unopened_);
  for (;;) {
    size_t used = 0;
    std::span<const std::byte> opened;
    const auto result = records_.opener.open(rest, used, opened);
    if (result == tls::Opener::Opened::kIncomplete) break;
    if (result == tls::Opener::Opened::kBroken) {
      why_ = "a record that was damaged, or is none";
      return false;
    }
    if (result == tls::Opener::Opened::kData) plain.insert(plain.end(), opened.begin(), opened.end());
    rest = rest.subspan(used);
  }
  unopened_.erase(unopened_.begin(), unopened_.end() - static_cast<ptrdiff_t>(rest.size()));
  if (unopened_.empty() && unopened_.capacity() > kKept) std::vector<std::byte>().swap(unopened_);
  return true;
}

bool SecuredStream::seal(std::span<const std::byte> plain, std::vector<std::byte>& sealed) {
  const size_t before = sealed.size();
  sealed.resize(before + tls::sealed_bytes(plain.size()));
  return records_.sealer.seal(plain, std::span(sealed).subspan(before)) == sealed.size() - before;
}

}  // namespace tiara::nic
