// This process's place on the statistics page that `tiara run` shares (runtime/base/stats.h).
#pragma once

#include <string>

#include "runtime/base/stats.h"

namespace tiara::preload {

// Maps the page, if that has not been done: a process that gives up its user can no longer open it afterwards.
void open_stats_page(const std::string& path) noexcept;

// Claims a slot of the page at `path` and fills in who we are. Private memory that nobody reads when the page cannot
// be had (no path, another version, all slots taken): statistics are never a reason to stop a program.
stats::ProcessStats& claim_stats_slot(const std::string& path, const std::string& node) noexcept;

}  // namespace tiara::preload
