// Objects of the runtime that live as long as the process: in mappings of their own, past every allocator.
#pragma once

#include <new>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/os/memory.h"

namespace tiara::residency {

// Never destroyed: threads of the program may need it until exit_group.
template <typename T, typename... Arguments>
Result<T*> make_near_object(Arguments&&... arguments) {
  TIARA_TRY(os::Mapping memory, os::Mapping::anonymous(Bytes{round_up(sizeof(T), kPageSize)}));
  T* object = new (memory.data()) T(std::forward<Arguments>(arguments)...);
  memory.release();
  return object;
}

}  // namespace tiara::residency
