// Tokens of one line of assembly.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"

namespace tiara::nic::assembly {

enum class TokenKind : uint8_t { kEnd, kName, kNumber, kSymbol };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text = {};   // of the source; empty at the end of the line
  uint64_t number = 0;     // kNumber: a value in [0, 2^64)
  uint32_t column = 1;     // 1 is the first
};

// Where a line stands, for messages.
struct Place {
  std::string_view file;
  uint32_t line = 0;
};

// "FILE:LINE:COLUMN: WHAT"
[[nodiscard]] std::unexpected<Error> error_at(Place place, uint32_t column, std::string_view what);

// The tokens of `line` without its comment (from ';'), ending with one kEnd.
Result<std::vector<Token>> tokenize(std::string_view line, Place place);

// A position in a line's tokens. Reading past the end gives kEnd for ever.
class Cursor {
 public:
  Cursor(const std::vector<Token>& tokens, Place place) : tokens_(&tokens), place_(place) {}

  const Token& peek(size_t ahead = 0) const;
  Token take();
  bool is_symbol(std::string_view symbol, size_t ahead = 0) const;
  bool is_at_end() const { return peek().kind == TokenKind::kEnd; }
  bool try_symbol(std::string_view symbol);   // takes it when it is next
  bool try_name(std::string_view name);
  Result<void> expect_symbol(std::string_view symbol);
  Result<std::string> expect_name(std::string_view what);
  Result<void> expect_end();

  Place place() const { return place_; }
  // "expected WHAT, found ..." at the next token.
  [[nodiscard]] std::unexpected<Error> expected(std::string_view what) const;
  [[nodiscard]] std::unexpected<Error> error(uint32_t column, std::string_view what) const {
    return error_at(place_, column, what);
  }

 private:
  const std::vector<Token>* tokens_;
  Place place_;
  size_t next_ = 0;
};

}  // namespace tiara::nic::assembly
