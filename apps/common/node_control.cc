#include "apps/common/node_control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "nic/node/tenants.h"
#include "runtime/os/clock.h"
#include "runtime/os/socket.h"

namespace tiara::apps {
namespace {

using nlohmann::json;

// Longer than any request; a peer that sends more is not ours.
constexpr size_t kMaxRequest = 4096;
// A client that neither sends nor reads holds the control thread no longer than this.
constexpr std::chrono::seconds kRequestPatience{5};
// The checker goes through every table: a client waits as long as it takes, within reason.
constexpr std::chrono::seconds kAnswerPatience{300};

// Of each receive and send on a blocking socket.
Result<void> wait_at_most(const UniqueFd& socket, std::chrono::seconds time) {
  const int flags = fcntl(socket.get(), F_GETFL);
  const timeval limit{time.count(), 0};
  if (flags < 0 || fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK) != 0 ||
      setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
      setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
    return std::unexpected(system_error("setsockopt", "control socket"));
  return {};
}

// One line, without its end; empty when the peer sent none in time.
std::string read_line(const UniqueFd& socket, size_t most, os::Nanoseconds deadline) {
  std::string line;
  char byte = 0;
  while (line.size() < most && os::monotonic_now() < deadline) {
    const ssize_t got = recv(socket.get(), &byte, 1, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got != 1) return {};
    if (byte == '\n') return line;
    line += byte;
  }
  return {};
}

bool write_line(const UniqueFd& socket, const std::string& line) {
  const std::string whole = line + "\n";
  size_t sent = 0;
  while (sent < whole.size()) {
    const ssize_t more = send(socket.get(), whole.data() + sent, whole.size() - sent, MSG_NOSIGNAL);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) return false;
    sent += static_cast<size_t>(more);
  }
  return true;
}

json refusal(const std::string& why) { return {{"ok", false}, {"error", why}}; }

}  // namespace

Result<std::unique_ptr<NodeControl>> NodeControl::start(const std::string& path, std::string token,
                                                        const ServedNode& served, const NodeLog& log) {
  std::unique_ptr<NodeControl> control(new NodeControl(path, std::move(token), served, log));
  TIARA_TRY(control->stop_, os::create_event());
  TIARA_TRY(control->listener_, os::listen_unix(path));
  TIARA_TRY(control->thread_, os::Thread::start("tiara-admin", [self = control.get()] { self->run(); }));
  return control;
}

NodeControl::~NodeControl() {
  is_stopping_.store(true, std::memory_order_release);  // pairs with run()
  os::signal_event(stop_);
  thread_.join();
  if (listener_.is_open()) unlink(path_.c_str());
}

void NodeControl::run() noexcept {
  while (!is_stopping_.load(std::memory_order_acquire)) {
    pollfd ready[] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    (void)poll(ready, 2, -1);
    const UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket.is_open()) serve_one(socket);
  }
}

void NodeControl::serve_one(const UniqueFd& socket) {
  if (!wait_at_most(socket, kRequestPatience)) return;
  (void)write_line(socket, answer(read_line(socket, kMaxRequest, os::monotonic_now() + kRequestPatience)).dump());
}

json NodeControl::answer(std::string_view line) {
  const json request = json::parse(line, nullptr, false);
  const auto text = [&request](const char* name) {
    const bool has_it = request.is_object() && request.contains(name) && request[name].is_string();
    return has_it ? request[name].get<std::string>() : std::string();
  };
  if (!token_.empty() && !nic::tokens_match(token_, text("token"))) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    log_.event("control request refused", {{"reason", "admin token"}});
    return refusal("the node refuses this admin token");
  }
  const std::string command = text("command");
  json answer;
  if (command == "status") {
    answer = status_of(served_);
    answer["control_refused"] = refused();
  } else if (command == "tenants") {
    answer = tenants_of(served_);
  } else if (command == "fsck") {
    answer = check(served_);
  } else if (command == "drain") {
    served_.node.drain();
    answer = {{"sessions", served_.node.stats().sessions}};
    log_.event("draining", {{"sessions", answer["sessions"]}});
  } else {
    return refusal("expected a command: status, tenants, drain or fsck");
  }
  answer["ok"] = true;
  return answer;
}

Result<json> ask_node(const std::string& path, const std::string& token, const std::string& command) {
  TIARA_TRY(const UniqueFd socket, os::connect_unix(path, os::monotonic_now() + kRequestPatience));
  TIARA_TRY_VOID(wait_at_most(socket, kAnswerPatience));
  if (!write_line(socket, json{{"command", command}, {"token", token}}.dump()))
    return fail(ErrorCode::kUnavailable, "the node at " + path + " takes no request; see whether it still runs");
  const json answer = json::parse(read_line(socket, 1 * kMiB, os::monotonic_now() + kAnswerPatience), nullptr, false);
  if (!answer.is_object() || !answer.contains("ok"))
    return fail(ErrorCode::kUnavailable, "the node at " + path + " gave no answer; see whether it still runs");
  if (!answer["ok"].get<bool>())
    return fail(ErrorCode::kNoPermission, answer.value("error", std::string("the node refuses")));
  return answer;
}

}  // namespace tiara::apps
