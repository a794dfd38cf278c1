#include "apps/common/man_page.h"

#include <fmt/core.h>

#include <algorithm>

namespace tiara::apps {
namespace {

// Text as groff prints it unchanged: no escapes, no line that begins like a request, dashes that
// can be copied.
std::string plain(std::string_view text) {
  std::string out;
  bool starts_line = true;
  for (const char character : text) {
    if (starts_line && (character == '.' || character == '\'')) out += "\\&";
    starts_line = character == '\n';
    switch (character) {
      case '\\': out += "\\e"; break;
      case '-': out += "\\-"; break;
      default: out += character;
    }
  }
  return out;
}

// "tiara bench memcached" -> "tiara-bench-memcached"
std::string page_name(std::string_view program) {
  std::string name(program);
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

std::string upper(std::string text) {
  for (char& character : text)
    if (character >= 'a' && character <= 'z') character = static_cast<char>(character - 'a' + 'A');
  return text;
}

struct Description {
  std::string summary;  // the first sentence, without its stop
  std::string text;
  std::vector<std::string> usages;
};

Description take_apart(const ManPage& page) {
  Description parts;
  std::string_view rest = page.description;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.starts_with("  "))
      parts.usages.emplace_back(line.substr(2));
    else if (!line.empty())
      parts.text += std::string(line) + "\n";
  }
  const size_t stop = std::min(parts.text.find(". "), parts.text.find_last_not_of(".\n") + 1);
  parts.summary = parts.text.substr(0, stop);
  if (!parts.usages.empty()) return parts;
  std::string usage = page.name + " [options]";
  for (const auto& entry : page.entries)
    if (entry.names.empty()) usage += " " + entry.value;
  parts.usages.push_back(usage);
  return parts;
}

std::string head(std::string_view program, std::string_view summary) {
  const std::string name = page_name(program);
  return fmt::format(".TH \"{}\" 1 \"\" \"Tiara {}\" \"Tiara\"\n.SH NAME\n{} \\- {}\n", upper(name),
                     TIARA_VERSION, plain(name), plain(summary));
}

// "-o,--output" FILE -> \fB\-o\fR, \fB\-\-output\fR \fIFILE\fR
std::string term(const ManPage::Entry& entry) {
  std::string out;
  std::string_view rest = entry.names;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(','), rest.size());
    out += fmt::format("{}\\fB{}\\fR", out.empty() ? "" : ", ", plain(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (!entry.value.empty())
    out += fmt::format("{}\\fI{}\\fR", out.empty() ? "" : " ", plain(entry.value));
  return out;
}

constexpr const char* kTail =
    ".SH EXIT STATUS\n0 when all went well, 64 for a wrong command line; the others stand in "
    "docs/operating.md.\n";

}  // namespace

std::string to_roff(const ManPage& page) {
  const Description parts = take_apart(page);
  std::string out = head(page.name, parts.summary) + ".SH SYNOPSIS\n";
  for (const auto& usage : parts.usages) out += fmt::format("\\fB{}\\fR\n.br\n", plain(usage));
  out += fmt::format(".SH DESCRIPTION\n{}.SH OPTIONS\n", plain(parts.text));
  for (const auto& entry : page.entries)
    out += fmt::format(".TP\n{}\n{}\n", term(entry), plain(entry.help));
  return out + kTail + ".SH SEE ALSO\n\\fBtiara\\fR(1)\n";
}

std::string to_roff(std::string_view program, std::string_view headline,
                    std::span<const Command> commands) {
  const size_t colon = headline.find(": ");
  const std::string_view summary =
      colon == std::string_view::npos ? headline : headline.substr(colon + 2);
  std::string out = head(program, summary);
  out += fmt::format(".SH SYNOPSIS\n\\fB{}\\fR \\fICOMMAND\\fR [options]\n.SH COMMANDS\n", program);
  std::string others;
  for (const auto& command : commands) {
    const std::string full = fmt::format("{} {}", program, command.name);
    out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", plain(full), plain(command.summary));
    others += fmt::format("{}\\fB{}\\fR(1)", others.empty() ? "" : ",\n", plain(page_name(full)));
  }
  return out + kTail + ".SH SEE ALSO\n" + others + "\n";
}

}  // namespace tiara::apps
