// Torture: threads hammer a region eight times the budget while pages are taken away at random, and every byte is
// checked against a shadow in plain memory.
//
//   torture --mode message|signal|hybrid --transport loop|shm|tcp [--seconds N] [--seed S] [--threads N]
//           [--evict-with move|copy] [--evict-on auto|fault|thread] [--cluster N] [--heat on|off] [--no-chaos]
//           [--no-forks] [--fork near|clone]
//
// Each thread owns chunks of pages, cut so that the pager's clusters are shared between threads; a second region is
// read by everybody under sequence locks, so that races between readers, writers and the pager are checked too.
// System calls on far buffers are pinned as the preload layer pins them.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "fault-handler/delivery_signal.h"
#include "nic/node/memory_node.h"
#include "nic/node/server.h"
#include "pagetable/builtin.h"
#include "runtime/base/exit_status.h"
#include "runtime/base/stats.h"
#include "runtime/residency/far_memory.h"

using namespace tiara;
using Random = std::mt19937_64;

namespace {

// A chunk is no multiple of a cluster: most clusters belong to two threads.
constexpr size_t kChunkPages = 12;
constexpr size_t kChunkBytes = kChunkPages * kPageSize;
constexpr size_t kRegionBytes = 48 * kMiB;
constexpr size_t kSharedPages = 1024;
constexpr size_t kWordsPerPage = kPageSize / sizeof(uint64_t);

struct Options {
  FaultMode mode = FaultMode::kSignal;
  std::string transport = "loop";
  int seconds = 60;
  uint64_t seed = 1;
  bool heat = true;
  uint32_t threads = 4;
  EvictWith evict_with = EvictWith::kAuto;
  EvictOn evict_on = EvictOn::kAuto;
  uint32_t cluster = 16;
  ForkMode fork = ForkMode::kNear;
  bool has_chaos = true;
  bool has_forks = true;
};

[[noreturn]] void usage(const char* why) {
  fprintf(stderr, "torture: %s\n", why);
  exit(64);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--no-chaos" || name == "--no-forks") {
      (name == "--no-chaos" ? options.has_chaos : options.has_forks) = false;
      continue;
    }
    if (++i >= argc) usage("an option lacks its value");
    const std::string value = argv[i];
    if (name == "--mode")
      options.mode = value == "message" ? FaultMode::kMessage
                     : value == "hybrid" ? FaultMode::kHybrid : FaultMode::kSignal;
    else if (name == "--transport") options.transport = value;
    else if (name == "--seconds") options.seconds = atoi(argv[i]);
    else if (name == "--heat") options.heat = value != "off";
    else if (name == "--seed") options.seed = strtoull(argv[i], nullptr, 0);
    else if (name == "--threads") options.threads = static_cast<uint32_t>(atoi(argv[i]));
    else if (name == "--evict-with") options.evict_with = value == "copy" ? EvictWith::kCopy : EvictWith::kMove;
    else if (name == "--evict-on")
      options.evict_on = value == "thread" ? EvictOn::kDedicatedThread
                         : value == "fault" ? EvictOn::kFaultingThread : EvictOn::kAuto;
    else if (name == "--fork") options.fork = value == "clone" ? ForkMode::kClone : ForkMode::kNear;
    else if (name == "--cluster") options.cluster = static_cast<uint32_t>(atoi(argv[i]));
    else usage(("unknown option " + name).c_str());
  }
  if (options.threads < 1 || options.threads > 64 || options.seconds < 1) usage("a value is out of range");
  return options;
}

// A node process of our own: it dies with us. `url` becomes where it really serves.
pid_t start_node(std::string& url) {
  int ready[2];
  if (pipe(ready) != 0) usage("pipe failed");
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) {
    char text[256];
    close(ready[1]);
    const ssize_t got = read(ready[0], text, sizeof text);
    if (got <= 0) usage("the node did not start");
    close(ready[0]);
    url.assign(text, static_cast<size_t>(got));
    return child;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  nic::NodeConfig config;
  config.pool.size = Bytes{256 * kMiB};
  auto node = nic::MemoryNode::create(config, pagetable::builtin_operators());
  if (!node) {
    fprintf(stderr, "node: %s\n", node.error().message.c_str());
    _exit(1);
  }
  auto server = nic::serve(url, **node, {});
  if (!server) {
    fprintf(stderr, "node: %s\n", server.error().message.c_str());
    _exit(1);
  }
  const std::string served = (*server)->url();
  (void)!write(ready[1], served.data(), served.size());
  for (;;) pause();
}

void on_sigbus(int, siginfo_t* info, void*) {
  if (FarMemory::instance()->handle_sigbus(*info) == FaultVerdict::kHandled) return;
  static const char kText[] = "torture: a SIGBUS that is not far memory's\n";
  (void)!write(2, kText, sizeof kText - 1);
  abort();
}

uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

std::atomic<uint64_t> wrong{0};
std::atomic<bool> is_over{false};
std::atomic<uint64_t> operations{0};

void report_wrong(const char* what, uint64_t seed, size_t offset, unsigned expected, unsigned seen) {
  if (wrong.fetch_add(1) < 8)
    fprintf(stderr, "torture: WRONG in %s at offset %zu (page %zu): expected %u, saw %u; seed %lu\n", what, offset,
            offset / kPageSize, expected, seen, static_cast<unsigned long>(seed));
}

class Worker {
 public:
  Worker(const Options& options, uint32_t index, std::byte* far, std::byte* shadow)
      : options_(options), index_(index), random_(options.seed * 1000003 + index), far_(far), shadow_(shadow),
        chunks_((kRegionBytes / kChunkBytes - index + options.threads - 1) / options.threads), near_(kChunkBytes) {
    memory_ = FarMemory::instance();
    file_ = memfd_create("torture", MFD_CLOEXEC);
    if (pipe2(pipe_, O_CLOEXEC) != 0 || file_ < 0) usage("no descriptors");
    fcntl(pipe_[1], F_SETPIPE_SZ, 256 * 1024);
  }

  void run() {
    memory_->enter_thread();
    while (!is_over.load(std::memory_order_relaxed) && wrong.load() == 0) {
      step();
      operations.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void check_everything() {
    for (size_t chunk = 0; chunk < chunks_; ++chunk) compare("final check", offset_of(chunk), kChunkBytes);
  }

 private:
  uint64_t pick(uint64_t below) { return random_() % below; }
  size_t offset_of(size_t chunk) const { return (chunk * options_.threads + index_) * kChunkBytes; }

  struct Range {
    size_t offset;
    size_t length;
  };
  Range any_range() {
    const size_t length = pick(4) == 0 ? 1 + pick(kChunkBytes) : 1 + pick(300);
    return {offset_of(pick(chunks_)) + pick(kChunkBytes - length + 1), length};
  }
  Range any_pages() {
    const size_t count = 1 + pick(kChunkPages);
    return {offset_of(pick(chunks_)) + pick(kChunkPages - count + 1) * kPageSize, count * kPageSize};
  }

  void compare_bytes(const char* what, size_t offset, const std::byte* seen, size_t length) {
    if (memcmp(seen, shadow_ + offset, length) == 0) return;
    for (size_t i = 0; i < length; ++i)
      if (seen[i] != shadow_[offset + i])
        return report_wrong(what, options_.seed, offset + i, static_cast<unsigned>(shadow_[offset + i]),
                            static_cast<unsigned>(seen[i]));
    report_wrong(what, options_.seed, offset, 0, 0);  // it changed while we looked
  }
  void compare(const char* what, size_t offset, size_t length) { compare_bytes(what, offset, far_ + offset, length); }

  void fill_near(size_t length) {
    // Some data is regular, some is not; some is zeros.
    const uint64_t kind = pick(4);
    uint64_t word = random_();
    for (size_t i = 0; i < length; i += sizeof word) {
      if (kind == 0) word = mix(word + i);
      else if (kind == 1) word = 0;
      memcpy(near_.data() + i, &word, std::min(sizeof word, length - i));
    }
  }

  void step() {
    switch (pick(20)) {
      case 0: case 1: case 2: case 3: case 4: {
        const Range range = any_range();
        return compare("read", range.offset, range.length);
      }
      case 5: case 6: case 7: {
        const Range range = any_range();
        fill_near(range.length);
        memcpy(shadow_ + range.offset, near_.data(), range.length);
        memcpy(far_ + range.offset, near_.data(), range.length);
        return;
      }
      case 8: {
        const Range from = any_range();
        const Range to = any_range();
        const size_t length = std::min(from.length, to.length);
        memmove(far_ + to.offset, far_ + from.offset, length);  // may overlap
        memmove(shadow_ + to.offset, shadow_ + from.offset, length);
        return;
      }
      case 9: {
        const Range pages = any_pages();
        memory_->discard({far_ + pages.offset, pages.length});
        memset(shadow_ + pages.offset, 0, pages.length);
        return compare("discard", pages.offset, pages.length);
      }
      case 10: {
        const Range pages = any_pages();
        memset(far_ + pages.offset, 0, pages.length);
        memset(shadow_ + pages.offset, 0, pages.length);
        return;
      }
      case 11: return file_write();
      case 12: return file_read();
      case 13: return through_pipe();
      case 14: return vectors();
      case 15: return own_mapping();
      case 16: return protections();
      case 17: {
        const Range pages = any_pages();
        memory_->make_near({far_ + pages.offset, pages.length});
        compare("near", pages.offset, pages.length);
        return memory_->release_near({far_ + pages.offset, pages.length});
      }
      default: return shared_pages();
    }
  }

  void file_write() {
    const Range range = any_range();
    const FarMemory::Pin pin(far_ + range.offset, range.length);
    if (pwrite(file_, far_ + range.offset, range.length, 0) != static_cast<ssize_t>(range.length))
      return report_wrong("pwrite", options_.seed, range.offset, 0, static_cast<unsigned>(errno));
    if (pread(file_, near_.data(), range.length, 0) != static_cast<ssize_t>(range.length)) return;
    compare_bytes("pwrite", range.offset, near_.data(), range.length);
  }

  void file_read() {
    const Range range = any_range();
    fill_near(range.length);
    if (pwrite(file_, near_.data(), range.length, 0) != static_cast<ssize_t>(range.length)) return;
    const FarMemory::Pin pin(far_ + range.offset, range.length);
    if (pread(file_, far_ + range.offset, range.length, 0) != static_cast<ssize_t>(range.length))
      return report_wrong("pread", options_.seed, range.offset, 0, static_cast<unsigned>(errno));
    memcpy(shadow_ + range.offset, near_.data(), range.length);
    compare("pread", range.offset, range.length);
  }

  void through_pipe() {
    const Range from = any_range();
    const Range to = any_range();
    const size_t length = std::min({from.length, to.length, size_t{60'000}});
    {
      const FarMemory::Pin pin(far_ + from.offset, length);
      if (write(pipe_[1], far_ + from.offset, length) != static_cast<ssize_t>(length))
        return report_wrong("pipe write", options_.seed, from.offset, 0, static_cast<unsigned>(errno));
    }
    std::vector<std::byte> expected(shadow_ + from.offset, shadow_ + from.offset + length);
    for (size_t done = 0; done < length;) {
      const FarMemory::Pin pin(far_ + to.offset + done, length - done);
      const ssize_t got = read(pipe_[0], far_ + to.offset + done, length - done);
      if (got <= 0) return report_wrong("pipe read", options_.seed, to.offset, 0, static_cast<unsigned>(errno));
      done += static_cast<size_t>(got);
    }
    memcpy(shadow_ + to.offset, expected.data(), length);
    compare("pipe", to.offset, length);
  }

  void vectors() {
    // Three buffers, pinned one inside the other as the preload layer does for readv and writev.
    const Range a = any_range();
    const Range b = any_range();
    const Range c = any_range();
    const FarMemory::Pin pin_a(far_ + a.offset, a.length);
    const FarMemory::Pin pin_b(far_ + b.offset, b.length);
    const FarMemory::Pin pin_c(far_ + c.offset, c.length);
    iovec parts[3] = {{far_ + a.offset, a.length}, {far_ + b.offset, b.length}, {far_ + c.offset, c.length}};
    const auto total = static_cast<ssize_t>(a.length + b.length + c.length);
    if (pwritev(file_, parts, 3, 0) != total)
      return report_wrong("pwritev", options_.seed, a.offset, 0, static_cast<unsigned>(errno));
    if (preadv(file_, parts, 3, 0) != total)
      return report_wrong("preadv", options_.seed, a.offset, 0, static_cast<unsigned>(errno));
    // The same bytes came back, in the order of the buffers (which may overlap): replay it on the shadow.
    std::vector<std::byte> image(static_cast<size_t>(total));
    memcpy(image.data(), shadow_ + a.offset, a.length);
    memcpy(image.data() + a.length, shadow_ + b.offset, b.length);
    memcpy(image.data() + a.length + b.length, shadow_ + c.offset, c.length);
    memcpy(shadow_ + a.offset, image.data(), a.length);
    memcpy(shadow_ + b.offset, image.data() + a.length, b.length);
    memcpy(shadow_ + c.offset, image.data() + a.length + b.length, c.length);
    compare("preadv", b.offset, b.length);
  }

  void own_mapping() {
    const size_t pages = 1 + pick(40);
    const size_t alignment = kPageSize << pick(5);
    std::byte* mine = memory_->map(pages * kPageSize, alignment);
    if (mine == nullptr) return report_wrong("map", options_.seed, 0, 0, 0);
    if (reinterpret_cast<uintptr_t>(mine) % alignment != 0) report_wrong("alignment", options_.seed, 0, 0, 0);
    for (size_t page = 0; page < pages; ++page) {
      const uint64_t* words = reinterpret_cast<const uint64_t*>(mine + page * kPageSize);
      for (size_t i = 0; i < kWordsPerPage; ++i)
        if (words[i] != 0) return report_wrong("fresh mapping", options_.seed, page * kPageSize + i * 8, 0, 1);
    }
    const uint64_t key = random_();
    for (size_t page = 0; page < pages; ++page) {
      auto* words = reinterpret_cast<uint64_t*>(mine + page * kPageSize);
      words[page % kWordsPerPage] = mix(key + page);
    }
    for (size_t page = 0; page < pages; ++page) {
      const auto* words = reinterpret_cast<const uint64_t*>(mine + page * kPageSize);
      if (words[page % kWordsPerPage] != mix(key + page)) return report_wrong("own mapping", options_.seed, page, 0, 1);
    }
    memory_->unmap({mine, pages * kPageSize});
  }

  void protections() {
    const Range pages = any_pages();
    const std::span<std::byte> span{far_ + pages.offset, pages.length};
    if (memory_->protect(span, PROT_READ) != 0) return report_wrong("protect", options_.seed, pages.offset, 0, 0);
    compare("protected", pages.offset, pages.length);
    if (memory_->protect(span, PROT_READ | PROT_WRITE) != 0) report_wrong("protect", options_.seed, pages.offset, 0, 1);
  }

  void shared_pages();

  const Options& options_;
  const uint32_t index_;
  Random random_;
  FarMemory* memory_;
  std::byte* far_;
  std::byte* shadow_;
  const size_t chunks_;
  std::vector<std::byte> near_;
  int file_ = -1;
  int pipe_[2] = {-1, -1};
};

// Versioned pages: page p is written by thread p mod N and read by all. An even sequence number is a version.
std::byte* shared_region = nullptr;
std::byte* chunks = nullptr;  // the workers' own
std::atomic<uint32_t> sequence[kSharedPages];

uint64_t shared_word(size_t page, uint32_t version, size_t index) {
  return version == 0 ? 0 : mix((page << 32 | version) * 512 + index);
}

std::atomic<uint64_t>* shared_words(size_t page) {
  return reinterpret_cast<std::atomic<uint64_t>*>(shared_region + page * kPageSize);
}

void Worker::shared_pages() {
  const size_t page = pick(kSharedPages);
  std::atomic<uint64_t>* words = shared_words(page);
  if (page % options_.threads == index_) {
    const uint32_t version = sequence[page].load(std::memory_order_relaxed) + 2;
    sequence[page].store(version - 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    for (size_t i = 0; i < kWordsPerPage; ++i) words[i].store(shared_word(page, version, i), std::memory_order_relaxed);
    sequence[page].store(version, std::memory_order_release);
    return;
  }
  const uint32_t before = sequence[page].load(std::memory_order_acquire);
  if (before % 2 != 0) return;
  uint64_t seen[8];
  size_t at[8];
  for (int i = 0; i < 8; ++i) {
    at[i] = pick(kWordsPerPage);
    seen[i] = words[at[i]].load(std::memory_order_relaxed);
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  if (sequence[page].load(std::memory_order_relaxed) != before) return;
  for (int i = 0; i < 8; ++i)
    if (seen[i] != shared_word(page, before, at[i]))
      return report_wrong("shared page", options_.seed, page * kPageSize + at[i] * 8, before, 0);
}

// What a child with a clone finds must be what its parent had at the fork: versions that were whole are whole, and stay
// what the child makes of them while its parent goes on. 0, or the status that it ends with.
int check_clone(uint64_t random) {
  constexpr int kWrongInherited = 3, kWrongOwn = 4;
  for (size_t page = 0; page < kSharedPages; ++page) {
    const uint32_t version = sequence[page].load(std::memory_order_acquire);
    if (version % 2 != 0) continue;
    for (size_t i = 0; i < kWordsPerPage; i += 64)
      if (shared_words(page)[i].load() != shared_word(page, version, i)) return kWrongInherited;
  }
  // Pages that other threads of the parent were changing, discarding and protecting: any bytes, but no others than
  // what was stored.
  for (int i = 0; i < 256; ++i) {
    random = mix(random + 1);
    const std::byte* const at = chunks + random % (kRegionBytes / kPageSize) * kPageSize;
    (void)__atomic_load_n(reinterpret_cast<const uint64_t*>(at), __ATOMIC_RELAXED);
  }
  for (const uint64_t own : {random, random + 1}) {
    for (size_t page = 0; page < kSharedPages; ++page) shared_words(page)[page % kWordsPerPage].store(own ^ page);
    for (size_t page = 0; page < kSharedPages; ++page)
      if (shared_words(page)[page % kWordsPerPage].load() != (own ^ page)) return kWrongOwn;
  }
  return 0;
}

// A fork every so often: the parent must not notice. Without a clone the first page that is away ends the child.
void fork_now_and_then(const Options& options) {
  Random random(options.seed);
  while (!is_over && wrong == 0) {
    // Bursts and pauses: pages that a child still shares are evicted, protected and unmapped meanwhile.
    const auto pauses = random() % 4 == 0 ? random() % 15 : 1;
    for (uint64_t i = 0; i < pauses && !is_over; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // sleep: paces the forks
    const uint64_t own = random();
    const pid_t child = fork();
    if (child == 0) _exit(check_clone(own));
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status == 0) continue;
    if (options.fork == ForkMode::kNear && WIFEXITED(status) && WEXITSTATUS(status) == kExitForked) continue;
    printf("torture: a forked child ended with wait status %d\n", status);
    ++wrong;
  }
}

void print_summary(const stats::ProcessStats& process, double seconds) {
  const stats::Counters& counters = process.counters;
  printf("%lu operations in %.1f s, %lu wrong; faults: untouched %lu remote %lu staged %lu waited %lu spurious %lu\n",
         static_cast<unsigned long>(operations.load()), seconds, static_cast<unsigned long>(wrong.load()),
         static_cast<unsigned long>(counters.faults_untouched.load()),
         static_cast<unsigned long>(counters.faults_remote.load()),
         static_cast<unsigned long>(counters.faults_staged.load()),
         static_cast<unsigned long>(counters.faults_waited.load()),
         static_cast<unsigned long>(counters.faults_spurious.load()));
  printf("evicted %lu (chaos %lu, busy %lu), written %lu, clean %lu, zero %lu, pins %lu (fetching %lu), stalls %lu, "
         "forks %lu, metadata %lu bytes for %lu far pages at the peak\n",
         static_cast<unsigned long>(counters.pages_staged.load()),
         static_cast<unsigned long>(counters.chaos_evictions.load()),
         static_cast<unsigned long>(counters.evict_busy.load()),
         static_cast<unsigned long>(counters.pages_written.load()),
         static_cast<unsigned long>(counters.clean_drops.load()),
         static_cast<unsigned long>(counters.zero_pages.load()), static_cast<unsigned long>(counters.pins.load()),
         static_cast<unsigned long>(counters.pin_faults.load()),
         static_cast<unsigned long>(counters.staging_stalls.load()),
         static_cast<unsigned long>(counters.forks_away.load() + counters.forks_near.load()),
         static_cast<unsigned long>(counters.metadata_bytes.load()),
         static_cast<unsigned long>(counters.far_pages_peak.load()));
}

stats::ProcessStats process_stats;

stats::ProcessStats& child_stats() {
  static stats::ProcessStats own;
  return own;
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  const Options options = parse(argc, argv);
  std::string command;
  for (int i = 0; i < argc; ++i) command += std::string(argv[i]) + " ";
  printf("torture: seed %lu; replay: %s%s\n", static_cast<unsigned long>(options.seed), command.c_str(),
         command.find("--seed") == std::string::npos ? ("--seed " + std::to_string(options.seed)).c_str() : "");

  Config config;
  config.fault = options.mode;
  config.local.fraction = 0.125;
  config.evict_with = options.evict_with;
  config.evict_on = options.evict_on;
  config.fork = options.fork;
  config.evict_cluster = options.cluster;
  config.heat = options.heat;
  config.chaos_seed = options.has_chaos ? options.seed : 0;
  config.pool = Bytes{256 * kMiB};
  pid_t node = 0;
  if (options.transport == "shm") {
    config.node = "shm:///tmp/tiara-torture-" + std::to_string(getpid());
    node = start_node(config.node);
  } else if (options.transport == "tcp") {
    config.node = "tcp://127.0.0.1:0";
    node = start_node(config.node);
  } else if (options.transport != "loop") {
    usage("the transport is loop, shm or tcp");
  }

  if (const auto installed = fault::install_sigbus_handler(on_sigbus); !installed) usage("no SIGBUS handler");
  auto memory = FarMemory::start(config, process_stats);
  if (!memory) {
    printf("torture: %s\n", memory.error().message.c_str());
    const ErrorCode code = memory.error().code;
    return code == ErrorCode::kNoPermission || code == ErrorCode::kUnsupported ? 77 : 1;
  }
  pthread_atfork([] { FarMemory::instance()->before_fork(); }, [] { FarMemory::instance()->after_fork_in_parent(); },
                 [] { (void)FarMemory::instance()->after_fork_in_child(child_stats); });
  std::byte* far = (*memory)->map(kRegionBytes, kPageSize);
  chunks = far;
  shared_region = (*memory)->map(kSharedPages * kPageSize, kPageSize);
  std::vector<std::byte> shadow(kRegionBytes);
  for (size_t page = 0; page < kRegionBytes / kPageSize; ++page) {
    memset(far + page * kPageSize, static_cast<int>(mix(page)), kPageSize);
    memset(shadow.data() + page * kPageSize, static_cast<int>(mix(page)), kPageSize);
  }

  const auto start = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Worker>> workers;
  for (uint32_t i = 0; i < options.threads; ++i)
    workers.push_back(std::make_unique<Worker>(options, i, far, shadow.data()));
  std::vector<std::thread> threads;
  for (auto& worker : workers) threads.emplace_back([&worker] { worker->run(); });
  if (options.has_forks) threads.emplace_back(fork_now_and_then, options);
  uint64_t last = 0;
  for (int second = 0; second < options.seconds && wrong == 0; ++second) {
    std::this_thread::sleep_for(std::chrono::seconds(1));  // sleep: the run's length is given in seconds
    const uint64_t now = operations.load();
    if (second % 60 == 59) {
      // Progress is part of the contract: a minute without any is a hang.
      if (now == last) {
        fprintf(stderr, "torture: no operation in a minute; seed %lu\n", static_cast<unsigned long>(options.seed));
        abort();
      }
      last = now;
    }
  }
  is_over = true;
  for (auto& thread : threads) thread.join();
  for (auto& worker : workers) worker->check_everything();
  print_summary(process_stats, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  fflush(stdout);
  if (node != 0) kill(node, SIGKILL);
  // Not `return`: threads of the runtime are still at work on statics.
  _exit(wrong == 0 ? 0 : 1);
}
