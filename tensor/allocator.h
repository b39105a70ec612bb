// A caching allocator: memory that a training step frees is what the next step gets, so that a steady-state
// step takes nothing from the system and touches no fresh page.
//
// Thread safe. Counts exactly: `live` and `peak` are the bytes that callers asked for.
#ifndef HALFTONE_TENSOR_ALLOCATOR_H_
#define HALFTONE_TENSOR_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "tensor/accelerator.h"

namespace halftone {

struct AllocatorStats {
  int64_t live_bytes = 0;          // asked for and not yet freed
  int64_t peak_bytes = 0;          // the largest live_bytes since the start or ResetPeak
  int64_t reserved_bytes = 0;      // taken from the system, in use or cached
  int64_t system_allocations = 0;  // how often the system was asked
};

// There is no more memory. what() is a line with what was asked for, what was held, and what would have
// fitted.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::string line) : line_(std::move(line)) {}
  const char* what() const noexcept override { return line_.c_str(); }

 private:
  std::string line_;
};

class CachingAllocator {
 public:
  static constexpr size_t kAlignment = 64;

  // Of an accelerator's memory, or of the host's. A block that is freed may be given out again at once,
  // though the accelerator still works on it: what it is told later, it does later.
  explicit CachingAllocator(Accelerator* accelerator = nullptr) : accelerator_(accelerator) {}
  ~CachingAllocator();  // everything must have been freed
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  // Aligned to kAlignment; not initialised; never null (throws OutOfMemory when there is no more).
  // bytes = 0 gives a pointer of its own.
  void* Allocate(size_t bytes);
  void Free(void* pointer);

  // What is allocated between both is given to nobody outside of it, though it is freed, as long as the
  // handle lives: for what goes on using the addresses. One at a time.
  void BeginPool();
  std::shared_ptr<void> EndPool();  // not after the allocator
  // What the memory of such a handle takes.
  static int64_t PoolBytes(const std::shared_ptr<void>& pool);

  // Gives cached blocks back to the system.
  void ReleaseCached();

  AllocatorStats stats() const;
  void ResetPeak();

 private:
  using Cache = std::multimap<size_t, void*>;  // capacity -> block
  struct Pool {
    Cache cached;
    int64_t bytes = 0;
    bool open = true;  // false: its handle is gone, and its blocks are everybody's
  };
  struct Block {
    size_t capacity;
    size_t requested;
    std::shared_ptr<Pool> pool;  // null: of none
  };

  // Takes the smallest block that fits, unless an eighth of it or more would be wasted; null: there is none.
  static void* Take(Cache& cache, size_t capacity, size_t* got);
  // Null: there is no more.
  void* TryAllocate(size_t bytes);
  void* SystemAllocate(size_t capacity) const;

  Accelerator* const accelerator_;
  mutable absl::Mutex mutex_;
  Cache cached_;
  std::shared_ptr<Pool> pool_;  // of what is allocated now; null: none
  std::unordered_map<void*, Block> in_use_;
  AllocatorStats stats_;
};

}  // namespace halftone

#endif  // HALFTONE_TENSOR_ALLOCATOR_H_
