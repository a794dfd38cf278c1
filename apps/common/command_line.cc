#include "apps/common/command_line.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "apps/common/command.h"
#include "apps/common/man_page.h"

namespace tiara::apps {

struct CommandLine::Implementation {
  explicit Implementation(std::string description) : app(std::move(description)) {}
  CLI::App app;
};

CommandLine::CommandLine(std::string description)
    : implementation_(std::make_unique<Implementation>(std::move(description))) {}
CommandLine::~CommandLine() = default;

CommandLine::Option* CommandLine::keep(CLI::Option* cli_option) {
  options_.push_back(std::unique_ptr<Option>(new Option(cli_option)));
  return options_.back().get();
}

CommandLine::Option* CommandLine::add_option(const char* names, std::string& target,
                                             const char* help) {
  return keep(implementation_->app.add_option(names, target, help));
}
CommandLine::Option* CommandLine::add_option(const char* names, std::optional<std::string>& target,
                                             const char* help) {
  return keep(implementation_->app.add_option_function<std::string>(
      names, [&target](const std::string& text) { target = text; }, help));
}
CommandLine::Option* CommandLine::add_option(const char* names, uint32_t& target,
                                             const char* help) {
  return keep(implementation_->app.add_option(names, target, help));
}
CommandLine::Option* CommandLine::add_option(const char* names, uint64_t& target,
                                             const char* help) {
  return keep(implementation_->app.add_option(names, target, help));
}
CommandLine::Option* CommandLine::add_option(const char* names, double& target, const char* help) {
  return keep(implementation_->app.add_option(names, target, help));
}
CommandLine::Option* CommandLine::add_option(const char* names, std::vector<std::string>& target,
                                             const char* help) {
  return keep(implementation_->app.add_option(names, target, help));
}
CommandLine::Option* CommandLine::add_flag(const char* names, bool& target, const char* help) {
  return keep(implementation_->app.add_flag(names, target, help));
}

CommandLine::Option* CommandLine::Option::option_text(std::string_view value) {
  cli_option_->option_text(std::string(value));
  return this;
}
CommandLine::Option* CommandLine::Option::required() {
  cli_option_->required();
  return this;
}
CommandLine::Option* CommandLine::Option::one_of(std::initializer_list<const char*> words) {
  cli_option_->check(CLI::IsMember(std::vector<std::string>(words.begin(), words.end())));
  return this;
}
CommandLine::Option* CommandLine::Option::range(uint64_t lowest, uint64_t highest) {
  cli_option_->check(CLI::Range(lowest, highest));
  return this;
}
CommandLine::Option* CommandLine::Option::real_range(double lowest, double highest) {
  cli_option_->check(CLI::Range(lowest, highest));
  return this;
}
CommandLine::Option* CommandLine::Option::comma_separated() {
  cli_option_->delimiter(',');
  return this;
}
CommandLine::Option* CommandLine::Option::repeatable() {
  cli_option_->expected(1)->take_all();
  return this;
}

namespace {

ManPage::Entry entry_of(const CLI::Option& option) {
  std::string value = option.get_option_text();
  if (value.empty() && option.get_items_expected_max() > 0) value = option.get_type_name();
  return {option.get_positional() ? "" : option.get_name(false, true), value,
          option.get_description() + (option.get_required() ? " (required)" : "")};
}

}  // namespace

std::string CommandLine::man_page(std::string_view program) const {
  ManPage page{.name = std::string(program),
               .description = implementation_->app.get_description(),
               .entries = {}};
  for (const CLI::Option* const option : implementation_->app.get_options())
    page.entries.push_back(entry_of(*option));
  return to_roff(page);
}

std::optional<int> CommandLine::parse(int argc, char** argv) {
  CLI::App& app = implementation_->app;
  app.name(argv[0]);
  if (argc == 2 && std::string_view(argv[1]) == "--man") {
    fmt::print("{}", man_page(argv[0]));
    return kExitOk;
  }
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return kExitOk;
  } catch (const CLI::ExtrasError&) {
    return complain(kExitUsage, fmt::format("unknown argument '{}'; see '{} --help'",
                                            app.remaining().front(), argv[0]));
  } catch (const CLI::ParseError& error) {
    std::string reason = error.what();
    for (char& character : reason)
      if (character == '\n') character = ' ';
    while (reason.ends_with(' ') || reason.ends_with('.')) reason.pop_back();
    return complain(kExitUsage, fmt::format("{}; see '{} --help'", reason, argv[0]));
  }
}

}  // namespace tiara::apps
