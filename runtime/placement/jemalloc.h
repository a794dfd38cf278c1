// jemalloc under the names that the build gives it (jemalloc_renames.txt): je_malloc and so on. This folder is the
// only one that includes it.
#pragma once

#define JEMALLOC_NO_RENAME
#include <jemalloc/jemalloc.h>

namespace tiara::placement {

// Of "experimental.arenas_create_ext" (jemalloc 5.3, include/jemalloc/internal/arena_types.h): the public header
// does not declare it.
struct ArenaConfig {
  extent_hooks_t* extent_hooks;
  bool metadata_use_hooks;
};
static_assert(sizeof(ArenaConfig) == 16);

}  // namespace tiara::placement
