// An NVIDIA GPU as an Accelerator: one stream, in which everything happens in order; memory that both sides
// address.
#ifndef HALFTONE_TENSOR_CUDA_CUDA_ACCELERATOR_H_
#define HALFTONE_TENSOR_CUDA_CUDA_ACCELERATOR_H_

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tensor/accelerator.h"
#include "tensor/device.h"

// cudaStream_t and cudaEvent_t without their header.
struct CUstream_st;
struct CUevent_st;

namespace halftone::cuda {

struct GpuProperties {
  std::string name;    // "NVIDIA H200"
  int capability = 0;  // 10 times the compute capability: 90
  int multiprocessors = 0;
  size_t memory_bytes = 0;
  // Of its memory, bytes a second, as the driver states clock and width; 0: it does not.
  double bandwidth = 0;
  int driver = 0, runtime = 0;  // 1000 major + 10 minor
};

class CudaAccelerator : public Accelerator {
 public:
  // Errors: no GPU of this index, a driver older than the toolkit, a GPU older than what this was built for.
  static absl::StatusOr<std::unique_ptr<CudaAccelerator>> Create(int index);
  ~CudaAccelerator() override;
  CudaAccelerator(const CudaAccelerator&) = delete;
  CudaAccelerator& operator=(const CudaAccelerator&) = delete;

  std::string Name() const override { return properties_.name; }
  void* Allocate(size_t bytes) override;
  void Free(void* pointer) override;
  size_t FreeBytes() const override;
  void Copy(void* to, const void* from, size_t bytes) override;
  void CopyFromHost(void* to, const void* from, size_t bytes) override;
  void FillZero(void* to, size_t bytes) override;
  void Synchronize() override;
  int64_t waits() const override { return waits_; }
  // A CUDA graph.
  void BeginRecording() override;
  std::shared_ptr<void> EndRecording() override;
  void Replay(const std::shared_ptr<void>& recording) override;
  absl::Status status() const override { return status_; }

  const GpuProperties& properties() const { return properties_; }

  // The stream, for something that is now put into it.
  CUstream_st* Use() {
    idle_ = false;
    return stream_;
  }
  // Keeps the first error, with the call's name; `code` is a cudaError_t, 0 for none.
  void Check(const char* call, int code);
  // The same for a library's own codes, in words.
  void Fail(const char* call, const std::string& what);

 private:
  CudaAccelerator(int index, GpuProperties properties) : index_(index), properties_(std::move(properties)) {}
  absl::Status Open();

  // Pinned memory through which the host's goes: while one piece is copied, the next is filled.
  struct Piece {
    void* memory = nullptr;
    CUevent_st* copied = nullptr;
  };
  struct Staging {
    size_t bytes;  // of a piece
    std::vector<Piece> pieces;
    size_t next = 0;
  };

  const int index_;
  const GpuProperties properties_;
  CUstream_st* stream_ = nullptr;
  size_t limit_ = 0;  // that we may allocate, of what was free at the start
  size_t allocated_ = 0;
  std::unordered_map<void*, size_t> sizes_;
  // A step's images take a large piece, its labels and its learning rate a small one each. The host runs
  // ahead of the GPU for as many steps as there are pieces.
  Staging large_{.bytes = size_t{16} << 20, .pieces = std::vector<Piece>(4)};
  Staging small_{.bytes = size_t{64} << 10, .pieces = std::vector<Piece>(128)};
  bool idle_ = true;
  bool recording_ = false;
  int64_t waits_ = 0;
  absl::Status status_;
};

// Of a device that is a GPU.
inline CudaAccelerator& CudaOf(const Device& device) {
  return static_cast<CudaAccelerator&>(*device.accelerator());
}

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_CUDA_ACCELERATOR_H_
