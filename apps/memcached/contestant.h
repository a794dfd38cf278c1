// The contestants of the memcached benchmark: the same unmodified server, with its memory held in
// different ways.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/child.h"
#include "apps/common/machine.h"
#include "apps/common/stats_report.h"
#include "apps/common/zram_swap.h"
#include "apps/memcached/workload.h"
#include "runtime/base/config.h"

namespace tiara::apps::memcached {

enum class Kind { kLocal, kTiara, kTiaraNode, kTiaraTcp, kZram };
std::string_view to_string(Kind kind);
Result<Kind> parse_kind(std::string_view name);

// One row of the table.
struct Contestant {
  Kind kind = Kind::kLocal;
  double share = 1;                  // of the all-local server's resident memory
  std::optional<Bytes> fixed_limit;  // when --local was given in bytes
  std::string name() const;          // "tiara 25%"
};

struct ServerOptions {
  Workload workload;
  Config config;          // the runtime's switches; local, node and pool are set per contestant
  std::string node_url;   // a node that runs already; empty: the benchmark starts one
  std::vector<int> cpus;  // where the server may run; empty: anywhere
  uint32_t threads = 2;   // of memcached
};

// A running memcached and all that it stands on. Destruction takes everything down again, the
// server first.
class Server {
 public:
  // `limit` bounds the server's memory; it is ignored for kLocal. Returns when the server takes
  // connections.
  static Result<std::unique_ptr<Server>> start(const Contestant& contestant,
                                               const ServerOptions& options, Bytes limit);

  uint16_t port() const { return port_; }
  ProcessUse use() const { return process_use(server_.pid()); }
  // How the server ended, with the last line it wrote; nullopt while it runs.
  std::optional<std::string> obituary();
  const StatsFile* stats() const { return stats_ ? &*stats_ : nullptr; }
  uint64_t oom_kills() const { return cgroup_ ? cgroup_->oom_kills() : 0; }
  std::string description() const { return description_; }  // "zram lzo-rle, cgroup v1"

 private:
  Server() = default;
  Result<void> add_tiara(ChildOptions& child, Config config, Bytes limit, Bytes pool);
  enum class Link { kShm, kTcp };
  Result<std::string> start_node(Bytes pool, Link link);
  Result<void> add_zram(ChildOptions& child, Bytes limit, Bytes swap);
  Result<void> launch(ChildOptions& child);

  uint16_t port_ = 0;
  std::string description_;
  // Destroyed from the bottom up: the server, then what it used.
  std::unique_ptr<ZramSwap> zram_;
  std::unique_ptr<MemoryCgroup> cgroup_;
  struct TemporaryFolder {
    std::string path;
    ~TemporaryFolder();  // removes it, if there is one
  } folder_;
  Child node_;
  std::optional<StatsFile> stats_;
  UniqueFd output_;  // what the server writes on stdout and stderr
  Child server_;
};

}  // namespace tiara::apps::memcached
