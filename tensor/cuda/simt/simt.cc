#include "tensor/cuda/simt/simt.h"

#include <ucontext.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace halftone::simt {
namespace {

constexpr size_t kStackBytes = size_t{64} << 10;
constexpr unsigned kWarp = 32;

enum class State { kRuns, kAtBlock, kAtWarp, kDone };

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  State state = State::kDone;
};

// The block that runs now.
struct Block {
  std::vector<Fiber> fibers;  // kept from block to block, for their stacks
  std::vector<char> slots;
  ucontext_t scheduler;
  unsigned current = 0;
  const std::function<void()>* body = nullptr;
};
thread_local Block block;

void RunFiber() {
  (*block.body)();
  block.fibers[block.current].state = State::kDone;
  // Returning resumes uc_link, the scheduler.
}

void Wait(State at) {
  Fiber& self = block.fibers[block.current];
  self.state = at;
  swapcontext(&self.context, &block.scheduler);
}

// Whether all threads in [begin, end) that are not done are at `at`, and there is one.
bool AllAt(State at, unsigned begin, unsigned end) {
  bool any = false;
  for (unsigned t = begin; t < end; ++t) {
    const State s = block.fibers[t].state;
    if (s != at && s != State::kDone) return false;
    any |= s == at;
  }
  return any;
}

bool Release(State at, unsigned begin, unsigned end) {
  if (!AllAt(at, begin, end)) return false;
  for (unsigned t = begin; t < end; ++t) {
    if (block.fibers[t].state == at) block.fibers[t].state = State::kRuns;
  }
  return true;
}

void RunBlock(unsigned threads) {
  for (unsigned t = 0; t < threads; ++t) {
    Fiber& fiber = block.fibers[t];
    if (fiber.stack == nullptr) fiber.stack = std::make_unique<char[]>(kStackBytes);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = &block.scheduler;
    makecontext(&fiber.context, RunFiber, 0);
    fiber.state = State::kRuns;
  }
  for (;;) {
    for (unsigned t = 0; t < threads; ++t) {
      if (block.fibers[t].state != State::kRuns) continue;
      block.current = t;
      place.thread.x = t;
      swapcontext(&block.scheduler, &block.fibers[t].context);
    }
    bool released = Release(State::kAtBlock, 0, threads);
    for (unsigned w = 0; w < threads; w += kWarp) {
      released |= Release(State::kAtWarp, w, std::min(threads, w + kWarp));
    }
    if (released) continue;
    for (unsigned t = 0; t < threads; ++t) HALFTONE_CHECK(block.fibers[t].state == State::kDone);
    return;
  }
}

void Run(unsigned blocks, unsigned threads, const std::function<void()>& body) {
  if (block.fibers.size() < threads) block.fibers.resize(threads);
  block.slots.resize(threads * kSlotBytes + kWarp * kSlotBytes);
  block.body = &body;
  place.threads.x = threads;
  place.blocks.x = blocks;
  for (unsigned b = 0; b < blocks; ++b) {
    place.block.x = b;
    RunBlock(threads);
  }
}

}  // namespace

void SyncBlock() { Wait(State::kAtBlock); }
void SyncWarp() { Wait(State::kAtWarp); }
char* Slot(unsigned thread) { return block.slots.data() + thread * kSlotBytes; }

void* SimtAccelerator::Allocate(size_t bytes) {
  void* pointer = nullptr;
  return posix_memalign(&pointer, 256, bytes) == 0 ? pointer : nullptr;
}

void SimtAccelerator::Free(void* pointer) { std::free(pointer); }

void SimtAccelerator::Copy(void* to, const void* from, size_t bytes) {
  queue_.push_back([=] { std::memcpy(to, from, bytes); });
}

void SimtAccelerator::CopyFromHost(void* to, const void* from, size_t bytes) {
  const auto* begin = static_cast<const char*>(from);
  queue_.push_back(
      [to, data = std::vector<char>(begin, begin + bytes)] { std::memcpy(to, data.data(), data.size()); });
}

void SimtAccelerator::FillZero(void* to, size_t bytes) {
  queue_.push_back([=] { std::memset(to, 0, bytes); });
}

void SimtAccelerator::Enqueue(int64_t blocks, int threads, std::function<void()> body) {
  queue_.push_back([blocks, threads, body = std::move(body)] {
    Run(static_cast<unsigned>(blocks), static_cast<unsigned>(threads), body);
  });
}

void SimtAccelerator::Synchronize() {
  for (const auto& what : std::exchange(queue_, {})) what();
}

}  // namespace halftone::simt
