#include "tensor/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "base/check.h"

namespace halftone {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }

size_t CapacityFor(size_t bytes) {
  return std::max(RoundUp(bytes, bytes >= kHugePage ? size_t{4096} : CachingAllocator::kAlignment),
                  CachingAllocator::kAlignment);
}

void* SystemAllocate(size_t capacity) {
  const size_t alignment = capacity >= kHugePage ? kHugePage : CachingAllocator::kAlignment;
  void* pointer = nullptr;
  if (posix_memalign(&pointer, alignment, capacity) != 0) throw std::bad_alloc();
  // Fewer page faults on the first touch and fewer TLB misses ever after; only advice.
  if (capacity >= kHugePage) madvise(pointer, capacity, MADV_HUGEPAGE);
  return pointer;
}

}  // namespace

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
  for (const auto& [capacity, pointer] : cached_) {
    std::free(pointer);
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
