#include "runtime/base/error.h"

#include <cstring>

namespace tiara {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidInput: return "invalid input";
    case ErrorCode::kRejected: return "rejected";
    case ErrorCode::kNotFound: return "not found";
    case ErrorCode::kNoPermission: return "no permission";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kResourceExhausted: return "resource exhausted";
    case ErrorCode::kUnavailable: return "unavailable";
    case ErrorCode::kTimedOut: return "timed out";
    case ErrorCode::kSystem: return "system error";
  }
  return "unknown";
}

namespace {

ErrorCode code_of_errno(int err) {
  switch (err) {
    case EPERM:
    case EACCES: return ErrorCode::kNoPermission;
    case ENOENT:
    case ESRCH: return ErrorCode::kNotFound;
    case ENOSYS:
    case EOPNOTSUPP: return ErrorCode::kUnsupported;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE: return ErrorCode::kResourceExhausted;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH: return ErrorCode::kUnavailable;
    case ETIMEDOUT: return ErrorCode::kTimedOut;
    default: return ErrorCode::kSystem;
  }
}

}  // namespace

Error system_error(std::string_view call, std::string_view arguments, int err) {
  std::string message(call);
  if (!arguments.empty()) message.append("(").append(arguments).append(")");
  char text[96] = {};
  const char* described = strerror_r(err, text, sizeof text);  // the GNU variant returns the text
  message.append(": ").append(described);
  if (const char* name = strerrorname_np(err)) message.append(" (").append(name).append(")");
  return Error{code_of_errno(err), std::move(message), err};
}

}  // namespace tiara
