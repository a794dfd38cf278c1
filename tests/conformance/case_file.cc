#include "tests/conformance/case_file.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "nic/asm/assembler.h"

namespace tiara::conformance {
namespace {

constexpr const char* kFaultNames[] = {"none",           "region-bounds", "region-permission", "misaligned",
                                       "scratchpad-bounds", "payload-bounds", "reply-bounds",    "loop-bound",
                                       "step-budget",    "illegal-instruction", "remote-unavailable"};
static_assert(std::size(kFaultNames) == nic::kFaultKinds);
constexpr const char* kRefusalNames[] = {"none",           "malformed-frame", "unknown-operator", "unknown-space",
                                         "argument-count", "argument-range",  "payload-size",     "reply-room",
                                         "region-unbound", "not-authorised",  "overloaded"};

template <size_t N>
std::optional<uint16_t> index_of(const char* const (&names)[N], const std::string& name) {
  const auto found = std::find(std::begin(names), std::end(names), name);
  if (found == std::end(names)) return std::nullopt;
  return static_cast<uint16_t>(found - std::begin(names));
}

std::optional<uint64_t> number(std::string text) {
  bool is_negative = text.starts_with('-');
  if (is_negative) text.erase(0, 1);
  int base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text.erase(0, 2);
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return is_negative ? -value : value;
}

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), in_(path) {}

  Result<std::vector<Case>> run() {
    if (!in_) return fail(ErrorCode::kNotFound, path_ + ": cannot be read");
    bool is_code = false;
    for (std::string line; std::getline(in_, line); ) {
      ++line_;
      std::string stripped = line.substr(0, line.find(';'));
      std::istringstream stream(stripped);
      words_.clear();
      for (std::string word; stream >> word;) words_.push_back(word);
      if (words_.empty()) {
        if (is_code) cases_.back().code += "\n";
        continue;
      }
      if (words_[0] == "==") {
        is_code = false;
        Case& begun = cases_.emplace_back();
        begun.file = path_;
        begun.line = line_;
        begun.name = stripped.substr(stripped.find_first_not_of(' ', 2));
        begun.name.erase(begun.name.find_last_not_of(' ') + 1);
        continue;
      }
      if (cases_.empty()) return wrong("a case begins with == NAME");
      if (is_code && words_[0] != "expect") {
        cases_.back().code += line + "\n";
        continue;
      }
      is_code = words_[0] == "code";
      if (!is_code) TIARA_TRY_VOID(key(cases_.back()));
    }
    return std::move(cases_);
  }

 private:
  std::unexpected<Error> wrong(const std::string& what) const {
    return fail(ErrorCode::kInvalidInput, path_ + ":" + std::to_string(line_) + ": " + what);
  }

  Result<uint64_t> number_at(size_t index) const {
    if (index >= words_.size()) return wrong("a number is missing");
    const auto value = number(words_[index]);
    if (!value) return wrong("'" + words_[index] + "' is not a number");
    return *value;
  }

  Result<Bytes> content(size_t from) const {
    Bytes bytes;
    size_t unit = 0;
    for (size_t i = from; i < words_.size(); ++i) {
      const std::string& word = words_[i];
      if (word == "u8" || word == "u16" || word == "u32" || word == "u64") {
        unit = std::stoul(word.substr(1)) / 8;
      } else if (word == "zero" || word == "seq") {
        TIARA_TRY(const uint64_t count, number_at(++i));
        for (uint64_t n = 0; n < count; ++n) bytes.push_back(word == "seq" ? static_cast<std::byte>(n) : std::byte{0});
      } else {
        TIARA_TRY(const uint64_t value, number_at(i));
        if (unit == 0) return wrong("content begins with u8, u16, u32, u64, zero or seq");
        for (size_t n = 0; n < unit; ++n) bytes.push_back(static_cast<std::byte>(value >> (8 * n)));
      }
    }
    return bytes;
  }

  Result<void> key(Case& into) {
    const std::string& word = words_[0];
    if (word == "region") return region(into);
    if (word == "expect") return expectation(into);
    if (word == "unverified") into.is_verifiable = false;
    else if (word == "no-remote-port") into.has_remote_port = false;
    else if (word == "reply") { TIARA_TRY(into.reply_room, number_at(1)); }
    else if (word == "payload") { TIARA_TRY(into.payload, content(1)); }
    else if (word == "args") {
      for (size_t i = 1; i < words_.size(); ++i) {
        TIARA_TRY(const uint64_t value, number_at(i));
        into.arguments.push_back(value);
      }
    } else {
      return wrong("unknown key '" + word + "'");
    }
    return {};
  }

  // region NAME BYTES PERMISSION [remote] [= CONTENT]
  Result<void> region(Case& into) {
    if (words_.size() < 4) return wrong("region NAME BYTES PERMISSION [remote] [= CONTENT]");
    CaseRegion made{.name = words_[1], .permission = words_[3], .is_remote = false, .content = {}, .expected = {}};
    TIARA_TRY(const uint64_t size, number_at(2));
    size_t next = 4;
    if (next < words_.size() && words_[next] == "remote") {
      made.is_remote = true;
      ++next;
    }
    if (next < words_.size()) {
      if (words_[next] != "=") return wrong("'=' and the region's content");
      TIARA_TRY(made.content, content(next + 1));
    }
    if (made.content.size() > size) return wrong("the content is larger than the region");
    made.content.resize(size);
    made.expected = made.content;
    into.regions.push_back(std::move(made));
    return {};
  }

  Result<void> expectation(Case& into) {
    if (words_.size() < 2) return wrong("expect what?");
    const std::string& what = words_[1];
    if (what == "ok" || what == "failed" || what == "fault" || what == "refused") return ending(into);
    if (what == "rejected") {
      into.is_rejected = true;
    } else if (what == "reply") {
      TIARA_TRY(into.reply, content(2));
    } else if (what == "counts") {
      for (size_t i = 2; i < words_.size(); ++i) {
        const size_t equals = words_[i].find('=');
        const auto value = equals == std::string::npos ? std::nullopt : number(words_[i].substr(equals + 1));
        if (!value) return wrong("NAME=NUMBER expected");
        into.counts[words_[i].substr(0, equals)] = *value;
      }
    } else {
      return memory(into);
    }
    return {};
  }

  Result<void> ending(Case& into) {
    const std::string& what = words_[1];
    size_t next = 2;
    if (what == "failed") {
      into.status = nic::Status::kFailed;
      TIARA_TRY(const uint64_t reason, number_at(next++));
      into.reason = static_cast<uint16_t>(reason);
    } else if (what == "fault" || what == "refused") {
      into.status = what == "fault" ? nic::Status::kFault : nic::Status::kRefused;
      const std::string name = next < words_.size() ? words_[next++] : "";
      const auto reason = what == "fault" ? index_of(kFaultNames, name) : index_of(kRefusalNames, name);
      if (!reason) return wrong("'" + name + "' is not a reason");
      into.reason = *reason;
    } else {
      for (; next < words_.size() && words_[next] != "at"; ++next) {
        if (next - 2 >= into.results.size()) return wrong("more than 4 results");
        TIARA_TRY(into.results[next - 2], number_at(next));
      }
    }
    if (next < words_.size() && words_[next] == "at") {
      TIARA_TRY(const uint64_t pc, number_at(next + 1));
      into.pc = static_cast<uint32_t>(pc);
    }
    return {};
  }

  // expect REGION @OFFSET CONTENT
  Result<void> memory(Case& into) {
    const auto found = std::find_if(into.regions.begin(), into.regions.end(),
                                    [&](const CaseRegion& region) { return region.name == words_[1]; });
    if (found == into.regions.end()) return wrong("'" + words_[1] + "' is neither an outcome nor a region");
    const auto offset = words_.size() > 2 && words_[2].starts_with('@') ? number(words_[2].substr(1)) : std::nullopt;
    if (!offset) return wrong("@OFFSET expected");
    TIARA_TRY(const Bytes bytes, content(3));
    if (*offset + bytes.size() > found->expected.size()) return wrong("outside the region");
    std::copy(bytes.begin(), bytes.end(), found->expected.begin() + static_cast<ptrdiff_t>(*offset));
    return {};
  }

  std::string path_;
  std::ifstream in_;
  uint32_t line_ = 0;
  std::vector<std::string> words_;
  std::vector<Case> cases_;
};

}  // namespace

Result<nic::Program> Case::program() const {
  std::string text = ".operator conformance\n.results 4\n.reply 0xffffffffffffffff\n";
  for (const CaseRegion& region : regions)
    text += ".region " + region.name + " " + region.permission + (region.is_remote ? " remote" : "") + "\n";
  // A case that writes its own contracts says so with .arg.
  if (code.find(".arg ") == std::string::npos)
    for (size_t i = 0; i < arguments.size(); ++i)
      text += ".arg a" + std::to_string(i) + " 0 0xffffffffffffffff\n";
  return nic::assemble(text + code, file + " (" + name + ")");
}

Result<std::vector<Case>> read_cases(const std::string& path) { return Reader(path).run(); }

}  // namespace tiara::conformance
