// `tiara node`: a memory node that serves this machine until it is told to stop.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <iterator>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/config_options.h"
#include "apps/common/node_config.h"
#include "apps/common/node_control.h"
#include "apps/tiara/commands.h"
#include "apps/tiara/node_serving.h"
#include "nic/engine/jit.h"
#include "nic/rtl/make_engine.h"
#include "nic/transport/peer_set.h"
#include "pagetable/baseline.h"
#include "runtime/base/config.h"

namespace tiara::apps {
namespace {

// A smaller pool holds no program worth its start: 1 MiB is 256 frames, some of them tables.
constexpr Bytes kMinMemory{1 * kMiB};

// Before any thread is started: threads inherit the mask, so the signals wait for
// serve_until_told().
void block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
}

// Other nodes: where they find this one, and where this one finds them.
struct PeerOptions {
  std::vector<std::string> peers;  // HOST=URL
  std::string timeout = "2s";
};

Result<nic::PeerConfig> parse_peers(const PeerOptions& options) {
  nic::PeerConfig config;
  const auto timeout = parse_duration(options.timeout);
  if (!timeout) return fail(ErrorCode::kInvalidInput, "--peer-timeout: " + timeout.error().message);
  config.timeout = *timeout;
  for (const std::string& text : options.peers) {
    const size_t equals = text.find('=');
    uint32_t host = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + std::min(equals, text.size()), host);
    if (equals == std::string::npos || error != std::errc() || end != text.data() + equals)
      return fail(ErrorCode::kInvalidInput,
                  "--peer " + text + " is no host; write HOST=URL, HOST being the number that programs use");
    config.peers.push_back({host, text.substr(equals + 1)});
  }
  return config;
}

struct EthernetOptions {
  std::string device, address;
  std::vector<std::string> clients;
};

Result<void> settle_ethernet(const EthernetOptions& options, const std::string& engine, const nic::NodeConfig& config,
                             EthernetConfig& made) {
  if (options.device.empty()) {
    if (!options.address.empty() || !options.clients.empty())
      return fail(ErrorCode::kInvalidInput, "--ethernet-address and --ethernet-client need --ethernet DEVICE");
    return {};
  }
  if (engine != "rtl")
    return fail(ErrorCode::kInvalidInput, "--ethernet: only the NIC takes frames; add --engine rtl");
  if (!config.tenants.empty())
    return fail(ErrorCode::kInvalidInput, "--ethernet is for a node without tenants: nothing counts there what they "
                                          "may use");
  if (options.address.empty() || options.clients.empty())
    return fail(ErrorCode::kInvalidInput, "--ethernet needs --ethernet-address, the NIC's own, and an "
                                          "--ethernet-client for each that it serves");
  if (options.clients.size() > nic::rtl::NicEngine::kNetworkClients)
    return fail(ErrorCode::kInvalidInput, fmt::format("--ethernet-client: the NIC serves {} at most",
                                                      nic::rtl::NicEngine::kNetworkClients));
  made.device = options.device;
  auto address = parse_network_address(options.address);
  if (!address) return fail(ErrorCode::kInvalidInput, "--ethernet-address: " + address.error().message);
  made.address = *address;
  for (const std::string& text : options.clients) {
    auto client = parse_network_address(text);
    if (!client) return fail(ErrorCode::kInvalidInput, "--ethernet-client: " + client.error().message);
    made.clients.push_back(*client);
  }
  return {};
}

// tiara node status|tenants|drain|fsck
constexpr std::string_view kQuestions[] = {"status", "tenants", "drain", "fsck"};

int ask_main(int argc, char** argv) {
  const std::string command = argv[1];
  CommandLine app("Asks a memory node that runs, and prints its answer as JSON.");
  std::string control, token_file;
  app.add_option("--control", control, "the node's control socket")->required()->option_text("PATH");
  app.add_option("--admin-token-file", token_file, "file with the token that the node asks for")
      ->option_text("FILE");
  std::string name = std::string(argv[0]) + " " + command;
  std::vector<char*> rest(argv + 1, argv + argc + 1);
  rest[0] = name.data();
  if (const auto status = app.parse(argc - 1, rest.data())) return *status;
  std::string token;
  if (!token_file.empty()) {
    auto read = read_token_file(token_file);
    if (!read) return complain(read.error());
    token = std::move(*read);
  }
  const auto answer = ask_node(control, token, command);
  if (!answer) return complain(answer.error());
  fmt::print("{}\n", answer->dump(2));
  return answer->value("is_sound", true) ? kExitOk : kExitFailure;
}

// Options say what they say; the rest is the file's.
Result<void> complete_from(const std::string& path, Serving& serving, std::optional<std::string>& memory,
                           std::string& log, nic::NodeConfig& config) {
  TIARA_TRY(NodeFileConfig file, read_node_config(path));
  if (serving.urls.empty()) serving.urls = std::move(file.listen);
  if (serving.control.empty()) serving.control = std::move(file.control);
  if (serving.metrics.empty()) serving.metrics = std::move(file.metrics);
  if (log.empty()) log = std::move(file.log);
  serving.admin_token = std::move(file.admin_token);
  if (!memory && file.memory) memory = std::to_string(file.memory->value);
  config.peer_token = std::move(file.peer_token);
  config.tenants = std::move(file.tenants);
  return {};
}

}  // namespace

int node_main(int argc, char** argv) {
  if (argc > 1 && std::ranges::find(kQuestions, std::string_view(argv[1])) != std::end(kQuestions))
    return ask_main(argc, argv);
  CommandLine app(
      "Keeps the far memory of other processes until SIGINT or SIGTERM.\n\n"
      "  tiara node --listen URL [options]\n"
      "  tiara node status|tenants|drain|fsck --control PATH [--admin-token-file FILE]\n");
  Serving serving;
  std::optional<std::string> memory;
  std::string config_file, token_file, admin_token_file, log, engine = "auto", lease = "30s", io = "auto";
  nic::NodeConfig config;
  nic::ServerConfig server;
  bool serves_baselines = false;
  PeerOptions peer_options;
  std::string shared = "0";
  EthernetOptions ethernet;
  app.add_option("--listen", serving.urls,
                 "where to serve: shm://PATH, a UNIX socket for processes of this machine, tcp://HOST:PORT or "
                 "rdma://ADDRESS:PORT, of an RDMA device (port 0: any that is free); may be given several times")
      ->option_text("URL")
      ->repeatable();
  app.add_option("--config", config_file,
                 "a JSON file with tenants, and with what options do not say")
      ->option_text("FILE");
  app.add_option("--token-file", token_file,
                 "file with the token that clients must bring, on a node without tenants (default: none is asked for)")
      ->option_text("FILE");
  app.add_option("--control", serving.control,
                 "where 'tiara node status' and its like reach the node: a UNIX socket")
      ->option_text("PATH");
  app.add_option("--admin-token-file", admin_token_file,
                 "file with the token that those must bring (default: whoever may open the socket)")
      ->option_text("FILE");
  app.add_option("--metrics", serving.metrics,
                 "where Prometheus finds the node's figures (default: nowhere; port 0: any that is free)")
      ->option_text("HOST:PORT");
  app.add_option("--log", log, "events on standard error, as text (default) or as json")
      ->option_text("FORMAT")
      ->one_of({"text", "json"});
  app.add_option("--memory", memory,
                 "memory for pages and their tables (default: most of what is available)")
      ->option_text("SIZE");
  app.add_option("--workers", server.workers,
                 "threads that run operators (default: one for every four CPUs)")
      ->option_text("N")
      ->range(0, 256);
  app.add_option("--lease", lease,
                 "tcp: how long a client that lost its connection may take to come back before its "
                 "pages are given up, as in 30s (default)")
      ->option_text("TIME");
  app.add_option("--io", io,
                 "tcp: how bytes are moved: auto (default: io_uring where it is allowed), io_uring or "
                 "sockets")
      ->option_text("HOW")
      ->one_of({"auto", "io_uring", "sockets"});
  app.add_option("--tls-cert", server.tls_certificate,
                 "tcp: speak TLS only; a PEM file with the node's certificate, its chain behind it")
      ->option_text("FILE");
  app.add_option("--tls-key", server.tls_key,
                 "tcp: a PEM file with the certificate's key, without a pass phrase")
      ->option_text("FILE");
  app.add_option("--levels", config.pool.levels, "depth of the page tables, 1 to 5 (default 4)")
      ->option_text("N")
      ->range(1, 5);
  app.add_option("--engine", engine,
                 "what runs operators: auto (default: jit where the CPU allows it), jit, interp, or rtl: the NIC's "
                 "hardware in simulation, where the build has it, and slowly")
      ->option_text("E")
      ->one_of({"auto", "jit", "interp", "rtl"});
  app.add_option("--ethernet", ethernet.device,
                 "with --engine rtl: a network device, TAP or any other, whose frames go into the NIC as they are")
      ->option_text("DEVICE");
  app.add_option("--ethernet-address", ethernet.address,
                 "the NIC's own address there: MAC,IP:PORT, as in 02:74:6e:69:63:01,10.77.0.1:4791")
      ->option_text("ADDRESS");
  app.add_option("--ethernet-client", ethernet.clients,
                 "a client there, known by its address, with an address space of its own; up to seven times")
      ->option_text("ADDRESS")
      ->repeatable();
  app.add_option("--shared", shared,
                 "memory of the region `shared`, one for all clients and for other nodes (default: none)")
      ->option_text("SIZE");
  app.add_option("--peers-listen", serving.peers_url,
                 "where other nodes reach the shared region: shm://PATH or tcp://HOST:PORT")
      ->option_text("URL");
  app.add_option("--peer", peer_options.peers,
                 "another node: the number (0 to 63) by which programs name it, and its --peers-listen address; "
                 "once for each")
      ->option_text("HOST=URL")
      ->repeatable();
  app.add_option("--peer-timeout", peer_options.timeout,
                 "how long a remote operation may wait for its answer before it faults (default 2s)")
      ->option_text("TIME");
  app.add_flag("--baselines", serves_baselines,
               "also answer raw one-sided reads, which see every client's bytes: only for 'tiara "
               "bench pagewalk'");
  if (const auto status = app.parse(argc, argv)) return *status;
  if (!config_file.empty()) {
    const auto completed = complete_from(config_file, serving, memory, log, config);
    if (!completed) return complain(kExitUsage, "--config " + completed.error().message);
  }
  if (log == "json") serving.log = NodeLog::Format::kJson;
  if (!admin_token_file.empty()) {
    auto token = read_token_file(admin_token_file);
    if (!token) return complain(token.error());
    serving.admin_token = std::move(*token);
  }
  if (!token_file.empty()) {
    if (!config.tenants.empty())
      return complain(kExitUsage, "--token-file is for a node without tenants; each has its own in --config");
    auto token = read_token_file(token_file);
    if (!token) return complain(token.error());
    config.token = std::move(*token);
  }
  if (serving.urls.empty() && ethernet.device.empty())
    return complain(kExitUsage, "--listen is required: where to serve, as in --listen shm:///run/tiara.sock");
  const auto lease_time = parse_duration(lease);
  if (!lease_time) return complain(kExitUsage, "--lease: " + lease_time.error().message);
  server.lease = *lease_time;
  if (server.tls_certificate.empty() != server.tls_key.empty())
    return complain(kExitUsage, "--tls-cert and --tls-key go together; give both, or neither");
  const bool has_tcp = std::ranges::any_of(serving.urls, [](const auto& url) { return url.starts_with("tcp://"); });
  if (!server.tls_certificate.empty() && !has_tcp)
    return complain(kExitUsage, "--tls-cert: TLS is for tcp:// only; leave it away, or add --listen tcp://HOST:PORT");
  server.io = *os::parse_io_backend(io);
  const auto size = parse_bytes(memory.value_or("0"));
  if (!size) return complain(kExitUsage, "--memory: " + size.error().message);
  if (size->value != 0 && *size < kMinMemory)
    return complain(
        kExitUsage,
        fmt::format("--memory {}: too small for a page table and its pages; use {} or more", *memory,
                    format_bytes(kMinMemory)));
  config.pool.size = *size;
  config.pool.backing = nic::PoolBacking::kPrivate;
  if (const auto settled = settle_ethernet(ethernet, engine, config, serving.ethernet); !settled)
    return complain(kExitUsage, settled.error().message);
  if (engine == "rtl") {
    auto hardware = serving.ethernet.device.empty() ? nic::rtl::make_rtl_engine()
                                                    : nic::rtl::make_rtl_engine(serving.ethernet.address);
    if (!hardware) return complain(kExitFailure, "--engine rtl: " + hardware.error().message);
    serving.hardware = *hardware;
    config.engine = std::move(*hardware);
  } else if (engine != "interp") {
    auto jit = nic::JitEngine::create();
    if (!jit && engine == "jit")
      return complain(kExitFailure, jit.error().message + "; use --engine interp");
    if (jit) config.engine = std::move(*jit);
  }
  if (serves_baselines) {
    config.allows_one_sided = true;
    config.natives = pagetable::baseline_operators();
  }
  const auto shared_size = parse_bytes(shared);
  if (!shared_size) return complain(kExitUsage, "--shared: " + shared_size.error().message);
  config.shared = *shared_size;
  if (!serving.peers_url.empty() && shared_size->value == 0)
    return complain(kExitUsage, "--peers-listen: there is nothing for other nodes to reach; add --shared SIZE");
  auto peers = parse_peers(peer_options);
  if (!peers) return complain(kExitUsage, peers.error().message);
  peers->token = config.peer_token;
  block_signals();
  if (!peers->peers.empty()) {
    auto set = nic::PeerSet::create(*peers);
    if (!set) return complain(kExitUsage, "--peer: " + set.error().message);
    config.remote = std::move(*set);
  }
  return serve_until_told(serving, config, server);
}

}  // namespace tiara::apps
