// Runs CUDA kernels on the host: blocks one after the other, the threads of a block as fibers that take turns
// where they wait for each other, at __syncthreads() and a warp's shuffles. Slow, deterministic, and for
// tests only.
//
// Kernels run when the device is waited for, not when they are launched: a host that does not wait sees what
// it would see with a GPU.
#ifndef HALFTONE_TENSOR_CUDA_SIMT_SIMT_H_
#define HALFTONE_TENSOR_CUDA_SIMT_SIMT_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor/accelerator.h"
#include "tensor/device.h"

#define __global__
#define __host__
#define __device__
#define __shared__ static  // one block at a time
#define threadIdx (::halftone::simt::place.thread)
#define blockIdx (::halftone::simt::place.block)
#define blockDim (::halftone::simt::place.threads)
#define gridDim (::halftone::simt::place.blocks)
#define __syncthreads() ::halftone::simt::SyncBlock()

namespace halftone::simt {

struct Index {
  unsigned x = 0;
};

// Of the thread that runs. As much else here, for one thread of the host.
struct Place {
  Index thread, block, threads, blocks;
};
inline Place place;

// Returns when all threads of the block, or of the warp, have called it. A block some of whose threads never
// do stops the program, with a line.
void SyncBlock();
void SyncWarp();

inline constexpr size_t kSlotBytes = 16;
// What thread `thread` of the block puts up for its warp to see.
char* Slot(unsigned thread);

template <typename T>
T ShuffleXor(T value, int mask) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kSlotBytes);
  std::memcpy(Slot(place.thread.x), &value, sizeof(T));
  SyncWarp();
  std::memcpy(&value, Slot(place.thread.x ^ static_cast<unsigned>(mask)), sizeof(T));
  SyncWarp();
  return value;
}

class SimtAccelerator : public Accelerator {
 public:
  std::string Name() const override { return "GPU on the host"; }
  void* Allocate(size_t bytes) override;
  void Free(void* pointer) override;
  size_t FreeBytes() const override { return free_bytes_; }
  // What there is beside what was allocated.
  void set_free_bytes(size_t bytes) { free_bytes_ = bytes; }
  void Copy(void* to, const void* from, size_t bytes) override;
  void CopyFromHost(void* to, const void* from, size_t bytes) override;
  void FillZero(void* to, size_t bytes) override;
  void Synchronize() override;
  int64_t waits() const override { return waits_; }
  void BeginRecording() override;
  std::shared_ptr<void> EndRecording() override;
  void Replay(const std::shared_ptr<void>& recording) override;
  absl::Status status() const override { return absl::OkStatus(); }

  // barriers: whether threads may wait for each other, which takes a fiber each.
  void Enqueue(int64_t blocks, int threads, bool barriers, std::function<void()> body);
  // Anything else, in its turn.
  void Later(std::function<void()> what) {
    (recording_ == nullptr ? queue_ : *recording_).push_back(std::move(what));
  }

 private:
  using Queue = std::vector<std::function<void()>>;

  Queue queue_;
  std::shared_ptr<Queue> recording_;  // null: things are done
  int64_t waits_ = 0;
  size_t free_bytes_ = size_t{1} << 40;
};

inline SimtAccelerator& Of(const Device& device) {
  return static_cast<SimtAccelerator&>(*device.accelerator());
}

}  // namespace halftone::simt

#endif  // HALFTONE_TENSOR_CUDA_SIMT_SIMT_H_
