// Its check of longjmp knows of one stack alone.
#undef _FORTIFY_SOURCE
#include "tensor/cuda/simt/simt.h"

#include <malloc.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace halftone::simt {
namespace {

constexpr size_t kStackBytes = size_t{64} << 10;
constexpr unsigned kWarp = 32;

// A place to go on from. swapcontext makes a system call each time; longjmp makes none, but AddressSanitizer
// takes it for a return to an outer frame.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kJumps = false;
#else
constexpr bool kJumps = true;
#endif
struct Spot {
  ucontext_t context;
  jmp_buf jump;
  bool left = false;  // by SwitchTo: `jump` is where to go on
};

void SwitchTo(Spot& to, Spot& from) {
  if (!kJumps || !to.left) {
    from.left = kJumps;
    if (!kJumps || _setjmp(from.jump) == 0) swapcontext(&from.context, &to.context);
    return;
  }
  from.left = true;
  if (_setjmp(from.jump) == 0) _longjmp(to.jump, 1);
}

enum class State { kRuns, kAtBlock, kAtWarp, kDone };

struct Fiber {
  Spot spot;
  std::unique_ptr<char[]> stack;  // null: never begun
  State state = State::kDone;
};

// The block that runs now.
struct Block {
  std::vector<std::unique_ptr<Fiber>> fibers;  // kept from block to block
  std::vector<char> slots;
  Spot scheduler;
  unsigned current = 0;
  const std::function<void()>* body = nullptr;
  // False: threads run one after the other, on the stack of whoever waits for the device.
  bool barriers = true;
};
Block block;

void Wait(State at) {
  HALFTONE_CHECK(block.barriers);
  Fiber& self = *block.fibers[block.current];
  self.state = at;
  SwitchTo(block.scheduler, self.spot);
}

// A fiber's whole life: a thread of each block.
void RunFiber() {
  for (;;) {
    (*block.body)();
    Wait(State::kDone);
  }
}

// Whether all threads in [begin, end) that are not done are at `at`, and there is one.
bool AllAt(State at, unsigned begin, unsigned end) {
  bool any = false;
  for (unsigned t = begin; t < end; ++t) {
    const State s = block.fibers[t]->state;
    if (s != at && s != State::kDone) return false;
    any |= s == at;
  }
  return any;
}

bool Release(State at, unsigned begin, unsigned end) {
  if (!AllAt(at, begin, end)) return false;
  for (unsigned t = begin; t < end; ++t) {
    if (block.fibers[t]->state == at) block.fibers[t]->state = State::kRuns;
  }
  return true;
}

void Begin(Fiber& fiber) {
  fiber.stack = std::make_unique<char[]>(kStackBytes);
  getcontext(&fiber.spot.context);
  fiber.spot.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.spot.context.uc_stack.ss_size = kStackBytes;
  fiber.spot.context.uc_link = nullptr;  // RunFiber never returns
  makecontext(&fiber.spot.context, RunFiber, 0);
}

void RunBlock(unsigned threads) {
  for (unsigned t = 0; t < threads; ++t) {
    if (block.fibers[t]->stack == nullptr) Begin(*block.fibers[t]);
    block.fibers[t]->state = State::kRuns;
  }
  for (;;) {
    for (unsigned t = 0; t < threads; ++t) {
      if (block.fibers[t]->state != State::kRuns) continue;
      block.current = t;
      place.thread.x = t;
      SwitchTo(block.fibers[t]->spot, block.scheduler);
    }
    bool released = Release(State::kAtBlock, 0, threads);
    for (unsigned w = 0; w < threads; w += kWarp) {
      released |= Release(State::kAtWarp, w, std::min(threads, w + kWarp));
    }
    if (released) continue;
    for (unsigned t = 0; t < threads; ++t) HALFTONE_CHECK(block.fibers[t]->state == State::kDone);
    return;
  }
}

void Run(unsigned blocks, unsigned threads, bool barriers, const std::function<void()>& body) {
  while (block.fibers.size() < threads) block.fibers.push_back(std::make_unique<Fiber>());
  block.slots.resize(threads * kSlotBytes + kWarp * kSlotBytes);
  block.body = &body;
  block.barriers = barriers;
  place.threads.x = threads;
  place.blocks.x = blocks;
  for (unsigned b = 0; b < blocks; ++b) {
    place.block.x = b;
    if (barriers) {
      RunBlock(threads);
    } else {
      for (place.thread.x = 0; place.thread.x < threads; ++place.thread.x) body();
    }
  }
}

}  // namespace

void SyncBlock() { Wait(State::kAtBlock); }
void SyncWarp() { Wait(State::kAtWarp); }
char* Slot(unsigned thread) { return block.slots.data() + thread * kSlotBytes; }

void* SimtAccelerator::Allocate(size_t bytes) {
  void* pointer = nullptr;
  if (bytes > free_bytes_ || posix_memalign(&pointer, 256, bytes) != 0) return nullptr;
  free_bytes_ -= std::min(free_bytes_, malloc_usable_size(pointer));
  return pointer;
}

void SimtAccelerator::Free(void* pointer) {
  free_bytes_ += malloc_usable_size(pointer);
  std::free(pointer);
}

void SimtAccelerator::Copy(void* to, const void* from, size_t bytes) {
  Later([=] { std::memcpy(to, from, bytes); });
}

void SimtAccelerator::CopyFromHost(void* to, const void* from, size_t bytes) {
  HALFTONE_CHECK(recording_ == nullptr);
  const auto* begin = static_cast<const char*>(from);
  Later([to, data = std::vector<char>(begin, begin + bytes)] { std::memcpy(to, data.data(), data.size()); });
}

void SimtAccelerator::FillZero(void* to, size_t bytes) {
  Later([=] { std::memset(to, 0, bytes); });
}

void SimtAccelerator::Enqueue(int64_t blocks, int threads, bool barriers, std::function<void()> body) {
  Later([blocks, threads, barriers, body = std::move(body)] {
    Run(static_cast<unsigned>(blocks), static_cast<unsigned>(threads), barriers, body);
  });
}

void SimtAccelerator::Synchronize() {
  HALFTONE_CHECK(recording_ == nullptr);
  waits_ += !queue_.empty();
  for (const auto& what : std::exchange(queue_, {})) what();
}

void SimtAccelerator::BeginRecording() {
  Synchronize();
  recording_ = std::make_shared<Queue>();
}

std::shared_ptr<void> SimtAccelerator::EndRecording() { return std::exchange(recording_, nullptr); }

void SimtAccelerator::Replay(const std::shared_ptr<void>& recording) {
  const Queue& recorded = *static_cast<const Queue*>(recording.get());
  queue_.insert(queue_.end(), recorded.begin(), recorded.end());
}

}  // namespace halftone::simt
