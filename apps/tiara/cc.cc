// `tiara cc`: a NIC program from C. Stock clang compiles the file for BPF; nic/cc translates what
// comes out.
#include <fmt/core.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "apps/common/child.h"
#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/program.h"
#include "apps/common/program_file.h"
#include "apps/tiara/commands.h"
#include "nic/asm/disassembler.h"
#include "nic/cc/translate.h"

namespace tiara::apps {
namespace {

namespace fs = std::filesystem;

// In the order of preference: 14 is what the tests run.
constexpr const char* kCompilers[] = {"clang-14", "clang", "clang-19"};
constexpr std::chrono::seconds kCompileTime{
    120};  // no file that can become 4096 instructions takes nearly as long
constexpr uint64_t kMaxObjectBytes = 64 * kMiB;

struct CcOptions {
  std::string source, output, compiler;
  std::vector<std::string> include_folders, definitions;
  bool wants_assembly = false;
  bool keeps_temporaries = false;
};

// A folder that goes away with its owner, unless it is to be kept.
class WorkFolder {
 public:
  static Result<WorkFolder> create(bool is_kept) {
    std::error_code error;
    std::string path = (fs::temp_directory_path(error) / "tiara-cc-XXXXXX").string();
    if (error || mkdtemp(path.data()) == nullptr)
      return std::unexpected(
          system_error("mkdtemp", path + "; set TMPDIR to a folder that can be written"));
    return WorkFolder(std::move(path), is_kept);
  }
  WorkFolder(WorkFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})), is_kept_(other.is_kept_) {}
  ~WorkFolder() {
    std::error_code ignored;
    if (!path_.empty() && !is_kept_) fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  WorkFolder(std::string path, bool is_kept) : path_(std::move(path)), is_kept_(is_kept) {}
  std::string path_;
  bool is_kept_;
};

Result<std::string> find_compiler(const CcOptions& options) {
  if (!options.compiler.empty()) {
    const auto found = find_program(options.compiler);
    if (!found) return fail(ErrorCode::kNotFound, found.error().line);
    return found->path;
  }
  for (const char* const name : kCompilers)
    if (const auto found = find_program(name)) return found->path;
  return fail(ErrorCode::kNotFound,
              "no clang; install clang-14 (apt install clang-14), or name one with --clang");
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// What clang has to say goes to our standard error. The value is clang's status.
Result<int> run_clang(const CcOptions& options, const std::string& header_folder,
                      const std::string& object) {
  TIARA_TRY(const std::string compiler, find_compiler(options));
  std::vector<std::string> arguments{compiler};
  for (const char* const flag : nic::cc::clang_flags()) arguments.emplace_back(flag);
  arguments.push_back("-I" + header_folder);
  for (const std::string& folder : options.include_folders) arguments.push_back("-I" + folder);
  for (const std::string& definition : options.definitions) arguments.push_back("-D" + definition);
  arguments.insert(arguments.end(), {"-c", options.source, "-o", object});
  TIARA_TRY(Child child,
            Child::spawn({.path = compiler, .arguments = arguments, .death_signal = SIGKILL}));
  const auto exit = child.wait_for(kCompileTime);
  if (!exit)
    return fail(ErrorCode::kTimedOut,
                fmt::format("{} took more than {} s", compiler, kCompileTime.count()));
  return exit->shell_status();
}

int compile(const CcOptions& options) {
  auto folder = WorkFolder::create(options.keeps_temporaries);
  if (!folder) return complain(kExitOsError, folder.error().message);
  if (const auto written =
          write_file(folder->path() + "/tiara_op.h", bytes_of(nic::cc::operator_header()));
      !written)
    return complain(kExitOsError, written.error().message);
  const std::string object = folder->path() + "/" + fs::path(options.source).stem().string() + ".o";
  const auto status = run_clang(options, folder->path(), object);
  if (!status) return complain(status.error());
  if (*status != 0)
    return complain(kExitDataError,
                    fmt::format("{}: clang refuses it (see above)", options.source));
  if (options.keeps_temporaries) fmt::print(stderr, "tiara cc: the object is {}\n", object);

  const auto elf = read_file(object, Bytes{kMaxObjectBytes});
  if (!elf) return complain(kExitOsError, elf.error().message);
  const auto translation = nic::cc::translate(bytes_of(*elf));
  if (!translation) return complain(kExitDataError, translation.error().message);
  const nic::Program& program = translation->program;
  const auto container = nic::serialize(program);
  const std::string text = options.wants_assembly ? nic::disassemble(program) : std::string();
  if (const auto written =
          write_file(options.output, options.wants_assembly ? bytes_of(text) : container);
      !written)
    return complain(kExitOsError,
                    written.error().message + "; name a file that can be written with -o");
  fmt::print("{}: {} version {}, {} instructions, {} bytes, hash {:016x}\n", options.output,
             program.name, program.version, program.code.size(), container.size(),
             nic::content_hash(program));
  return kExitOk;
}

}  // namespace

int cc_main(int argc, char** argv) {
  CommandLine app(
      "Compiles a NIC program from restricted C (docs/nic/cc.md). Whether it is safe is for 'tiara "
      "verify' to say.");
  CcOptions options;
  app.add_option("file", options.source, "the C file; it includes tiara_op.h")
      ->required()
      ->option_text("FILE.c");
  app.add_option("--output,-o", options.output, "where the program goes")
      ->required()
      ->option_text("OUT");
  app.add_flag("--asm", options.wants_assembly, "write assembly text instead of a container");
  app.add_flag("--keep-temps", options.keeps_temporaries,
               "keep the BPF object, and say where it is");
  app.add_option("--clang", options.compiler, "the compiler; default: clang-14, clang or clang-19")
      ->option_text("CLANG");
  app.add_option("--include,-I", options.include_folders, "another folder for #include")
      ->option_text("FOLDER")
      ->repeatable();
  app.add_option("--define,-D", options.definitions, "a macro, as clang's -D")
      ->option_text("NAME[=VALUE]")
      ->repeatable();
  if (const auto status = app.parse(argc, argv)) return *status;
  return compile(options);
}

}  // namespace tiara::apps
