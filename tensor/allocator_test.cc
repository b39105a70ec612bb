#include "tensor/allocator.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
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
    for (const size_t bytes : {0, 1, 100, 4096, 3 << 20, 5 << 20, 100})
      blocks.push_back(allocator.Allocate(bytes));
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

// Has room for a block of 1 MiB.
class SmallAccelerator : public Accelerator {
 public:
  std::string Name() const override { return "Small GPU"; }
  void* Allocate(size_t bytes) override {
    if (used_ + bytes > size_t{1} << 20) return nullptr;
    used_ += bytes;
    return std::malloc(bytes);
  }
  void Free(void* pointer) override {
    used_ = 0;
    std::free(pointer);
  }
  size_t FreeBytes() const override { return (size_t{1} << 20) - used_; }
  void Copy(void*, const void*, size_t) override {}
  void CopyFromHost(void*, const void*, size_t) override {}
  void FillZero(void*, size_t) override {}
  void Synchronize() override {}
  int64_t waits() const override { return 0; }
  void BeginRecording() override {}
  std::shared_ptr<void> EndRecording() override { return nullptr; }
  void Replay(const std::shared_ptr<void>&) override {}
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  size_t used_ = 0;
};

TEST(AllocatorTest, NoMoreMemorySaysWhatWasAskedHeldAndLeft) {
  SmallAccelerator accelerator;
  CachingAllocator allocator(&accelerator);
  void* const quarter = allocator.Allocate(size_t{1} << 18);
  // Nobody's at the moment, and kept for whoever recorded its address.
  allocator.BeginPool();
  allocator.Free(allocator.Allocate(size_t{1} << 18));
  std::shared_ptr<void> pool = allocator.EndPool();
  try {
    allocator.Allocate(size_t{3} << 20);
    FAIL() << "no exception";
  } catch (const OutOfMemory& error) {
    EXPECT_EQ(std::string(error.what())
                  .rfind("out of Small GPU's memory: 3.0 MiB were asked for, 0.5 MiB are held", 0),
              0u)
        << error.what();
  }
  pool.reset();
  allocator.Free(quarter);
  // What is cached makes room first.
  allocator.Free(allocator.Allocate(size_t{1} << 20));
}

}  // namespace
}  // namespace halftone
