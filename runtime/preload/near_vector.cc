#include "runtime/preload/near_vector.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "runtime/placement/heap.h"
#include "runtime/preload/guard.h"
#include "runtime/preload/raw_calls.h"

namespace tiara::preload {
namespace {

bool can_use(const char* bytes, size_t length) noexcept {
  const RuntimeCalls ours;
  return is_guarded(bytes + length - 1) && FarMemory::instance()->can_read(bytes, length);
}

size_t left_in_page(const char* bytes) noexcept {
  return kPageSize - reinterpret_cast<uintptr_t>(bytes) % kPageSize;
}

}  // namespace

NearVector::NearVector(const iovec* vector, size_t count, size_t bytes, Direction direction, Copies copies) noexcept
    : direction_(direction) {
  if (!allocate(bytes, copies)) {
    errno = ENOMEM;
    return;
  }
  for (size_t i = 0; i < count && bytes != 0; ++i) {
    const size_t length = std::min(vector[i].iov_len, bytes);
    bytes -= length;
    if (length == 0 || add(static_cast<char*>(vector[i].iov_base), length)) continue;
    placement::heap::release(table_);
    table_ = nullptr;
    errno = ENOMEM;
    return;
  }
}

NearVector::~NearVector() { placement::heap::release(table_); }

bool NearVector::allocate(size_t bytes, Copies copies) noexcept {
  const bool are_ours = copies == Copies::kReused;
  if (!are_ours) {
    auto pages = os::Mapping::anonymous(Bytes{std::max<size_t>(bytes, 1)});
    if (!pages) return false;
    pages_ = std::move(*pages);
  }
  table_ = static_cast<Table*>(placement::heap::allocate_near(sizeof(Table) + (are_ours ? bytes : 0)));
  if (table_ == nullptr) return false;
  next_ = are_ours ? reinterpret_cast<char*>(table_ + 1) : reinterpret_cast<char*>(pages_.data());
  return true;
}

// One buffer of the program's: a copy of it, or page by page what can be copied and what cannot.
bool NearVector::add(char* bytes, size_t length) noexcept {
  if (!is_guarded(bytes)) return add_part(bytes, length, nullptr);
  Guards here;  // what can be read, and is copied, has come
  here.bytes(bytes, length);
  const bool is_whole = can_use(bytes, length);
  for (size_t done = 0; done < length;) {
    const size_t piece = is_whole ? length : std::min(length - done, left_in_page(bytes + done));
    char* from = bytes + done;
    const bool is_copied = is_whole || can_use(from, piece);
    if (is_copied && direction_ == Direction::kOut) memcpy(next_, from, piece);
    if (!add_part(is_copied ? next_ : from, piece, is_copied ? from : nullptr)) return false;
    if (is_copied) next_ += piece;
    done += piece;
  }
  return true;
}

// Copies lie one behind the other: where nothing has to be brought back, they are one part.
bool NearVector::add_part(void* base, size_t length, char* original) noexcept {
  if (count_ != 0) {
    iovec& last = table_->parts[count_ - 1];
    char* last_original = table_->originals[count_ - 1];
    const bool are_adjacent = static_cast<char*>(last.iov_base) + last.iov_len == base;
    const bool go_together = last_original == nullptr || original == nullptr
                                 ? last_original == original
                                 : direction_ == Direction::kOut || last_original + last.iov_len == original;
    if (are_adjacent && go_together) {
      last.iov_len += length;
      return true;
    }
  }
  if (count_ == IOV_MAX) return false;
  table_->parts[count_] = {base, length};
  table_->originals[count_] = original;
  ++count_;
  return true;
}

void NearVector::scatter(size_t bytes) noexcept {
  for (size_t i = 0; i < count_ && bytes != 0; ++i) {
    const iovec& part = table_->parts[i];
    const size_t length = std::min(part.iov_len, bytes);
    if (table_->originals[i] != nullptr) memcpy(table_->originals[i], part.iov_base, length);
    bytes -= length;
  }
}

}  // namespace tiara::preload
