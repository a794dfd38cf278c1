// veth [--requests N] [--loss PERCENT] [--seed S] [--patience SECONDS]: a client on one end of a veth pair, the
// Verilated NIC on the other.
//
// The client is a process in a network namespace of its own with an ordinary UDP socket; its kernel makes the frames
// and checks what comes back. The NIC gets them from a packet socket on the other end. In between some frames are
// lost and some come twice, in both directions, by a seeded draw. The client writes and reads pages by the page
// table's operators and counts up a word; contents must be right, and every request must have run exactly once.
//
// Needs root for the namespaces; exits with 77 where it may not. Nothing is left behind: the namespaces end with the
// test.
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

#include "nic/asm/assembler.h"
#include "nic/rtl/dv/nic_model.h"
#include "pagetable/protocol.h"
#include "tests/rtl/veth_client.h"
#include "tests/rtl/veth_link.h"
#include "tests/unit/pagetable/operators.h"

namespace tiara::nic::rtl {
namespace {

using std::chrono::seconds;

constexpr const char* kNicDevice = "tnic";
constexpr const char* kClientDevice = "tclient";
constexpr LoadKey kKey{0x6b65796b65796b65, 0x796b65796b65796b};
constexpr uint64_t kFrames = 4096;      // of the pool
constexpr uint64_t kPages = 512;        // that the client uses
constexpr uint32_t kInFlight = 16;      // of eight blocks, one page operation and one count each
constexpr uint8_t kTenant = 3;
constexpr uint32_t kSpace = 5;
enum Operator : uint32_t { kRead = 1, kWrite = 2, kCount = 3 };

struct Options {
  uint64_t requests = 150;
  uint64_t loss = 1;      // percent
  uint64_t patience = 250;  // seconds for an answer
  uint64_t seed = 1;
};

// --- the client's process ---

class Client {
 public:
  Client(int socket, const Options& options)
      : client_(socket, 0, {kTenant}), options_(options), random_(options.seed) {}

  // Rounds of requests that do not disturb each other; then everything once more.
  int run() {
    while (client_.requests() < options_.requests) round();
    for (uint64_t first = 0; first < kPages; first += 64) read(first, UINT64_MAX);
    collect();
    printf("%llu requests, %llu sent again, %zu pages, counter %llu\n",
           static_cast<unsigned long long>(client_.requests()), static_cast<unsigned long long>(client_.sent_again()),
           versions_.size(), static_cast<unsigned long long>(counted_));
    fflush(stdout);
    return static_cast<int>(client_.requests()) == 0;
  }
  uint64_t counted() const { return counted_; }
  uint64_t requests() const { return client_.requests(); }

 private:
  struct Asked {
    uint32_t slot;
    Operator operation;
    uint64_t first, bitmap, version;
  };

  // Each request of a round has 64 page numbers of its own.
  void round() {
    for (uint64_t block = 0; block < kPages / 64; ++block) {
      const uint64_t first = block * 64;
      // Mostly few pages, sometimes all of them: one frame or sixty-four.
      uint64_t bitmap = uint64_t{1} << (random_() % 64) | uint64_t{1} << (random_() % 64);
      if (random_() % 24 == 0) bitmap = UINT64_MAX;
      if (random_() % 2 == 0) write(first, bitmap);
      else read(first, bitmap);
      if (random_() % 3 == 0) post({.operation = {kCount}, .space = {kSpace}, .arguments = {}}, {0, kCount, 0, 0, 0});
    }
    collect();
  }

  void post(const Request& request, Asked asked) {
    if (asked_.size() == kInFlight) die("more in flight than a round has");
    const uint32_t room = asked.operation == kRead ? static_cast<uint32_t>(kMaxReplyBytes) : 0;
    const auto slot = client_.post(request, room);
    if (!slot) die("no slot");
    asked.slot = *slot;
    asked_.push_back(asked);
  }
  void read(uint64_t first, uint64_t bitmap) {
    const uint64_t arguments[] = {first, bitmap};
    post({.operation = {kRead}, .space = {kSpace}, .arguments = arguments}, {0, kRead, first, bitmap, 0});
  }
  void write(uint64_t first, uint64_t bitmap) {
    const uint64_t version = ++version_;
    std::vector<std::byte> bytes(static_cast<size_t>(std::popcount(bitmap)) * kPageSize);
    size_t at = 0;
    for (uint64_t rest = bitmap; rest != 0; rest &= rest - 1, at += kPageSize)
      pagetable::fill_page(bytes.data() + at, first + static_cast<uint64_t>(std::countr_zero(rest)), version);
    const uint64_t arguments[] = {first, bitmap};
    const std::span<const std::byte> parts[] = {bytes};
    post({.operation = {kWrite}, .space = {kSpace}, .arguments = arguments, .payload = parts},
         {0, kWrite, first, bitmap, version});
  }

  void collect() {
    for (const Asked& each : asked_) {
      if (!client_.wait(each.slot, seconds(options_.patience))) die("no answer");
      check(each, client_.take(each.slot));
    }
    asked_.clear();
  }
  void check(const Asked& asked, const VethClient::Answer& answer) {
    if (answer.outcome.status != Status::kOk) die("an operator did not end well");
    if (asked.operation == kCount) {
      // Each count runs once: the old values are all different, and in the end as many as there were counts.
      if (!seen_.insert({answer.outcome.results[0], true}).second) die("a count was seen twice");
      ++counted_;
      return;
    }
    if (asked.operation == kWrite) {
      if (answer.outcome.results[pagetable::kWriteMissing] != 0) die("a page was not stored");
      for (uint64_t rest = asked.bitmap; rest != 0; rest &= rest - 1)
        versions_[asked.first + static_cast<uint64_t>(std::countr_zero(rest))] = asked.version;
      return;
    }
    const uint64_t present = answer.outcome.results[pagetable::kReadPresent];
    size_t at = 0;
    for (uint64_t bit = 0; bit < 64; ++bit) {
      if ((asked.bitmap >> bit & 1) == 0) continue;
      const auto known = versions_.find(asked.first + bit);
      if ((known != versions_.end()) != ((present >> bit & 1) != 0)) die("presence of a page is wrong");
      if (known == versions_.end()) continue;
      if (at + kPageSize > answer.reply.size()) die("the reply is too short");
      if (!pagetable::is_page(answer.reply.data() + at, asked.first + bit, known->second)) die("wrong content");
      at += kPageSize;
    }
  }

  VethClient client_;
  const Options& options_;
  std::mt19937_64 random_;
  std::vector<Asked> asked_;
  std::map<uint64_t, uint64_t> versions_;
  std::map<uint64_t, bool> seen_;
  uint64_t version_ = 0, counted_ = 0;
};

// What the client tells the NIC's side in the end.
struct Told {
  uint64_t requests, counted;
};

int run_client(int to_parent, int from_parent, const Options& options) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (unshare(CLONE_NEWNET) != 0) die("unshare");
  char go = 1;
  if (write(to_parent, &go, 1) != 1 || read(from_parent, &go, 1) != 1) die("pipe");
  const int socket = open_client_socket(kClientDevice);
  Client client(socket, options);
  const int status = client.run();
  const Told told{client.requests(), client.counted()};
  if (write(to_parent, &told, sizeof told) != sizeof told) die("pipe");
  return status;
}

// --- the NIC's side ---

class NicSide {
 public:
  NicSide(int socket, const Options& options)
      : socket_(socket), options_(options), random_(options.seed + 1), pool_(kFrames),
        nic_({5, 40, 0, 0, options.seed}, kNicAtVeth, kKey) {
    pool_.make_space(0, 4);
    nic_.open_range(pool_.bytes().data(), pool_.bytes().size());
    nic_.open_range(counter_.data(), counter_.size());
    load(kRead, pagetable::builtin("pt_read"));
    load(kWrite, pagetable::builtin("pt_write"));
    auto text = assemble(
        ".operator count\n.region counter rwa\n.results 1\n  li r1, 1\n  faa r0, counter[0], r1\n  ret 1\n", "count");
    if (!text) die(text.error().message.c_str());
    auto verified = verify(std::move(*text));
    if (!verified) die("the counter does not verify");
    load(kCount, *verified);
    if (!nic_.open_client(0, kClientAtVeth, kTenant)) die("the client is busy");
  }

  // One step: what has come goes in, the NIC runs for a while, what it says goes out. Waits when nothing is going on.
  void step() {
    const uint64_t before = frames_;
    take_frames();
    for (int i = 0; i < 500; ++i) nic_.tick();
    while (const auto frame = nic_.receive()) {
      ++frames_;
      for (uint64_t times = copies(); times > 0; --times)
        static_cast<void>(send(socket_, frame->data(), frame->size(), MSG_DONTWAIT));  // a full queue loses it
    }
    quiet_ = frames_ != before || nic_.has_unsent() ? 0 : quiet_ + 1;
    if (quiet_ < 40) return;
    pollfd readable{socket_, POLLIN, 0};
    poll(&readable, 1, 20);
  }

  NicFigures figures() { return nic_.figures(); }
  uint64_t counter() const {
    uint64_t value;
    std::memcpy(&value, counter_.data(), 8);
    return value;
  }
  uint64_t lost() const { return lost_; }
  uint64_t doubled() const { return doubled_; }
  bool has_bus_error() { return nic_.has_bus_error(); }

 private:
  // The NIC's region table of an operator: the pool's parts by name, as a node binds them.
  void load(Operator number, const VerifiedProgram& program) {
    if (!nic_.load(make_image(program, number, next_block_, kKey), number)) die("an operator was refused");
    next_block_ += static_cast<uint32_t>((program.program().code.size() + kStoreBlock - 1) / kStoreBlock);
    const RegionTable all = pool_.regions(0);
    for (uint32_t i = 0; i < program.program().regions.size(); ++i) {
      const std::string& name = program.program().regions[i].name;
      const Region region = name == "pool"    ? all[0]
                            : name == "space" ? all[1]
                            : name == "alloc" ? all[2]
                            : name == "counter" ? Region{counter_.data(), 64, Permission::kReadWriteAtomic}
                                                : all[3];
      nic_.set_region(number, i, region, kTenant);
    }
    nic_.bind(number, kSpace, number);
  }

  // How often a frame arrives: not at all, twice, or once.
  uint64_t copies() {
    const uint64_t draw = random_() % 100;
    if (draw < options_.loss) return ++lost_, 0;
    if (draw < 2 * options_.loss) return ++doubled_, 2;
    return 1;
  }

  void take_frames() {
    std::array<std::byte, 10'000> buffer;
    sockaddr_ll from{};
    socklen_t size = sizeof from;
    for (ssize_t got; (got = recvfrom(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT,
                                      reinterpret_cast<sockaddr*>(&from), &size)) >= 0; size = sizeof from) {
      if (from.sll_pkttype == PACKET_OUTGOING) continue;
      ++frames_;
      for (uint64_t times = copies(); times > 0; --times) nic_.send({buffer.data(), buffer.data() + got});
    }
  }

  int socket_;
  const Options& options_;
  std::mt19937_64 random_;
  pagetable::TestPool pool_;
  alignas(64) std::array<std::byte, 64> counter_{};
  NicModel nic_;
  uint32_t next_block_ = 0;
  uint64_t frames_ = 0, quiet_ = 0, lost_ = 0, doubled_ = 0;
};

int open_packet_socket() {
  const int socket = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP));
  if (socket < 0) die("the packet socket");
  const int bytes = 32 << 20;  // a burst of 64 pieces, and more of them
  if (setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) die("SO_RCVBUFFORCE");
  sockaddr_ll here{};
  here.sll_family = AF_PACKET;
  here.sll_protocol = htons(ETH_P_IP);
  here.sll_ifindex = static_cast<int>(if_nametoindex(kNicDevice));
  if (here.sll_ifindex == 0 || bind(socket, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0)
    die("the packet socket's device");
  return socket;
}

int run(const Options& options) {
  if (system("ip -Version >/dev/null 2>&1") != 0) skip("no ip command");
  if (unshare(CLONE_NEWNET) != 0) skip("no network namespace");
  int up[2], down[2];
  if (pipe(up) != 0 || pipe(down) != 0) die("pipe");
  const pid_t child = fork();
  if (child == 0) _exit(run_client(up[1], down[0], options));
  char go = 0;
  if (child < 0 || read(up[0], &go, 1) != 1) die("fork");
  const std::string pair = std::string("ip link add ") + kNicDevice + " mtu 9000 type veth peer name " + kClientDevice;
  if (system((pair + " 2>/dev/null").c_str()) != 0) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    skip("no veth pair");
  }
  must_run(std::string("ip link set ") + kClientDevice + " netns " + std::to_string(child));
  must_run(std::string("ip link set ") + kNicDevice + " up");
  NicSide side(open_packet_socket(), options);
  if (write(down[1], &go, 1) != 1) die("pipe");
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) side.step();
  const NicFigures figures = side.figures();
  printf("%u ran, %u refused, %u answered again, %u duplicates, %u stale; %llu frames lost, %llu doubled\n",
         figures.run, figures.refused, figures.replayed, figures.duplicates, figures.stale,
         static_cast<unsigned long long>(side.lost()), static_cast<unsigned long long>(side.doubled()));
  printf("dropped: %u foreign, %u not the client's, %u length, %u checksum, %u malformed, %u no room; %u sent\n",
         figures.foreign, figures.strangers, figures.length, figures.checksum, figures.malformed, figures.full,
         figures.sent);
  fflush(stdout);
  if (status != 0) die("the client failed");
  Told told{};
  if (read(up[0], &told, sizeof told) != sizeof told) die("pipe");
  if (side.has_bus_error()) die("a bus error");
  if (figures.run != told.requests || figures.done != told.requests) die("not every request ran exactly once");
  if (side.counter() != told.counted) die("the counter is not what was counted");
  if (figures.checksum != 0 || figures.malformed != 0 || figures.length != 0) die("frames were harmed on the way");
  if (options.loss != 0 && (side.lost() == 0 || figures.replayed + figures.duplicates == 0))
    die("nothing was lost: this run shows nothing");
  return 0;
}

}  // namespace
}  // namespace tiara::nic::rtl

int main(int argc, char** argv) {
  tiara::nic::rtl::Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    uint64_t* const field = name == "--requests" ? &options.requests
                            : name == "--loss"   ? &options.loss
                            : name == "--seed"   ? &options.seed
                            : name == "--patience" ? &options.patience : nullptr;
    if (field == nullptr || std::from_chars(value.data(), value.data() + value.size(), *field).ec != std::errc{}) {
      fprintf(stderr, "usage: veth [--requests N] [--loss PERCENT] [--seed S] [--patience SECONDS]\n");
      return 64;
    }
  }
  return tiara::nic::rtl::run(options);
}
