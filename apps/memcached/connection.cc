#include "apps/memcached/connection.h"

#include <fmt/core.h>

#include <charconv>
#include <cstring>
#include <optional>

namespace tiara::apps::memcached {
namespace {

// No reply line that we can get is longer; a server that sends more does not speak the protocol.
constexpr size_t kMaxLine = 512;

// The number that stands at the front of `text`, up to a blank or the end.
std::optional<uint64_t> leading_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || (end != text.data() + text.size() && *end != ' '))
    return std::nullopt;
  return value;
}

}  // namespace

Connection::Connection(Protocol protocol, uint32_t value_size)
    : protocol_(protocol), value_size_(value_size), input_(2 * (value_size + 2 * kMaxLine)) {}

void Connection::send_get(uint64_t key, uint32_t oldest_version, uint64_t now_ns) {
  pending_.push_back({RequestKind::kGet, key, oldest_version, now_ns});
  output_ += protocol_ == Protocol::kMeta ? fmt::format("mg {} v\r\n", key_text(key))
                                          : fmt::format("get {}\r\n", key_text(key));
}

void Connection::send_set(uint64_t key, uint32_t version, uint64_t now_ns) {
  pending_.push_back({RequestKind::kSet, key, version, now_ns});
  output_ += protocol_ == Protocol::kMeta
                 ? fmt::format("ms {} {}\r\n", key_text(key), value_size_)
                 : fmt::format("set {} 0 0 {}\r\n", key_text(key), value_size_);
  const size_t at = output_.size();
  output_.resize(at + value_size_);
  make_value(key, version, std::span(output_).subspan(at));
  output_ += "\r\n";
}

void Connection::wrote(size_t bytes) {
  written_ += bytes;
  if (written_ < output_.size()) return;
  output_.clear();
  written_ = 0;
}

std::span<char> Connection::input_room() {
  if (input_begin_ > 0) {
    memmove(input_.data(), input_.data() + input_begin_, input_end_ - input_begin_);
    input_end_ -= input_begin_;
    input_begin_ = 0;
  }
  return std::span(input_).subspan(input_end_);
}

Connection::Parse Connection::broken(std::string_view line) {
  error_ = fmt::format("the server answered '{}'", line.substr(0, 80));
  return Parse::kProtocolError;
}

Connection::Parse Connection::next(Completion& completion) {
  const std::string_view input(input_.data() + input_begin_, input_end_ - input_begin_);
  const size_t line_end = input.find("\r\n");
  if (line_end == std::string_view::npos) {
    if (input.size() > kMaxLine) return broken(input);
    return Parse::kNeedMore;
  }
  const std::string_view line = input.substr(0, line_end);
  if (pending_.empty()) return broken(line);
  completion.request = pending_.front();
  completion.value = {};
  const Parse parse = completion.request.kind == RequestKind::kSet
                          ? parse_set_reply(line, completion)
                          : parse_get_reply(line, completion);
  if (parse == Parse::kCompletion) pending_.pop_front();
  return parse;
}

Connection::Parse Connection::parse_set_reply(std::string_view line, Completion& completion) {
  const bool is_stored = line == (protocol_ == Protocol::kMeta ? "HD" : "STORED");
  if (!is_stored && !line.starts_with("SERVER_ERROR") && !line.starts_with("N"))
    return broken(line);
  completion.answer = is_stored ? Answer::kStored : Answer::kRefused;
  completion.text = is_stored ? "" : std::string(line);
  input_begin_ += line.size() + 2;
  return Parse::kCompletion;
}

Connection::Parse Connection::parse_get_reply(std::string_view line, Completion& completion) {
  const bool is_meta = protocol_ == Protocol::kMeta;
  if (line == (is_meta ? "EN" : "END")) {
    completion.answer = Answer::kMiss;
    input_begin_ += line.size() + 2;
    return Parse::kCompletion;
  }
  // "VA SIZE" or "VALUE KEY FLAGS SIZE"
  const std::string opening =
      is_meta ? "VA " : fmt::format("VALUE {} 0 ", key_text(completion.request.key));
  if (!line.starts_with(opening)) return broken(line);
  const auto size = leading_number(line.substr(opening.size()));
  // A value of another length is a wrong value, not a broken server; one that overflows our room is
  // both.
  if (!size || *size > value_size_ + kMaxLine) return broken(line);
  const std::string_view ending = is_meta ? "\r\n" : "\r\nEND\r\n";
  const size_t value_begin = input_begin_ + line.size() + 2;
  if (input_end_ < value_begin + *size + ending.size()) return Parse::kNeedMore;
  if (memcmp(input_.data() + value_begin + *size, ending.data(), ending.size()) != 0)
    return broken(line);
  completion.answer = Answer::kHit;
  completion.value = std::span(input_).subspan(value_begin, *size);
  input_begin_ = value_begin + *size + ending.size();
  return Parse::kCompletion;
}

}  // namespace tiara::apps::memcached
