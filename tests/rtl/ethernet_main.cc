// ethernet TIARA [--requests N] [--loss P] [--seed S]: `tiara node --engine rtl --ethernet` serves a client over real
// Ethernet: through a veth pair whose other end is in another network namespace, then through a TAP device.
//
// The client is a process with an ordinary UDP socket. It learns its numbers from what the node says at its start,
// writes and reads pages, and everything must be as written. Datagrams are lost in both directions, and some come
// twice; what the node says at its end must be what was asked: nothing less, and nothing twice.
//
// Needs root for the namespaces; exits with 77 where it may not.
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "pagetable/protocol.h"
#include "tests/rtl/veth_client.h"
#include "tests/rtl/veth_link.h"
#include "tests/unit/pagetable/operators.h"

namespace tiara::nic::rtl {
namespace {

using std::chrono::seconds;

constexpr const char* kClientDevice = "tclient";
constexpr const char* kNicText = "02:74:6e:69:63:01,10.77.0.1:4791";
constexpr const char* kClientText = "02:74:6e:69:63:02,10.77.0.2:4792";
constexpr seconds kPatience{250};

struct Options {
  std::string tiara;
  uint64_t requests = 100;
  uint64_t loss = 1;  // percent
  uint64_t seed = 1;
};

// --- the node ---

class Node {
 public:
  // Alone: it serves nobody but over Ethernet.
  Node(const Options& options, const std::string& device, bool is_alone) : folder_("/tmp/tiara-ethernet-XXXXXX") {
    if (mkdtemp(folder_.data()) == nullptr) die("mkdtemp");
    int output[2];
    if (pipe(output) != 0) die("pipe");
    process_ = fork();
    if (process_ < 0) die("fork");
    if (process_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(output[1], STDOUT_FILENO);
      const std::string socket = "shm://" + folder_ + "/node.sock";
      execl(options.tiara.c_str(), "tiara", "node", "--engine", "rtl", "--memory", "16M", "--ethernet", device.c_str(),
            "--ethernet-address", kNicText, "--ethernet-client", kClientText,
            is_alone ? nullptr : "--listen", socket.c_str(), static_cast<char*>(nullptr));
      die("execl");
    }
    close(output[1]);
    output_ = fdopen(output[0], "r");
    if (output_ == nullptr) die("fdopen");
  }
  ~Node() {
    fclose(output_);
    static_cast<void>(unlink((folder_ + "/node.sock").c_str()));
    static_cast<void>(rmdir(folder_.c_str()));
  }

  // A line that holds `wanted`; none when there is none.
  std::string line_with(const char* wanted) {
    char line[1024];
    while (fgets(line, sizeof line, output_) != nullptr)
      if (strstr(line, wanted) != nullptr) return line;
    return {};
  }
  int end() {
    kill(process_, SIGTERM);
    return wait();
  }
  int wait() {
    int status = 0;
    waitpid(process_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  }

 private:
  std::string folder_;
  pid_t process_ = -1;
  FILE* output_ = nullptr;
};

// A node that cannot serve says why: this exit status, and these words on standard error.
void must_complain(const Options& options, int status, const char* words, std::vector<const char*> arguments,
                   bool has_rights = true) {
  arguments.insert(arguments.begin(), {"tiara", "node", "--engine", "rtl", "--memory", "16M"});
  arguments.push_back(nullptr);
  int output[2];
  if (pipe(output) != 0) die("pipe");
  const pid_t process = fork();
  if (process == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(static_cast<unsigned>(kPatience.count()));  // one that serves after all
    // What is not in the bounding set does not survive the exec.
    if (!has_rights && (prctl(PR_CAPBSET_DROP, CAP_NET_RAW) != 0 || prctl(PR_CAPBSET_DROP, CAP_NET_ADMIN) != 0))
      die("PR_CAPBSET_DROP");
    dup2(output[1], STDERR_FILENO);
    close(output[1]);
    execv(options.tiara.c_str(), const_cast<char* const*>(arguments.data()));
    _exit(127);
  }
  close(output[1]);
  std::string said;
  char buffer[512];
  for (ssize_t got; (got = ::read(output[0], buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<size_t>(got));
  close(output[0]);
  int ended = 0;
  waitpid(process, &ended, 0);
  if (WIFEXITED(ended) && WEXITSTATUS(ended) == status && said.find(words) != std::string::npos) return;
  fprintf(stderr, "status %d, not %d with \"%s\": %s", ended, status, words, said.c_str());
  die("a node that cannot serve says something else");
}

void must_complain(const Options& options) {
  const auto on = [](const char* device, const char* address) {
    return std::vector<const char*>{"--ethernet", device, "--ethernet-address", address, "--ethernet-client",
                                    kClientText};
  };
  must_complain(options, 64, "needs --ethernet-address", {"--ethernet", "lo"});
  must_complain(options, 64, "need --ethernet DEVICE", {"--listen", "shm:///nowhere", "--ethernet-address", kNicText});
  must_complain(options, 64, "is no network address", on("lo", "02:74:6e:69:63:01,10.77.0.1"));
  must_complain(options, 64, "is no network address", on("lo", "01:74:6e:69:63:01,10.77.0.1:4791"));
  must_complain(options, 71, "there is no network device", on("nothing0", kNicText));
  must_complain(options, 71, "is down", on("lo", kNicText));  // of a new namespace
}

// The number behind a word of the node's line.
uint32_t number_after(const std::string& line, const std::string& word) {
  const size_t at = line.find(" " + word + " ");
  uint32_t number = 0;
  if (at == std::string::npos) die(("the node says no " + word).c_str());
  const char* const first = line.data() + at + word.size() + 2;
  if (std::from_chars(first, line.data() + line.size(), number).ec != std::errc()) die("the node says no number");
  return number;
}

// --- the client ---

class Client {
 public:
  Client(int socket, const std::string& line, const Options& options)
      : client_(socket, static_cast<uint16_t>(number_after(line, "client")), {number_after(line, "tenant")}),
        space_{number_after(line, "space")},
        read_{number_after(line, "pt_read")},
        write_{number_after(line, "pt_write")},
        random_(options.seed) {
    client_.lose(options.loss, options.seed + 1);
    if (options.loss != 0) client_.lose_next();
  }

  void write(uint64_t first, uint64_t bitmap) {
    const uint64_t version = ++version_;
    std::vector<std::byte> bytes(static_cast<size_t>(std::popcount(bitmap)) * kPageSize);
    size_t at = 0;
    for (uint64_t rest = bitmap; rest != 0; rest &= rest - 1, at += kPageSize) {
      const uint64_t page = first + static_cast<uint64_t>(std::countr_zero(rest));
      pagetable::fill_page(bytes.data() + at, page, version);
      versions_[page] = version;
    }
    const auto answer = ask(write_, first, bitmap, bytes, 0);
    if (answer.outcome.results[pagetable::kWriteMissing] != 0) die("a page was not stored");
  }

  void read(uint64_t first, uint64_t bitmap) {
    const auto answer = ask(read_, first, bitmap, {}, static_cast<uint32_t>(kMaxReplyBytes));
    size_t at = 0;
    for (uint64_t rest = bitmap; rest != 0; rest &= rest - 1) {
      const uint64_t page = first + static_cast<uint64_t>(std::countr_zero(rest));
      const bool is_present = (answer.outcome.results[pagetable::kReadPresent] & rest & -rest) != 0;
      if (is_present != versions_.contains(page)) die("presence of a page is wrong");
      if (!is_present) continue;
      if (at + kPageSize > answer.reply.size() || !pagetable::is_page(answer.reply.data() + at, page, versions_[page]))
        die("wrong content");
      at += kPageSize;
    }
  }

  // Another client's space, or one that nobody has: no answer but a refusal or a fault.
  void trespass() {
    for (uint32_t space = 0; space < 32; ++space) {
      if (space == space_.value) continue;
      const uint64_t arguments[] = {0, 1};
      const auto answer = finish({.operation = read_, .space = {space}, .arguments = arguments}, kPageSize);
      if (answer.outcome.status != Status::kRefused && answer.outcome.status != Status::kFault)
        die("a space of somebody else's can be read");
      ++refused_;
    }
  }

  void run(uint64_t requests) {
    for (uint64_t i = 0; i < requests; ++i) {
      const uint64_t first = random_() % 8 * 64;
      const uint64_t bitmap = i == 0 ? UINT64_MAX : uint64_t{1} << random_() % 64 | uint64_t{1} << random_() % 64;
      if (i % 2 == 0) write(first, bitmap);
      read(first, bitmap | uint64_t{1} << random_() % 64);
    }
    trespass();
  }
  // What a run shows.
  struct Told {
    uint64_t requests, refused, sent_again, lost, doubled;
  };
  Told told() const {
    return {client_.requests(), refused_, client_.sent_again(), client_.lost(), client_.doubled()};
  }

 private:
  VethClient::Answer ask(OperatorId operation, uint64_t first, uint64_t bitmap, std::span<const std::byte> bytes,
                         uint32_t room) {
    const uint64_t arguments[] = {first, bitmap};
    const std::span<const std::byte> parts[] = {bytes};
    Request request{.operation = operation, .space = space_, .arguments = arguments};
    if (!bytes.empty()) request.payload = parts;
    const auto answer = finish(request, room);
    if (answer.outcome.status != Status::kOk) die("an operator did not end well");
    return answer;
  }
  VethClient::Answer finish(const Request& request, uint64_t room) {
    const auto slot = client_.post(request, static_cast<uint32_t>(room));
    if (!slot || !client_.wait(*slot, kPatience)) die("no answer");
    return client_.take(*slot);
  }

  VethClient client_;
  const AddressSpaceId space_;
  const OperatorId read_, write_;
  std::mt19937_64 random_;
  std::map<uint64_t, uint64_t> versions_;
  uint64_t version_ = 0, refused_ = 0;
};

// --- both ---

enum class Link { kVeth, kTap };

// The node's end; another one each time, because a pair goes some time after the client's namespace.
std::string device_of(Link link) { return link == Link::kVeth ? "tnode" : "ttap"; }

// Makes the devices; the client's process moves its end away, or stays for TAP's.
void lay(Link link, pid_t client) {
  const std::string node = device_of(link);
  if (link == Link::kTap) {
    // Somebody else's: nobody's may be opened by anybody.
    if (system(("ip tuntap add dev " + node + " mode tap user 65533 2>/dev/null").c_str()) != 0) skip("no TAP device");
    return;
  }
  if (system(("ip link add " + node + " mtu 9000 type veth peer name " + kClientDevice + " 2>/dev/null").c_str()) != 0)
    skip("no veth pair");
  must_run(std::string("ip link set ") + kClientDevice + " netns " + std::to_string(client));
  must_run("ip link set " + node + " up");
}

int run_client(int to_parent, int from_parent, Link link, const Options& options) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (link == Link::kVeth && unshare(CLONE_NEWNET) != 0) die("unshare");
  char go = 1;
  if (::write(to_parent, &go, 1) != 1 || ::read(from_parent, &go, 1) != 1) die("pipe");
  const int socket = open_client_socket(link == Link::kVeth ? kClientDevice : device_of(link));
  char line[1024] = {};
  if (::write(to_parent, &go, 1) != 1 || ::read(from_parent, line, sizeof line - 1) <= 0) die("pipe");
  Client client(socket, line, options);
  client.run(options.requests);
  const Client::Told told = client.told();
  return ::write(to_parent, &told, sizeof told) == sizeof told ? 0 : 1;
}

void run_over(Link link, const Options& options) {
  int up[2], down[2];
  if (pipe(up) != 0 || pipe(down) != 0) die("pipe");
  const pid_t child = fork();
  if (child == 0) _exit(run_client(up[1], down[0], link, options));
  char go = 0;
  if (child < 0 || ::read(up[0], &go, 1) != 1) die("the client");
  lay(link, child);
  if (::write(down[1], &go, 1) != 1 || ::read(up[0], &go, 1) != 1) die("the client's device");
  must_complain(options, 71, link == Link::kVeth ? "CAP_NET_RAW" : "CAP_NET_ADMIN",
                {"--ethernet", device_of(link).c_str(), "--ethernet-address", kNicText, "--ethernet-client",
                 kClientText}, false);
  Node node(options, device_of(link), link == Link::kTap);
  const std::string line = node.line_with(": client ");
  if (line.empty()) die("the node does not serve");
  if (::write(down[1], line.data(), line.size()) != static_cast<ssize_t>(line.size())) die("pipe");
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) die("the client failed");
  Client::Told told{};
  if (::read(up[0], &told, sizeof told) != sizeof told) die("pipe");
  if (node.end() != 0) die("the node ended badly");
  const std::string said = node.line_with("tiara node: ethernet:");
  printf("%s: %llu requests, %llu sent again; %llu datagrams lost, %llu doubled; %s",
         link == Link::kVeth ? "veth" : "TAP", static_cast<unsigned long long>(told.requests),
         static_cast<unsigned long long>(told.sent_again), static_cast<unsigned long long>(told.lost),
         static_cast<unsigned long long>(told.doubled), said.c_str());
  // Trespassers are refused before they run, or run into a fault.
  const uint64_t ran = number_after(said, "ran"), refused = number_after(said, "refused");
  if (ran + refused != told.requests || refused > told.refused) die("the node ran something else than was asked for");
  // The first request and the first reply were lost, whatever else was.
  if (options.loss != 0 && (told.lost < 2 || told.sent_again < 2 || number_after(said, "answered") == 0))
    die("nothing was lost: this run shows nothing");
}

int run(const Options& options) {
  if (system("ip -Version >/dev/null 2>&1") != 0) skip("no ip command");
  if (unshare(CLONE_NEWNET) != 0) skip("no network namespace");
  must_complain(options);
  run_over(Link::kVeth, options);
  run_over(Link::kTap, options);
  return 0;
}

}  // namespace
}  // namespace tiara::nic::rtl

int main(int argc, char** argv) {
  tiara::nic::rtl::Options options;
  if (argc > 1) options.tiara = argv[1];
  bool is_right = argc > 1 && argc % 2 == 0;
  for (int i = 2; i + 1 < argc && is_right; i += 2) {
    const std::string_view name = argv[i], value = argv[i + 1];
    uint64_t* const field = name == "--requests" ? &options.requests
                            : name == "--loss"   ? &options.loss
                            : name == "--seed"   ? &options.seed : nullptr;
    is_right = field != nullptr && std::from_chars(value.data(), value.data() + value.size(), *field).ec == std::errc{};
  }
  if (!is_right) {
    fprintf(stderr, "usage: ethernet TIARA [--requests N] [--loss PERCENT] [--seed S]\n");
    return 64;
  }
  return tiara::nic::rtl::run(options);
}
