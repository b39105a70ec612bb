#include "tensor/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace halftone {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }

size_t CapacityFor(size_t bytes) {
  return std::max(RoundUp(bytes, bytes >= kHugePage ? size_t{4096} : CachingAllocator::kAlignment),
                  CachingAllocator::kAlignment);
}

double Mebibytes(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

void* CachingAllocator::SystemAllocate(size_t capacity) const {
  if (accelerator_ != nullptr) return accelerator_->Allocate(capacity);
  const size_t alignment = capacity >= kHugePage ? kHugePage : kAlignment;
  void* pointer = nullptr;
  if (posix_memalign(&pointer, alignment, capacity) != 0) return nullptr;
  // Fewer page faults on the first touch and fewer TLB misses ever after; only advice.
  if (capacity >= kHugePage) madvise(pointer, capacity, MADV_HUGEPAGE);
  return pointer;
}

CachingAllocator::~CachingAllocator() {
  ReleaseCached();
  HALFTONE_CHECK(in_use_.empty());
}

void* CachingAllocator::Allocate(size_t bytes) {
  const size_t capacity = CapacityFor(bytes);
  absl::MutexLock lock(&mutex_);
  void* pointer = nullptr;
  size_t got = capacity;
  // The smallest cached block that fits, unless an eighth of it or more would be wasted.
  const auto it = cached_.lower_bound(capacity);
  if (it != cached_.end() && it->first - capacity <= capacity / 8) {
    got = it->first;
    pointer = it->second;
    cached_.erase(it);
  } else {
    pointer = SystemAllocate(capacity);
    if (pointer == nullptr) {
      ReleaseCachedLocked();
      pointer = SystemAllocate(capacity);
    }
    if (pointer == nullptr) {
      const std::string what = accelerator_ == nullptr ? "memory" : accelerator_->Name() + "'s memory";
      const std::string free =
          accelerator_ == nullptr
              ? ""
              : absl::StrFormat(", and at most %.0f MiB would fit", Mebibytes(accelerator_->FreeBytes()));
      throw OutOfMemory(
          absl::StrFormat("out of %s: %.1f MiB were asked for, %.1f MiB are held%s; take smaller batches, or "
                          "a narrower precision",
                          what, Mebibytes(bytes), Mebibytes(static_cast<size_t>(stats_.live_bytes)), free));
    }
    stats_.reserved_bytes += static_cast<int64_t>(capacity);
    ++stats_.system_allocations;
  }
  in_use_.emplace(pointer, Block{got, bytes});
  stats_.live_bytes += static_cast<int64_t>(bytes);
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  return pointer;
}

void CachingAllocator::Free(void* pointer) {
  absl::MutexLock lock(&mutex_);
  const auto it = in_use_.find(pointer);
  HALFTONE_CHECK(it != in_use_.end());
  stats_.live_bytes -= static_cast<int64_t>(it->second.requested);
  cached_.emplace(it->second.capacity, pointer);
  in_use_.erase(it);
}

void CachingAllocator::ReleaseCached() {
  absl::MutexLock lock(&mutex_);
  ReleaseCachedLocked();
}

void CachingAllocator::ReleaseCachedLocked() {
  if (accelerator_ != nullptr) accelerator_->Synchronize();
  for (const auto& [capacity, pointer] : cached_) {
    accelerator_ == nullptr ? std::free(pointer) : accelerator_->Free(pointer);
    stats_.reserved_bytes -= static_cast<int64_t>(capacity);
  }
  cached_.clear();
}

AllocatorStats CachingAllocator::stats() const {
  absl::MutexLock lock(&mutex_);
  return stats_;
}

void CachingAllocator::ResetPeak() {
  absl::MutexLock lock(&mutex_);
  stats_.peak_bytes = stats_.live_bytes;
}

}  // namespace halftone
