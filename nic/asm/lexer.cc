#include "nic/asm/lexer.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace tiara::nic::assembly {
namespace {

bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || std::isdigit(static_cast<unsigned char>(c)); }

// The number that `text` spells: decimal, 0x or 0b, with '_' between digits.
bool parse_number(std::string_view text, uint64_t& value) {
  std::string digits(text);
  std::erase(digits, '_');
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0b")) {
    base = digits[1] == 'x' ? 16 : 2;
    digits.erase(0, 2);
  }
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  return error == std::errc{} && end == digits.data() + digits.size();
}

}  // namespace

std::unexpected<Error> error_at(Place place, uint32_t column, std::string_view what) {
  return fail(ErrorCode::kInvalidInput, std::string(place.file) + ":" + std::to_string(place.line) + ":" +
                                            std::to_string(column) + ": " + std::string(what));
}

Result<std::vector<Token>> tokenize(std::string_view line, Place place) {
  std::vector<Token> tokens;
  size_t at = 0;
  const auto column = [&] { return static_cast<uint32_t>(at + 1); };
  for (;;) {
    while (at < line.size() && std::isspace(static_cast<unsigned char>(line[at]))) ++at;
    if (at == line.size() || line[at] == ';') break;
    const auto run = [&](auto&& belongs) {
      size_t end = at;
      while (end < line.size() && belongs(line[end])) ++end;
      return line.substr(at, end - at);
    };
    Token token{.column = column()};
    if (is_name_start(line[at])) {
      token.kind = TokenKind::kName;
      token.text = run(is_name_part);
    } else if (std::isdigit(static_cast<unsigned char>(line[at]))) {
      token.kind = TokenKind::kNumber;
      token.text = run(is_name_part);
      if (!parse_number(token.text, token.number))
        return error_at(place, column(), "'" + std::string(token.text) + "' is not a number of at most 64 bits");
    } else {
      token.kind = TokenKind::kSymbol;
      token.text = line.substr(at, line.substr(at).starts_with("<<") ? 2 : 1);
      if (token.text.size() == 1 && std::string_view(",[]{}()+-*:@.").find(line[at]) == std::string_view::npos)
        return error_at(place, column(),
                        "'" + std::string(token.text) + "' has no meaning here; comments begin with ;");
    }
    at += token.text.size();
    tokens.push_back(token);
  }
  tokens.push_back({.kind = TokenKind::kEnd, .column = column()});
  return tokens;
}

const Token& Cursor::peek(size_t ahead) const { return (*tokens_)[std::min(next_ + ahead, tokens_->size() - 1)]; }

Token Cursor::take() {
  const Token token = peek();
  if (next_ + 1 < tokens_->size()) ++next_;
  return token;
}

bool Cursor::is_symbol(std::string_view symbol, size_t ahead) const {
  return peek(ahead).kind == TokenKind::kSymbol && peek(ahead).text == symbol;
}

bool Cursor::try_symbol(std::string_view symbol) {
  if (!is_symbol(symbol)) return false;
  take();
  return true;
}

bool Cursor::try_name(std::string_view name) {
  if (peek().kind != TokenKind::kName || peek().text != name) return false;
  take();
  return true;
}

Result<void> Cursor::expect_symbol(std::string_view symbol) {
  if (!try_symbol(symbol)) return expected("'" + std::string(symbol) + "'");
  return {};
}

Result<std::string> Cursor::expect_name(std::string_view what) {
  if (peek().kind != TokenKind::kName) return expected(what);
  return std::string(take().text);
}

Result<void> Cursor::expect_end() {
  if (!is_at_end()) return expected("the end of the line");
  return {};
}

std::unexpected<Error> Cursor::expected(std::string_view what) const {
  const Token& found = peek();
  const std::string shown = found.kind == TokenKind::kEnd ? "the end of the line" : "'" + std::string(found.text) + "'";
  return error_at(place_, found.column, "expected " + std::string(what) + ", found " + shown);
}

}  // namespace tiara::nic::assembly
