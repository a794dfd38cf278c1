// Who reads the page tables that this process' kernel writes: the processor, or a hypervisor that copies them.
//
// Under a hypervisor with shadow page tables (PVM; machines without nested paging) a flush of the TLB looks through all
// tables that have changed, and the first access to each page after it traps: microseconds, where the processor's own
// walk takes tens of nanoseconds. There an eviction has to take as much as it can in one step.
#pragma once

#include <cstdint>
#include <span>

namespace tiara::fault {

enum class PageTables : uint8_t {
  kWalked,    // by the processor, nested paging included
  kShadowed,  // copied by the hypervisor, page by page, on first access
};

// Found out by trying: the kernel maps a few pages, and they are read, in less than a tenth of a millisecond. Where
// that cannot be tried (Linux before 5.14): kWalked.
PageTables probe_page_tables() noexcept;

// From how long the first access to each page took. Single slow ones are interrupts.
PageTables page_tables_by(std::span<const uint64_t> first_access_ns) noexcept;

}  // namespace tiara::fault
