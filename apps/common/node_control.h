// The control socket of `tiara node`: what an administrator asks of a node that runs.
//
// A UNIX socket that only its owner may open; one request a connection, a line of JSON each way:
//   {"command": "status" | "tenants" | "drain" | "fsck", "token": "..."}
//   {"ok": true, ...} or {"ok": false, "error": "..."}
#pragma once

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "apps/common/node_log.h"
#include "apps/common/node_report.h"
#include "runtime/base/error.h"
#include "runtime/os/thread.h"
#include "runtime/os/unique_fd.h"

namespace tiara::apps {

class NodeControl {
 public:
  // `served` and `log` are borrowed. `token`: what requests must bring; empty: nothing.
  static Result<std::unique_ptr<NodeControl>> start(const std::string& path, std::string token,
                                                    const ServedNode& served, const NodeLog& log);
  ~NodeControl();
  NodeControl(const NodeControl&) = delete;

  // The answer to one request, a line as it came over the socket.
  nlohmann::json answer(std::string_view line);
  uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  NodeControl(std::string path, std::string token, const ServedNode& served, const NodeLog& log)
      : path_(std::move(path)), token_(std::move(token)), served_(served), log_(log) {}
  void run() noexcept;
  void serve_one(const UniqueFd& socket);

  const std::string path_;
  const std::string token_;
  const ServedNode& served_;
  const NodeLog& log_;
  UniqueFd listener_;
  UniqueFd stop_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<uint64_t> refused_{0};
  os::Thread thread_;  // last: it uses all of the above
};

// Asks the node whose control socket is `path`. An answer that is not ok is an error.
Result<nlohmann::json> ask_node(const std::string& path, const std::string& token, const std::string& command);

}  // namespace tiara::apps
