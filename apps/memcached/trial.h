// One contestant, from start to figures.
#pragma once

#include <functional>

#include "apps/memcached/contestant.h"
#include "apps/memcached/report.h"

namespace tiara::apps::memcached {

struct TrialOptions {
  ServerOptions server;
  std::chrono::milliseconds warm_up{2'000};
  std::chrono::milliseconds duration{10'000};
};

struct TrialHooks {
  std::function<void(const std::string& phase)> begin;  // "filling"
  std::function<void(double share)> progress;
  std::function<bool()> is_interrupted;
};

// Starts the server, fills it, warms up, measures. What goes wrong is in Outcome::unavailable.
Outcome run_trial(const Contestant& contestant, const TrialOptions& options, Bytes limit,
                  const TrialHooks& hooks);

}  // namespace tiara::apps::memcached
