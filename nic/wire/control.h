// The frames of the control path: a request (hello, info, create ...) and its reply, each a fixed header and a body
// of at most kMaxControlBody bytes. They go over the connection's stream, one at a time; they may allocate.
//
// Header, 64 bytes little-endian: magic, version, kind, operation, zero; request id; tenant, body bytes; status (0, or
// 1 + ErrorCode), zero; hash of the body (0 when empty); zero[2]; checksum of the 56 bytes before it.
//
// Decoding is total, here and for every body: refused input gives an Error and nothing else happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nic/wire/frame.h"
#include "nic/wire/node_info.h"
#include "nic/wire/types.h"
#include "runtime/base/error.h"

namespace tiara::nic::wire {

inline constexpr size_t kControlHeaderBytes = 64;
inline constexpr size_t kMaxControlBody = 256 * kKiB;  // a program container of 4096 instructions is under 40 KiB
inline constexpr size_t kMaxName = 64;
inline constexpr size_t kMaxToken = 256;
inline constexpr size_t kMaxErrorText = 1024;
inline constexpr size_t kMaxListedOperators = 1024;

enum class ControlOperation : uint8_t {
  kHello = 1,
  kInfo = 2,
  kCreateSpace = 3,
  kDestroySpace = 4,
  kRegisterOperator = 5,
  kAllocateData = 6,
  kCloneSpace = 7,
  kAdoptSpace = 8,
  kLetGo = 9,  // nobody will come back when this connection ends: give everything up at once then
};

struct ControlHeader {
  FrameKind kind = FrameKind::kControlRequest;  // or kControlReply
  ControlOperation operation = ControlOperation::kHello;
  uint64_t request_id = 0;
  TenantId tenant;
  uint8_t status = 0;
  uint32_t body_bytes = 0;
  uint64_t body_hash = 0;
};

using Body = std::vector<std::byte>;

// A whole frame, header and body, ready to be sent.
Body encode_request(ControlOperation operation, uint64_t request_id, TenantId tenant, std::span<const std::byte> body);
Body encode_reply(const ControlHeader& request, const Result<Body>& result);

// `bytes` holds at least kControlHeaderBytes. The header says how long the body is; check_body then holds it to its
// hash.
Result<ControlHeader> decode_control_header(std::span<const std::byte> bytes);
Result<void> check_body(const ControlHeader& header, std::span<const std::byte> body);
// The Error that a reply with a status other than 0 carries.
Error decode_error(const ControlHeader& header, std::span<const std::byte> body);

// --- bodies ---

struct Hello {
  uint32_t slots = 0;  // wanted
  std::string token;   // empty: none
  friend bool operator==(const Hello&, const Hello&) = default;
};

// Over shm the reply to Hello carries three descriptors: segment, board, doorbell (shm_layout.h).
struct Welcome {
  uint64_t session = 0;
  TenantId tenant;
  uint32_t slots = 0;
  uint32_t worker = 0;  // whose line of the board to look at
  uint64_t segment_bytes = 0;
  uint64_t board_bytes = 0;
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

struct DataRequest {
  AddressSpaceId space;
  Bytes size;
  friend bool operator==(const DataRequest&, const DataRequest&) = default;
};

Body encode(const Hello& hello);
Body encode(const Welcome& welcome);
Body encode(const NodeInfo& info);
struct CloneRequest {
  AddressSpaceId space;
  CloneKind kind = CloneKind::kClone;
  friend bool operator==(const CloneRequest&, const CloneRequest&) = default;
};

Body encode(const DataRequest& request);
Body encode(const CloneRequest& request);
Body encode(const ClonedSpace& clone);
Body encode_number(uint64_t number);  // max_pages, an address space, an operator

Result<Hello> decode_hello(std::span<const std::byte> body);
Result<Welcome> decode_welcome(std::span<const std::byte> body);
Result<NodeInfo> decode_info(std::span<const std::byte> body);
Result<DataRequest> decode_data_request(std::span<const std::byte> body);
Result<CloneRequest> decode_clone_request(std::span<const std::byte> body);
Result<ClonedSpace> decode_cloned_space(std::span<const std::byte> body);
Result<uint64_t> decode_number(std::span<const std::byte> body);
// A number that must fit an id.
Result<uint32_t> decode_id(std::span<const std::byte> body);

}  // namespace tiara::nic::wire
