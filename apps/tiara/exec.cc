// `tiara exec`: runs one NIC program once, on regions made for it, and shows what it did.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/outcome_text.h"
#include "apps/common/program_file.h"
#include "apps/tiara/commands.h"
#include "nic/asm/disassembler.h"
#include "nic/engine/interpreter.h"
#include "nic/engine/jit.h"
#include "nic/verifier/verified_program.h"
#include "runtime/base/config.h"
#include "runtime/os/memory.h"

namespace tiara::apps {
namespace {

// A region or payload that does not fit here does not fit a NIC's test bench either.
constexpr Bytes kMaxRegion{1 * kGiB};

struct ExecOptions {
  std::string path, payload_path, engine = "interp";
  std::vector<std::string> arguments, regions, saves;
  bool json = false;
};

struct BoundRegion {
  os::Mapping
      memory;  // page-aligned: line loads and atomics see the alignment that a node gives them
  Bytes size;
};

// "name=SIZE" (zeros) or "name=FILE" (its content).
Result<std::pair<std::string, BoundRegion>> make_region(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    return fail(ErrorCode::kInvalidInput,
                fmt::format("--region {}: write name=SIZE or name=FILE", text));
  const std::string name = text.substr(0, equals), value = text.substr(equals + 1);
  BoundRegion region;
  std::string content;
  if (const auto size = parse_bytes(value)) {
    region.size = *size;
  } else {
    TIARA_TRY(content, read_file(value, kMaxRegion));
    region.size = Bytes{content.size()};
  }
  if (region.size.value == 0 || region.size > kMaxRegion)
    return fail(ErrorCode::kInvalidInput,
                fmt::format("--region {}: from 1 byte to {}", text, format_bytes(kMaxRegion)));
  TIARA_TRY(region.memory, os::Mapping::anonymous(region.size));
  memcpy(region.memory.data(), content.data(), content.size());
  return std::pair{name, std::move(region)};
}

Result<uint64_t> parse_argument(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const uint64_t value = strtoull(text.c_str(), &end, 0);
  if (text.empty() || text[0] == '-' || *end != '\0' || errno != 0)
    return fail(ErrorCode::kInvalidInput,
                fmt::format("--arg {}: not a number; use 42 or 0x2a", text));
  return value;
}

Result<std::unique_ptr<nic::Engine>> make_engine(const std::string& name) {
  if (name == "interp") return std::make_unique<nic::Interpreter>();
  TIARA_TRY(std::unique_ptr<nic::Engine> engine, nic::JitEngine::create());
  return engine;
}

std::string hexdump(std::span<const std::byte> bytes) {
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 16) {
    out += fmt::format("  {:06x} ", at);
    std::string text;
    for (size_t i = at; i < std::min(at + 16, bytes.size()); ++i) {
      const auto value = std::to_integer<unsigned>(bytes[i]);
      out += fmt::format(" {:02x}", value);
      text += value >= 0x20 && value < 0x7f ? static_cast<char>(value) : '.';
    }
    out += fmt::format("{:{}}  {}\n", "", 3 * (16 - text.size()), text);
  }
  return out;
}

nlohmann::json to_json(const nic::Outcome& outcome, std::span<const std::byte> reply) {
  std::string hex;
  for (const std::byte byte : reply) hex += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  const auto& counts = outcome.counts;
  return {{"status", to_string(outcome.status)},
          {"code", outcome.code},
          {"reason", reason_of(outcome)},
          {"pc", outcome.pc},
          {"results", outcome.results},
          {"reply", hex},
          {"counts",
           {{"steps", counts.steps},
            {"loads", counts.loads},
            {"stores", counts.stores},
            {"lines", counts.lines},
            {"atomics", counts.atomics},
            {"bytes_moved", counts.bytes_moved},
            {"remote_operations", counts.remote_operations}}}};
}

std::string to_text(const nic::Program& program, const nic::Outcome& outcome,
                    std::span<const std::byte> reply) {
  std::string out = fmt::format("{}: {}", program.name, to_string(outcome.status));
  if (outcome.status != nic::Status::kOk) out += ": " + reason_of(outcome);
  if (outcome.status != nic::Status::kRefused && outcome.pc < program.code.size())
    out += fmt::format(" (at {}: {})", outcome.pc,
                       nic::disassemble(program, program.code[outcome.pc]));
  out += fmt::format("\nresults  {:#x} {:#x} {:#x} {:#x}\n", outcome.results[0], outcome.results[1],
                     outcome.results[2], outcome.results[3]);
  const auto& c = outcome.counts;
  out += fmt::format(
      "counts   steps {}, loads {}, stores {}, lines {}, atomics {}, bytes moved {}, remote {}\n",
      c.steps, c.loads, c.stores, c.lines, c.atomics, c.bytes_moved, c.remote_operations);
  out += fmt::format("reply    {} bytes\n", reply.size());
  return out + hexdump(reply);
}

struct Scene {
  std::map<std::string, BoundRegion> regions;
  std::vector<uint64_t> arguments;
  std::string payload;
};

Result<Scene> make_scene(const ExecOptions& options) {
  Scene scene;
  for (const auto& text : options.regions) {
    TIARA_TRY(auto named, make_region(text));
    scene.regions.insert_or_assign(named.first, std::move(named.second));
  }
  for (const auto& text : options.arguments) {
    TIARA_TRY(const uint64_t value, parse_argument(text));
    scene.arguments.push_back(value);
  }
  if (!options.payload_path.empty()) {
    TIARA_TRY(scene.payload, read_file(options.payload_path, kMaxRegion));
  }
  return scene;
}

Result<nic::RegionTable> bind(const nic::Program& program, const Scene& scene) {
  nic::RegionTable table{};
  for (size_t i = 0; i < program.regions.size(); ++i) {
    const auto& declared = program.regions[i];
    if (declared.is_remote) continue;  // there is no other node here: using it is a fault
    const auto found = scene.regions.find(declared.name);
    if (found == scene.regions.end())
      return fail(ErrorCode::kInvalidInput,
                  fmt::format("region '{}' has no memory; give it some with --region {}=64K",
                              declared.name, declared.name));
    table[i] = {found->second.memory.data(), found->second.size.value, declared.permission};
  }
  for (const auto& [name, region] : scene.regions)
    if (std::none_of(program.regions.begin(), program.regions.end(),
                     [&](const auto& r) { return r.name == name; }))
      return fail(ErrorCode::kInvalidInput,
                  fmt::format("--region {}: the program declares no such region", name));
  return table;
}

Result<void> save(const ExecOptions& options, const Scene& scene) {
  for (const auto& text : options.saves) {
    const size_t equals = text.find('=');
    const auto found = scene.regions.find(text.substr(0, equals));
    if (equals == std::string::npos || found == scene.regions.end())
      return fail(ErrorCode::kInvalidInput,
                  fmt::format("--save {}: write name=FILE with the name of a --region", text));
    TIARA_TRY_VOID(write_file(text.substr(equals + 1),
                              found->second.memory.span().first(found->second.size.value)));
  }
  return {};
}

int execute(const ExecOptions& options) {
  auto program = load_program(options.path);
  if (!program) return complain(kExitDataError, program.error().message);
  const auto verified = nic::verify(*program);
  if (!verified) {
    const auto& rejection = verified.error();
    const std::string instruction =
        rejection.instruction < program->code.size()
            ? nic::disassemble(*program, program->code[rejection.instruction])
            : "";
    return complain(kExitFailure, fmt::format("{}: rejected: {}", options.path,
                                              to_string(rejection, instruction)));
  }
  auto engine = make_engine(options.engine);
  if (!engine) return complain(kExitFailure, engine.error().message + "; use --engine interp");
  if (const auto prepared = (*engine)->prepare(*verified); !prepared)
    return complain(kExitFailure, prepared.error().message + "; use --engine interp");
  auto scene = make_scene(options);
  if (!scene) return complain(kExitUsage, scene.error().message);
  const auto table = bind(*program, *scene);
  if (!table) return complain(kExitUsage, table.error().message);

  std::vector<std::byte> reply(verified->bounds().reply_bytes);
  const nic::Invocation invocation{*table, scene->arguments,
                                   std::as_bytes(std::span(scene->payload)), reply};
  const nic::Outcome outcome = (*engine)->run(*verified, invocation);
  const auto written = std::span(reply).first(std::min<size_t>(outcome.reply_bytes, reply.size()));
  fmt::print("{}", options.json ? to_json(outcome, written).dump(2) + "\n"
                                : to_text(*program, outcome, written));
  if (const auto saved = save(options, *scene); !saved)
    return complain(kExitUsage, saved.error().message);
  return outcome.status == nic::Status::kOk ? kExitOk : kExitFailure;
}

}  // namespace

int exec_main(int argc, char** argv) {
  CommandLine app(
      "Verifies a NIC program, runs it once, and prints outcome, results, reply and counts.");
  ExecOptions options;
  app.add_option("file", options.path, "a program or its assembly text")
      ->required()
      ->option_text("FILE");
  app.add_option("--arg", options.arguments,
                 "an argument, in order (42, 0x2a); may be given several times")
      ->option_text("N")
      ->repeatable();
  app.add_option("--region", options.regions,
                 "memory of a declared region: zeros of a size, or a file's content")
      ->option_text("NAME=SIZE|FILE")
      ->repeatable();
  app.add_option("--save", options.saves, "write a region to a file afterwards")
      ->option_text("NAME=FILE")
      ->repeatable();
  app.add_option("--payload", options.payload_path, "what the invocation carries")
      ->option_text("FILE");
  app.add_option("--engine", options.engine, "interp (default) or jit")
      ->option_text("E")
      ->one_of({"interp", "jit"});
  app.add_flag("--json", options.json, "print JSON");
  if (const auto status = app.parse(argc, argv)) return *status;
  return execute(options);
}

}  // namespace tiara::apps
