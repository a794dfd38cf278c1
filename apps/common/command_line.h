// The command line of one subcommand: every option once, with the line that explains it. The
// parser, `--help` and the man page are made from this one definition.
//
// CLI11 stands behind it in one translation unit: its headers cost every file that includes them
// some ten seconds of compiling.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class Option;
}

namespace tiara::apps {

class CommandLine {
 public:
  // `description` opens `--help`; its first sentence is the subcommand's line in the man page.
  explicit CommandLine(std::string description = {});
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  // What may be said about an option; lives as long as its CommandLine.
  class Option {
   public:
    Option* option_text(std::string_view value);  // what stands for the value in `--help`: "SIZE"
    Option* required();
    Option* one_of(std::initializer_list<const char*> words);
    Option* range(uint64_t lowest, uint64_t highest);  // both allowed
    Option* real_range(double lowest, double highest);
    Option* comma_separated();  // of a list: "a,b,c"
    Option* repeatable();       // of a list: one value each time, in order

   private:
    friend class CommandLine;
    explicit Option(CLI::Option* cli_option) : cli_option_(cli_option) {}
    CLI::Option* cli_option_;
  };

  // `names` is "--output,-o", or a bare word for an argument by position. `target` keeps its value
  // when the option is not given, and must live until parse() has returned.
  Option* add_option(const char* names, std::string& target, const char* help);
  Option* add_option(const char* names, std::optional<std::string>& target, const char* help);
  Option* add_option(const char* names, uint32_t& target, const char* help);
  Option* add_option(const char* names, uint64_t& target, const char* help);
  Option* add_option(const char* names, double& target, const char* help);
  Option* add_option(const char* names, std::vector<std::string>& target, const char* help);
  Option* add_flag(const char* names, bool& target, const char* help);

  // nullopt: go on; a value: exit with it (`--help` or `--man` has been printed, or one line that
  // says what is wrong).
  std::optional<int> parse(int argc, char** argv);

  // For "tiara run": the text of tiara-run(1).
  std::string man_page(std::string_view program) const;

 private:
  struct Implementation;
  Option* keep(CLI::Option* cli_option);
  std::unique_ptr<Implementation> implementation_;
  std::vector<std::unique_ptr<Option>> options_;
};

}  // namespace tiara::apps
