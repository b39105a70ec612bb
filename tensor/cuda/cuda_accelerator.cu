#include "tensor/cuda/cuda_accelerator.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"

namespace halftone::cuda {
namespace {

// cuDNN and cuBLAS take memory of their own, outside of our allocator's sight.
constexpr size_t kLeaveFree = size_t{256} << 20;

// What every architecture that this is built for has code of.
__global__ void NothingKernel() {}

std::string Version(int v) { return absl::StrCat(v / 1000, ".", v % 1000 / 10); }

absl::Status NotUsable(cudaError_t code) {
  int driver = 0, runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  if (code == cudaErrorInsufficientDriver && driver == 0) {
    return absl::UnavailableError("no NVIDIA driver is installed; use the CPU");
  }
  if (code == cudaErrorInsufficientDriver) {
    return absl::FailedPreconditionError(
        absl::StrCat("the NVIDIA driver is too old: it supports CUDA ", Version(driver),
                     ", this program was built with CUDA ", Version(runtime),
                     "; install a newer driver, or build with an older toolkit (CUDA_HOME)"));
  }
  if (code == cudaErrorNoDevice) {
    return absl::UnavailableError("this machine has no NVIDIA GPU that CUDA can use; use the CPU");
  }
  return absl::UnavailableError(absl::StrCat("cudaGetDeviceCount: ", cudaGetErrorString(code)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaAccelerator>> CudaAccelerator::Create(int index) {
  int count = 0;
  if (const cudaError_t code = cudaGetDeviceCount(&count); code != cudaSuccess) return NotUsable(code);
  if (count == 0) return NotUsable(cudaErrorNoDevice);
  if (index < 0 || index >= count) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no GPU ", index, ": this machine has ", count,
                     count == 1 ? ", number 0" : absl::StrCat(", 0 to ", count - 1)));
  }
  cudaDeviceProp device;
  if (const cudaError_t code = cudaGetDeviceProperties(&device, index); code != cudaSuccess) {
    return absl::UnavailableError(absl::StrCat("cudaGetDeviceProperties: ", cudaGetErrorString(code)));
  }
  GpuProperties properties = {.name = device.name,
                              .capability = 10 * device.major + device.minor,
                              .multiprocessors = device.multiProcessorCount,
                              .memory_bytes = device.totalGlobalMem};
  int memory_khz = 0, bus_bits = 0;
  if (cudaDeviceGetAttribute(&memory_khz, cudaDevAttrMemoryClockRate, index) == cudaSuccess &&
      cudaDeviceGetAttribute(&bus_bits, cudaDevAttrGlobalMemoryBusWidth, index) == cudaSuccess) {
    properties.bandwidth = 2.0 * memory_khz * 1e3 * bus_bits / 8;  // two transfers a clock
  }
  (void)cudaDriverGetVersion(&properties.driver);
  (void)cudaRuntimeGetVersion(&properties.runtime);
  if (!device.managedMemory) {
    return absl::UnavailableError(absl::StrCat(
        properties.name, " has no memory that the host can address too (managed memory), which is needed"));
  }
  auto accelerator = std::unique_ptr<CudaAccelerator>(new CudaAccelerator(index, std::move(properties)));
  if (const absl::Status status = accelerator->Open(); !status.ok()) return status;
  return accelerator;
}

absl::Status CudaAccelerator::Open() {
  Check("cudaSetDevice", cudaSetDevice(index_));
  cudaFuncAttributes attributes;
  const cudaError_t code = cudaFuncGetAttributes(&attributes, NothingKernel);
  if (code == cudaErrorNoKernelImageForDevice || code == cudaErrorInvalidDeviceFunction) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s has compute capability %.1f, and this program has no code for it; build it with "
                        "CUDA_ARCHITECTURES=%d (80 is the least), or use the CPU",
                        Name(), properties_.capability / 10.0, std::max(properties_.capability, 80)));
  }
  Check("cudaFuncGetAttributes", code);
  Check("cudaStreamCreate", cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  size_t free = 0, total = 0;
  Check("cudaMemGetInfo", cudaMemGetInfo(&free, &total));
  limit_ = free > kLeaveFree ? free - kLeaveFree : 0;
  for (Staging* staging : {&large_, &small_}) {
    for (Piece& piece : staging->pieces) {
      Check("cudaMallocHost", cudaMallocHost(&piece.memory, staging->bytes));
      Check("cudaEventCreate", cudaEventCreateWithFlags(&piece.copied, cudaEventDisableTiming));
    }
  }
  (void)cudaGetLastError();  // what was asked and not answered is not the first kernel's error
  return status_;
}

CudaAccelerator::~CudaAccelerator() {
  if (stream_ != nullptr) (void)cudaStreamSynchronize(stream_);
  for (const Staging* staging : {&large_, &small_}) {
    for (const Piece& piece : staging->pieces) {
      if (piece.copied != nullptr) (void)cudaEventDestroy(piece.copied);
      if (piece.memory != nullptr) (void)cudaFreeHost(piece.memory);
    }
  }
  if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
}

// What the driver calls free will not do: managed memory counts once it is brought to the GPU, which is
// later.
size_t CudaAccelerator::FreeBytes() const { return limit_ > allocated_ ? limit_ - allocated_ : 0; }

// Managed memory would let us take more than there is, and then crawl.
void* CudaAccelerator::Allocate(size_t bytes) {
  if (bytes > FreeBytes()) return nullptr;
  void* pointer = nullptr;
  const cudaError_t code = cudaMallocManaged(&pointer, bytes);
  if (code == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();  // it is dealt with
    return nullptr;
  }
  Check("cudaMallocManaged", code);
  if (code != cudaSuccess) return nullptr;
  allocated_ += bytes;
  sizes_.emplace(pointer, bytes);
  // It is to stay on the GPU, and to be there before the first kernel wants it. Advice: where it is not
  // taken, pages move when they are touched. No step's work, so not to be recorded.
  if (recording_) return pointer;
#if CUDART_VERSION >= 13000
  const cudaMemLocation here = {.type = cudaMemLocationTypeDevice, .id = index_};
  (void)cudaMemAdvise(pointer, bytes, cudaMemAdviseSetPreferredLocation, here);
  (void)cudaMemPrefetchAsync(pointer, bytes, here, 0, Use());
#else
  (void)cudaMemAdvise(pointer, bytes, cudaMemAdviseSetPreferredLocation, index_);
  (void)cudaMemPrefetchAsync(pointer, bytes, index_, Use());
#endif
  (void)cudaGetLastError();
  return pointer;
}

void CudaAccelerator::Free(void* pointer) {
  const auto size = sizes_.find(pointer);
  allocated_ -= size->second;
  sizes_.erase(size);
  Check("cudaFree", cudaFree(pointer));
}

void CudaAccelerator::Copy(void* to, const void* from, size_t bytes) {
  if (bytes > 0) Check("cudaMemcpyAsync", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, Use()));
}

void CudaAccelerator::CopyFromHost(void* to, const void* from, size_t bytes) {
  HALFTONE_CHECK(!recording_);
  Staging& staging = bytes <= small_.bytes ? small_ : large_;
  for (size_t done = 0; done < bytes;) {
    const size_t n = std::min(staging.bytes, bytes - done);
    const Piece& piece = staging.pieces[staging.next];
    staging.next = (staging.next + 1) % staging.pieces.size();
    // Not counted as a wait: the GPU has work for as long as pieces last.
    Check("cudaEventSynchronize", cudaEventSynchronize(piece.copied));
    std::memcpy(piece.memory, static_cast<const char*>(from) + done, n);
    Check("cudaMemcpyAsync",
          cudaMemcpyAsync(static_cast<char*>(to) + done, piece.memory, n, cudaMemcpyHostToDevice, Use()));
    Check("cudaEventRecord", cudaEventRecord(piece.copied, stream_));
    done += n;
  }
}

void CudaAccelerator::FillZero(void* to, size_t bytes) {
  if (bytes > 0) Check("cudaMemsetAsync", cudaMemsetAsync(to, 0, bytes, Use()));
}

void CudaAccelerator::Synchronize() {
  HALFTONE_CHECK(!recording_);
  if (idle_) return;
  ++waits_;
  Check("cudaStreamSynchronize", cudaStreamSynchronize(stream_));
  idle_ = true;
}

void CudaAccelerator::Check(const char* call, int code) {
  if (code == cudaSuccess) return;
  const auto error = static_cast<cudaError_t>(code);
  Fail(call, absl::StrCat(cudaGetErrorName(error), ", ", cudaGetErrorString(error)));
}

void CudaAccelerator::Fail(const char* call, const std::string& what) {
  if (status_.ok()) status_ = absl::InternalError(absl::StrCat(properties_.name, ": ", call, ": ", what));
}

void CudaAccelerator::BeginRecording() {
  Synchronize();
  // Relaxed: the allocator may still need a block that no step before had needed.
  Check("cudaStreamBeginCapture", cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed));
  recording_ = true;
}

std::shared_ptr<void> CudaAccelerator::EndRecording() {
  recording_ = false;
  cudaGraph_t graph = nullptr;
  Check("cudaStreamEndCapture", cudaStreamEndCapture(stream_, &graph));
  idle_ = true;  // nothing was done
  if (graph == nullptr) return nullptr;
  cudaGraphExec_t executable = nullptr;
  Check("cudaGraphInstantiate", cudaGraphInstantiate(&executable, graph, 0));
  (void)cudaGraphDestroy(graph);
  if (executable == nullptr) return nullptr;
  return {executable, [](void* e) { (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(e)); }};
}

void CudaAccelerator::Replay(const std::shared_ptr<void>& recording) {
  Check("cudaGraphLaunch", cudaGraphLaunch(static_cast<cudaGraphExec_t>(recording.get()), Use()));
}

}  // namespace halftone::cuda
