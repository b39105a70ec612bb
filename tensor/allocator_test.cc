#include "tensor/allocator.h"

#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace halftone {
namespace {

TEST(CachingAllocatorTest, PeakIsExactToTheByte) {
  CachingAllocator allocator;
  void* a = allocator.Allocate(1000);
  void* b = allocator.Allocate(37);
  allocator.Free(a);
  void* c = allocator.Allocate(500);
  EXPECT_EQ(allocator.stats().live_bytes, 537);
  EXPECT_EQ(allocator.stats().peak_bytes, 1037);
  allocator.ResetPeak();
  EXPECT_EQ(allocator.stats().peak_bytes, 537);
  allocator.Free(b);
  allocator.Free(c);
  EXPECT_EQ(allocator.stats().live_bytes, 0);
}

TEST(CachingAllocatorTest, ARepeatedStepTakesNothingFromTheSystem) {
  CachingAllocator allocator;
  const auto step = [&] {
    std::vector<void*> blocks;
    for (const size_t bytes : {0, 1, 100, 4096, 3 << 20, 5 << 20, 100}) blocks.push_back(allocator.Allocate(bytes));
    for (void* p : blocks) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % CachingAllocator::kAlignment, 0u);
      allocator.Free(p);
    }
  };
  step();
  const int64_t before = allocator.stats().system_allocations;
  for (int i = 0; i < 10; ++i) step();
  EXPECT_EQ(allocator.stats().system_allocations, before);
  allocator.ReleaseCached();
  EXPECT_EQ(allocator.stats().reserved_bytes, 0);
}

TEST(CachingAllocatorTest, ABlockIsNotWastedOnASmallRequest) {
  CachingAllocator allocator;
  void* large = allocator.Allocate(1 << 20);
  allocator.Free(large);
  void* small = allocator.Allocate(1 << 10);
  EXPECT_NE(small, large);
  allocator.Free(small);
}

TEST(CachingAllocatorTest, ThreadsDoNotShareBlocks) {
  CachingAllocator allocator;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&allocator, t] {
      for (int i = 0; i < 1000; ++i) {
        auto* p = static_cast<unsigned char*>(allocator.Allocate(64 + i % 7 * 64));
        std::memset(p, t, 64);
        EXPECT_EQ(p[63], t);
        allocator.Free(p);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(allocator.stats().live_bytes, 0);
}

TEST(AllocatorTest, APoolsBlocksAreItsOwnAsLongAsItsHandleLives) {
  CachingAllocator allocator;
  allocator.Free(allocator.Allocate(1000));
  allocator.BeginPool();
  void* const inside = allocator.Allocate(1000);  // the cached one
  allocator.Free(inside);
  EXPECT_EQ(allocator.Allocate(1000), inside);
  std::shared_ptr<void> pool = allocator.EndPool();
  allocator.Free(inside);
  EXPECT_EQ(allocator.stats().live_bytes, 0);
  void* const outside = allocator.Allocate(1000);
  EXPECT_NE(outside, inside);
  pool.reset();
  EXPECT_EQ(allocator.Allocate(1000), inside);
  allocator.Free(inside);
  allocator.Free(outside);
}

TEST(AllocatorTest, ABlockThatOutlivesItsPoolIsEverybodysOnceItIsFreed) {
  CachingAllocator allocator;
  allocator.BeginPool();
  void* const block = allocator.Allocate(500);
  allocator.EndPool().reset();
  allocator.Free(block);
  EXPECT_EQ(allocator.Allocate(500), block);
  allocator.Free(block);
}

}  // namespace
}  // namespace halftone
