// A caching allocator: memory that a training step frees is what the next step gets, so that a steady-state step
// takes nothing from the system and touches no fresh page.
//
// Thread safe. Counts exactly: `live` and `peak` are the bytes that callers asked for.
#ifndef HALFTONE_TENSOR_ALLOCATOR_H_
#define HALFTONE_TENSOR_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>

#include "absl/synchronization/mutex.h"

namespace halftone {

struct AllocatorStats {
  int64_t live_bytes = 0;          // asked for and not yet freed
  int64_t peak_bytes = 0;          // the largest live_bytes since the start or ResetPeak
  int64_t reserved_bytes = 0;      // taken from the system, in use or cached
  int64_t system_allocations = 0;  // how often the system was asked
};

class CachingAllocator {
 public:
  static constexpr size_t kAlignment = 64;

  CachingAllocator() = default;
  ~CachingAllocator();  // everything must have been freed
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  // Aligned to kAlignment; not initialised; never null (throws std::bad_alloc when the system has no more).
  // bytes = 0 gives a pointer of its own.
  void* Allocate(size_t bytes);
  void Free(void* pointer);

  // Gives cached blocks back to the system.
  void ReleaseCached();

  AllocatorStats stats() const;
  void ResetPeak();

 private:
  struct Block {
    size_t capacity;
    size_t requested;
  };

  mutable absl::Mutex mutex_;
  std::multimap<size_t, void*> cached_;       // capacity -> block
  std::unordered_map<void*, Block> in_use_;
  AllocatorStats stats_;
};

}  // namespace halftone

#endif  // HALFTONE_TENSOR_ALLOCATOR_H_
