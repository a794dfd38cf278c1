#include "apps/memcached/contestant.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <csignal>
#include <filesystem>
#include <thread>

#include "apps/common/program.h"
#include "apps/common/runtime_library.h"

namespace tiara::apps::memcached {
namespace {

using std::chrono::milliseconds;

// memcached listens within milliseconds; a node needs to map its pool. Far more than either takes.
constexpr milliseconds kStartLimit{20'000};
constexpr milliseconds kStopGrace{2'000};

// Per item: memcached's header, key, slab rounding. Twice what it really is, so that nothing is
// ever evicted.
constexpr uint64_t kItemOverhead = 200;

Bytes item_memory(const Workload& workload) {
  return Bytes{workload.keys * (workload.value_size + kItemOverhead) * 5 / 4 + 64 * kMiB};
}

// memcached doubles its hash table when it holds three items for two buckets, and moves every item
// while it serves: half of the server's CPU time for seconds, at a moment that differs between
// contestants. The table gets its final size from the start, in every contestant alike.
uint32_t hash_power(uint64_t keys) {
  constexpr int kDefault = 16, kMost = 32;  // memcached's own
  return static_cast<uint32_t>(std::clamp<int>(std::bit_width(keys), kDefault, kMost));
}

// A port that was free a moment ago.
Result<uint16_t> free_port() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (!socket.is_open() || bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return std::unexpected(system_error("bind", "127.0.0.1:0"));
  return ntohs(address.sin_port);
}

bool accepts_connections(uint16_t port) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

std::string last_line_of(const UniqueFd& file) {
  std::string text(4096, '\0');
  const off_t size = lseek(file.get(), 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(text.size()));
  const ssize_t got = pread(file.get(), text.data(), text.size(), from);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t line = text.rfind('\n');
  return line == std::string::npos ? text : text.substr(line + 1);
}

}  // namespace

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kLocal: return "local";
    case Kind::kTiara: return "tiara";
    case Kind::kTiaraNode: return "tiara-node";
    case Kind::kTiaraTcp: return "tiara-tcp";
    case Kind::kZram: return "zram";
  }
  return "unknown";
}

Result<Kind> parse_kind(std::string_view name) {
  for (const Kind kind : {Kind::kLocal, Kind::kTiara, Kind::kTiaraNode, Kind::kTiaraTcp, Kind::kZram})
    if (name == to_string(kind)) return kind;
  return fail(ErrorCode::kInvalidInput,
              fmt::format("'{}' is not a contestant; use local, tiara, tiara-node, tiara-tcp or zram", name));
}

std::string Contestant::name() const {
  if (kind == Kind::kLocal) return "local";
  if (fixed_limit) return fmt::format("{} {}", to_string(kind), format_bytes(*fixed_limit));
  return fmt::format("{} {:.3g}%", to_string(kind), 100 * share);
}

Server::TemporaryFolder::~TemporaryFolder() {
  if (path.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

Result<std::unique_ptr<Server>> Server::start(const Contestant& contestant,
                                              const ServerOptions& options, Bytes limit) {
  const auto program = find_program("memcached");
  if (!program)
    return fail(ErrorCode::kNotFound, program.error().line + " (apt-get install memcached)");
  std::unique_ptr<Server> server(new Server());
  TIARA_TRY(server->port_, free_port());
  const Bytes items = item_memory(options.workload);
  ChildOptions child{
      .path = program->path,
      .arguments = {"memcached", "-l", "127.0.0.1", "-p", std::to_string(server->port_), "-U", "0",
                    "-t", std::to_string(options.threads), "-m", std::to_string(items.value / kMiB),
                    "-c", std::to_string(options.workload.connections + 64), "-o",
                    fmt::format("hashpower={}", hash_power(options.workload.keys))},
      .death_signal = SIGKILL,
      .cpus = options.cpus};
  if (geteuid() == 0) child.arguments.insert(child.arguments.end(), {"-u", "nobody"});

  // Room for all that the server may ever ask for, and the tables.
  const Bytes pool{items.value * 5 / 4};
  switch (contestant.kind) {
    case Kind::kLocal: server->description_ = "no limit"; break;
    case Kind::kTiara: {
      Config config = options.config;
      config.node = "loop:";
      TIARA_TRY_VOID(server->add_tiara(child, config, limit, pool));
      break;
    }
    case Kind::kTiaraNode: {
      Config config = options.config;
      config.node = options.node_url;
      if (config.node.empty()) {
        TIARA_TRY(config.node, server->start_node(pool, Link::kShm));
      }
      TIARA_TRY_VOID(server->add_tiara(child, config, limit, pool));
      break;
    }
    case Kind::kTiaraTcp: {
      Config config = options.config;
      TIARA_TRY(config.node, server->start_node(pool, Link::kTcp));
      TIARA_TRY_VOID(server->add_tiara(child, config, limit, pool));
      break;
    }
    case Kind::kZram: TIARA_TRY_VOID(server->add_zram(child, limit, pool)); break;
  }
  TIARA_TRY_VOID(server->launch(child));
  return server;
}

Result<void> Server::add_tiara(ChildOptions& child, Config config, Bytes limit, Bytes pool) {
  TIARA_TRY(const std::string library, find_runtime_library());
  TIARA_TRY(StatsFile stats, StatsFile::create());
  stats_ = std::move(stats);
  config.local = LocalBudget{limit, std::nullopt};
  if (config.pool.value == 0) config.pool = pool;
  config.stats_path = stats_->path();
  child.environment = runtime_environment(config, library);
  description_ = "node " + config.node;
  return {};
}

Result<std::string> Server::start_node(Bytes pool, Link link) {
  char folder[] = "/tmp/tiara-bench-XXXXXX";
  if (mkdtemp(folder) == nullptr) return std::unexpected(system_error("mkdtemp", folder));
  folder_.path = folder;
  // memcached gives up root (-u nobody) and may connect afterwards.
  if (chmod(folder, 0711) != 0) return std::unexpected(system_error("chmod", folder));
  const std::string path = fmt::format("{}/node.sock", folder);
  const std::string url = link == Link::kShm ? "shm://" + path : "tcp://127.0.0.1:0";
  TIARA_TRY(const UniqueFd output, os::create_memfd("tiara-node-output", Bytes{0}));
  TIARA_TRY(node_, Child::spawn({.path = "/proc/self/exe",
                                 .arguments = {"tiara", "node", "--listen", url, "--memory",
                                               std::to_string(pool.value)},
                                 .standard_output = output.get(),
                                 .standard_error = output.get(),
                                 .death_signal = SIGKILL}));
  for (milliseconds waited{0}; waited < kStartLimit; waited += milliseconds(20)) {
    if (const auto exit = node_.wait_for(milliseconds(20)))
      return fail(ErrorCode::kUnavailable,
                  fmt::format("tiara node {}: {}", exit->describe(), last_line_of(output)));
    // It says where it serves when it does: "... of memory at URL with ...".
    const std::string line = last_line_of(output);
    const size_t at = line.find(" at "), end = line.find(" with ");
    if (at == std::string::npos || end == std::string::npos) continue;
    if (link == Link::kShm) (void)chmod(path.c_str(), 0666);
    return line.substr(at + 4, end - at - 4);
  }
  return fail(ErrorCode::kTimedOut,
              fmt::format("tiara node did not listen within {} s", kStartLimit.count() / 1000));
}

Result<void> Server::add_zram(ChildOptions& child, Bytes limit, Bytes swap) {
  if (const std::string reason = why_no_zram(); !reason.empty())
    return fail(ErrorCode::kUnsupported, reason);
  TIARA_TRY(zram_, ZramSwap::create(swap));
  TIARA_TRY(cgroup_, MemoryCgroup::create(limit, fmt::format("zram{}", zram_->device_number())));
  child.cgroup_procs = cgroup_->procs_file();
  description_ = fmt::format("zram {}, {}", zram_->compressor(), cgroup_->version());
  return {};
}

Result<void> Server::launch(ChildOptions& child) {
  TIARA_TRY(output_, os::create_memfd("memcached-output", Bytes{0}));
  child.standard_output = child.standard_error = output_.get();
  TIARA_TRY(server_, Child::spawn(child));
  for (milliseconds waited{0}; waited < kStartLimit; waited += milliseconds(10)) {
    if (accepts_connections(port_)) return {};
    if (const auto end = obituary()) return fail(ErrorCode::kUnavailable, *end);
    std::this_thread::sleep_for(milliseconds(10));
  }
  return fail(ErrorCode::kTimedOut,
              fmt::format("memcached did not listen within {} s", kStartLimit.count() / 1000));
}

std::optional<std::string> Server::obituary() {
  if (!server_.is_running()) return "memcached is gone";
  const auto exit = server_.wait_for(milliseconds(0));
  if (!exit) return std::nullopt;
  const std::string line = last_line_of(output_);
  return fmt::format("memcached {}{}{}", exit->describe(), line.empty() ? "" : ": ", line);
}

}  // namespace tiara::apps::memcached
