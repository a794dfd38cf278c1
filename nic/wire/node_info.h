// What a node says about itself.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "nic/wire/types.h"
#include "runtime/base/units.h"

namespace tiara::nic {

struct NodeInfo {
  Bytes pool;             // frames for pages and tables
  Bytes pool_used;
  uint32_t table_levels;  // depth of the page table, 1 to 5
  uint64_t max_pages;     // page numbers of an address space are below this
  std::vector<std::pair<std::string, OperatorId>> operators;  // the node's own, by name
};

}  // namespace tiara::nic
