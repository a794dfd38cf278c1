// What a forked child makes of its parent's page directory: nobody is left who owns a word.
#pragma once

#include "fault-handler/page_directory.h"
#include "fault-handler/pagemap.h"
#include "pagetable/page_store.h"
#include "runtime/residency/pager.h"

namespace tiara::residency {

// In the child, whose only thread this is, before anything faults. `pager` stands on the inherited directory of pages
// below `end`, mapped at `base`, and on a store that is the copy of the parent's. Puts every word into a state that is
// true here, counts the pages, and queues what is resident. `pagemap` is the child's.
void settle_inherited_pages(Pager& pager, PageNumber end, const std::byte* base,
                            const fault::Pagemap& pagemap) noexcept;

}  // namespace tiara::residency
