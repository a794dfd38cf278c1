#include "nic/wire/control.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "nic/wire/checksum.h"

namespace tiara::nic::wire {
namespace {

struct RawHeader {
  uint32_t magic;
  uint8_t version;
  uint8_t kind;
  uint8_t operation;
  uint8_t zero0;
  uint64_t request_id;
  uint32_t tenant;
  uint32_t body_bytes;
  uint8_t status;
  uint8_t zero1[7];
  uint64_t body_hash;
  uint64_t zero2[2];
  uint64_t checksum;
};
static_assert(sizeof(RawHeader) == kControlHeaderBytes && offsetof(RawHeader, checksum) == 56);

std::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorCode::kInvalidInput,
              "malformed control frame: " + std::string(what) + "; use the same version of tiara on both sides");
}

Body encode_frame(const ControlHeader& header, std::span<const std::byte> body) {
  RawHeader raw{};
  raw.magic = kMagic;
  raw.version = kVersion;
  raw.kind = static_cast<uint8_t>(header.kind);
  raw.operation = static_cast<uint8_t>(header.operation);
  raw.request_id = header.request_id;
  raw.tenant = header.tenant.value;
  raw.body_bytes = static_cast<uint32_t>(body.size());
  raw.status = header.status;
  raw.body_hash = body.empty() ? 0 : hash_bytes(body);
  raw.checksum = checksum_of(raw);
  Body frame(sizeof raw + body.size());
  std::memcpy(frame.data(), &raw, sizeof raw);
  std::copy(body.begin(), body.end(), frame.begin() + sizeof raw);
  return frame;
}

class Writer {
 public:
  template <typename T>
  Writer& number(T value) {
    static_assert(std::is_unsigned_v<T>);
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    body_.insert(body_.end(), bytes, bytes + sizeof value);
    return *this;
  }
  Writer& text(std::string_view text) {
    number(static_cast<uint16_t>(text.size()));
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    body_.insert(body_.end(), bytes, bytes + text.size());
    return *this;
  }
  Body take() { return std::move(body_); }

 private:
  Body body_;
};

// Reads past the end give zeros and are remembered; `finish` also refuses what is left over.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <typename T>
  T number() {
    T value{};
    if (bytes_.size() < sizeof value) return overrun(), value;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
    return value;
  }
  std::string text(size_t limit) {
    const size_t length = number<uint16_t>();
    if (length > limit || length > bytes_.size()) return overrun(), std::string();
    std::string text(reinterpret_cast<const char*>(bytes_.data()), length);
    bytes_ = bytes_.subspan(length);
    return text;
  }
  bool ok() const { return ok_; }
  Result<void> finish() const {
    if (!ok_) return malformed("the body is cut short");
    if (!bytes_.empty()) return malformed("bytes after the body");
    return {};
  }

 private:
  void overrun() {
    ok_ = false;
    bytes_ = {};
  }
  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

bool is_operation(uint8_t value) {
  return value >= static_cast<uint8_t>(ControlOperation::kHello) &&
         value <= static_cast<uint8_t>(ControlOperation::kLetGo);
}

}  // namespace

Body encode_request(ControlOperation operation, uint64_t request_id, TenantId tenant,
                    std::span<const std::byte> body) {
  return encode_frame({FrameKind::kControlRequest, operation, request_id, tenant, 0, 0, 0}, body);
}

Body encode_reply(const ControlHeader& request, const Result<Body>& result) {
  ControlHeader header{FrameKind::kControlReply, request.operation, request.request_id, request.tenant, 0, 0, 0};
  if (result) return encode_frame(header, *result);
  header.status = static_cast<uint8_t>(1 + static_cast<uint8_t>(result.error().code));
  const std::string& message = result.error().message;
  const auto text = std::as_bytes(std::span(message.data(), std::min(message.size(), kMaxErrorText)));
  return encode_frame(header, text);
}

Result<ControlHeader> decode_control_header(std::span<const std::byte> bytes) {
  RawHeader raw;
  if (bytes.size() < sizeof raw) return malformed("the header is cut short");
  std::memcpy(&raw, bytes.data(), sizeof raw);
  if (raw.magic != kMagic) return malformed(to_string(DecodeStatus::kBadMagic));
  if (raw.version != kVersion) return malformed(to_string(DecodeStatus::kBadVersion));
  const auto kind = static_cast<FrameKind>(raw.kind);
  if (kind != FrameKind::kControlRequest && kind != FrameKind::kControlReply)
    return malformed(to_string(DecodeStatus::kBadKind));
  if (raw.checksum != checksum_of(raw)) return malformed(to_string(DecodeStatus::kBadChecksum));
  uint64_t reserved = raw.zero0 | raw.zero2[0] | raw.zero2[1];
  for (const uint8_t byte : raw.zero1) reserved |= byte;
  const bool status_fits = raw.status <= 1 + static_cast<uint8_t>(ErrorCode::kSystem);
  if (reserved != 0 || !is_operation(raw.operation) || raw.body_bytes > kMaxControlBody || !status_fits ||
      (kind == FrameKind::kControlRequest && raw.status != 0))
    return malformed(to_string(DecodeStatus::kBadField));
  return ControlHeader{kind,       static_cast<ControlOperation>(raw.operation), raw.request_id, {raw.tenant},
                       raw.status, raw.body_bytes,                                raw.body_hash};
}

Result<void> check_body(const ControlHeader& header, std::span<const std::byte> body) {
  if (body.size() != header.body_bytes) return malformed("the body is cut short");
  if (header.body_hash != (body.empty() ? 0 : hash_bytes(body))) return malformed("the body does not match its hash");
  return {};
}

Error decode_error(const ControlHeader& header, std::span<const std::byte> body) {
  std::string text(reinterpret_cast<const char*>(body.data()), std::min(body.size(), kMaxErrorText));
  // The text of a peer goes to terminals and logs: one printable line.
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return Error{static_cast<ErrorCode>(header.status - 1), std::move(text), 0};
}

Body encode(const Hello& hello) { return Writer().number(hello.slots).text(hello.token).take(); }

Result<Hello> decode_hello(std::span<const std::byte> body) {
  Reader reader(body);
  Hello hello;
  hello.slots = reader.number<uint32_t>();
  hello.token = reader.text(kMaxToken);
  TIARA_TRY_VOID(reader.finish());
  return hello;
}

Body encode(const Welcome& welcome) {
  return Writer()
      .number(welcome.session)
      .number(welcome.tenant.value)
      .number(welcome.slots)
      .number(welcome.worker)
      .number(welcome.segment_bytes)
      .number(welcome.board_bytes)
      .take();
}

Result<Welcome> decode_welcome(std::span<const std::byte> body) {
  Reader reader(body);
  Welcome welcome;
  welcome.session = reader.number<uint64_t>();
  welcome.tenant = {reader.number<uint32_t>()};
  welcome.slots = reader.number<uint32_t>();
  welcome.worker = reader.number<uint32_t>();
  welcome.segment_bytes = reader.number<uint64_t>();
  welcome.board_bytes = reader.number<uint64_t>();
  TIARA_TRY_VOID(reader.finish());
  return welcome;
}

Body encode(const NodeInfo& info) {
  Writer writer;
  writer.number(info.pool.value).number(info.pool_used.value).number(info.table_levels).number(info.max_pages);
  writer.number(static_cast<uint32_t>(info.operators.size()));
  for (const auto& [name, id] : info.operators) writer.number(id.value).text(name);
  return writer.take();
}

Result<NodeInfo> decode_info(std::span<const std::byte> body) {
  Reader reader(body);
  NodeInfo info{};
  info.pool = {reader.number<uint64_t>()};
  info.pool_used = {reader.number<uint64_t>()};
  info.table_levels = reader.number<uint32_t>();
  info.max_pages = reader.number<uint64_t>();
  const uint32_t count = reader.number<uint32_t>();
  if (count > kMaxListedOperators) return malformed("too many operators");
  for (uint32_t i = 0; i < count && reader.ok(); i++) {
    const OperatorId id{reader.number<uint32_t>()};
    info.operators.emplace_back(reader.text(kMaxName), id);
  }
  TIARA_TRY_VOID(reader.finish());
  return info;
}

Body encode(const DataRequest& request) {
  return Writer().number(request.space.value).number(request.size.value).take();
}

Result<DataRequest> decode_data_request(std::span<const std::byte> body) {
  Reader reader(body);
  DataRequest request;
  request.space = {reader.number<uint32_t>()};
  request.size = {reader.number<uint64_t>()};
  TIARA_TRY_VOID(reader.finish());
  return request;
}

Body encode(const CloneRequest& request) {
  return Writer().number(request.space.value).number(static_cast<uint32_t>(request.kind)).take();
}

Result<CloneRequest> decode_clone_request(std::span<const std::byte> body) {
  Reader reader(body);
  CloneRequest request;
  request.space = {reader.number<uint32_t>()};
  const uint32_t kind = reader.number<uint32_t>();
  TIARA_TRY_VOID(reader.finish());
  if (kind > static_cast<uint32_t>(CloneKind::kSnapshot)) return malformed("an unknown kind of clone");
  request.kind = static_cast<CloneKind>(kind);
  return request;
}

Body encode(const ClonedSpace& clone) {
  return Writer().number(clone.space.value).number(clone.ticket.words[0]).number(clone.ticket.words[1]).take();
}

Result<ClonedSpace> decode_cloned_space(std::span<const std::byte> body) {
  Reader reader(body);
  ClonedSpace clone;
  clone.space = {reader.number<uint32_t>()};
  clone.ticket = {{reader.number<uint64_t>(), reader.number<uint64_t>()}};
  TIARA_TRY_VOID(reader.finish());
  return clone;
}

Body encode_number(uint64_t number) { return Writer().number(number).take(); }

Result<uint64_t> decode_number(std::span<const std::byte> body) {
  Reader reader(body);
  const auto number = reader.number<uint64_t>();
  TIARA_TRY_VOID(reader.finish());
  return number;
}

Result<uint32_t> decode_id(std::span<const std::byte> body) {
  TIARA_TRY(const uint64_t number, decode_number(body));
  if (number > UINT32_MAX) return malformed("an id above 32 bits");
  return static_cast<uint32_t>(number);
}

}  // namespace tiara::nic::wire
