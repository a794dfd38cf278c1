// The ends of a process whose pages cannot be had any more: one line on stderr and in the statistics, then exit.
#pragma once

#include "pagetable/page_store.h"
#include "runtime/base/stats.h"
#include "runtime/base/units.h"

namespace tiara::fault {

// "WHAT; CURE"; async-signal-safe, allocates nothing. Never returns.
[[noreturn]] void stop_process(stats::ProcessStats& stats, int exit_status, const char* what,
                               const char* cure) noexcept;

// The store could not do `deed` ("fetching", "writing back") to `page`; `status` is not kOk.
[[noreturn]] void stop_for_store(stats::ProcessStats& stats, pagetable::StoreStatus status, const char* deed,
                                 PageNumber page) noexcept;

// The bytes that came back are not the bytes that were stored.
[[noreturn]] void stop_for_content(stats::ProcessStats& stats, PageNumber page) noexcept;

// The kernel refused a page with `answer`, which leaves no way to go on.
[[noreturn]] void stop_for_kernel(stats::ProcessStats& stats, const char* deed, const char* answer,
                                  PageNumber page) noexcept;

}  // namespace tiara::fault
