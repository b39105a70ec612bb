#include "tensor/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

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
  if (void* const pointer = TryAllocate(bytes)) return pointer;
  absl::ReleasableMutexLock lock(&mutex_);
  const bool in_pool = pool_ != nullptr;  // a recording: nothing can be waited for
  lock.Release();
  if (!in_pool) {
    ReleaseCached();
    if (void* const pointer = TryAllocate(bytes)) return pointer;
  }
  const std::string what = accelerator_ == nullptr ? "memory" : accelerator_->Name() + "'s memory";
  const std::string free = accelerator_ == nullptr ? ""
                                                   : absl::StrFormat(", and at most %.0f MiB would fit",
                                                                     Mebibytes(accelerator_->FreeBytes()));
  throw OutOfMemory(
      absl::StrFormat("out of %s: %.1f MiB were asked for, %.1f MiB are held%s; take smaller batches, or "
                      "a narrower precision",
                      what, Mebibytes(bytes), Mebibytes(static_cast<size_t>(stats().reserved_bytes)), free));
}

void* CachingAllocator::TryAllocate(size_t bytes) {
  const size_t capacity = CapacityFor(bytes);
  absl::MutexLock lock(&mutex_);
  void* pointer = nullptr;
  size_t got = capacity;
  if (pool_ != nullptr) pointer = Take(pool_->cached, capacity, &got);
  const bool pooled = pointer != nullptr;
  if (pointer == nullptr) pointer = Take(cached_, capacity, &got);
  if (pointer == nullptr) {
    pointer = SystemAllocate(capacity);
    if (pointer == nullptr) return nullptr;
    stats_.reserved_bytes += static_cast<int64_t>(capacity);
    ++stats_.system_allocations;
  }
  if (pool_ != nullptr && !pooled) pool_->bytes += static_cast<int64_t>(got);
  in_use_.emplace(pointer, Block{got, bytes, pool_});
  stats_.live_bytes += static_cast<int64_t>(bytes);
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  return pointer;
}

void CachingAllocator::Free(void* pointer) {
  absl::MutexLock lock(&mutex_);
  const auto it = in_use_.find(pointer);
  HALFTONE_CHECK(it != in_use_.end());
  stats_.live_bytes -= static_cast<int64_t>(it->second.requested);
  const bool pooled = it->second.pool != nullptr && it->second.pool->open;
  (pooled ? it->second.pool->cached : cached_).emplace(it->second.capacity, pointer);
  in_use_.erase(it);
}

void* CachingAllocator::Take(Cache& cache, size_t capacity, size_t* got) {
  const auto it = cache.lower_bound(capacity);
  if (it == cache.end() || it->first - capacity > capacity / 8) return nullptr;
  *got = it->first;
  void* const pointer = it->second;
  cache.erase(it);
  return pointer;
}

void CachingAllocator::BeginPool() {
  absl::MutexLock lock(&mutex_);
  HALFTONE_CHECK(pool_ == nullptr);
  pool_ = std::make_shared<Pool>();
}

std::shared_ptr<void> CachingAllocator::EndPool() {
  absl::MutexLock lock(&mutex_);
  HALFTONE_CHECK(pool_ != nullptr);
  const std::shared_ptr<Pool> pool = std::exchange(pool_, nullptr);
  return {pool.get(), [this, pool](void*) {
            absl::MutexLock lock(&mutex_);
            pool->open = false;
            cached_.merge(pool->cached);
          }};
}

int64_t CachingAllocator::PoolBytes(const std::shared_ptr<void>& pool) {
  return static_cast<const Pool*>(pool.get())->bytes;
}

void CachingAllocator::ReleaseCached() {
  // Before the lock: what ends may free blocks.
  if (accelerator_ != nullptr) accelerator_->Synchronize();
  absl::MutexLock lock(&mutex_);
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
