// Errors that the world gives us: failing system calls, refused input, a peer that is gone.
//
// A world's error is *returned* (`Result<T>`); a bug of ours aborts (`TIARA_CHECK`, check.h). An error's
// text is one line that names what failed and, where there is one, ends with the cure. Building an Error
// allocates, so nothing between a fault and its wake-up makes one: the fault path returns enumerators.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>

namespace tiara {

// What a caller may want to branch on; everything else is text.
enum class ErrorCode {
  kInvalidInput,      // malformed program, frame, option, configuration
  kRejected,          // the verifier, or a contract, says no
  kNotFound,          // no such file, operator, address space
  kNoPermission,      // the kernel or the node refuses this user
  kUnsupported,       // this kernel or build lacks it
  kResourceExhausted, // memory, address space, descriptors, pool frames
  kUnavailable,       // the memory node cannot be reached, or is lost
  kTimedOut,          // a stated bound on waiting was exceeded
  kSystem,            // any other failing system call; see sys_errno
};

std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code;
  std::string message;  // one line, no trailing newline
  int sys_errno = 0;    // 0 when no system call failed
};

template <typename T>
using Result = std::expected<T, Error>;

// An Error from the current errno: "CALL: TEXT (ERRNO)", with `arguments` appended when not empty.
// The code is derived from the errno (EPERM and EACCES become kNoPermission, and so on).
[[nodiscard]] Error system_error(std::string_view call, std::string_view arguments = {}, int err = errno);

[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected(Error{code, std::move(message), 0});
}

}  // namespace tiara

// `TIARA_TRY(x, expr)`: declares x from the value of a Result, or returns its error.
#define TIARA_CONCAT_INNER(a, b) a##b
#define TIARA_CONCAT(a, b) TIARA_CONCAT_INNER(a, b)
#define TIARA_TRY(decl, expression)                                    \
  auto TIARA_CONCAT(result_, __LINE__) = (expression);                 \
  if (!TIARA_CONCAT(result_, __LINE__))                                \
    return std::unexpected(std::move(TIARA_CONCAT(result_, __LINE__)).error()); \
  decl = std::move(*TIARA_CONCAT(result_, __LINE__))

// `TIARA_TRY_VOID(expr)`: the same for a Result<void>.
#define TIARA_TRY_VOID(expression)                                     \
  do {                                                                 \
    auto tiara_result = (expression);                                  \
    if (!tiara_result) return std::unexpected(std::move(tiara_result).error()); \
  } while (false)
