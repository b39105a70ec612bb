// What a Device asks of an accelerator: memory, copies, and to wait. An accelerator does what it is told in
// order, one thing after the other, and later than it is told.
#ifndef HALFTONE_TENSOR_ACCELERATOR_H_
#define HALFTONE_TENSOR_ACCELERATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"

namespace halftone {

class Accelerator {
 public:
  virtual ~Accelerator() = default;

  virtual std::string Name() const = 0;  // "NVIDIA H200"

  // Memory that the host can address as well, aligned to 256 bytes; null where there is no more.
  virtual void* Allocate(size_t bytes) = 0;
  virtual void Free(void* pointer) = 0;
  virtual size_t FreeBytes() const = 0;  // that Allocate could still give, roughly

  virtual void Copy(void* to, const void* from, size_t bytes) = 0;
  // From host memory that may change as soon as this returns.
  virtual void CopyFromHost(void* to, const void* from, size_t bytes) = 0;
  virtual void FillZero(void* to, size_t bytes) = 0;

  // Returns when everything is done.
  virtual void Synchronize() = 0;
  // How often Synchronize had something to wait for.
  virtual int64_t waits() const = 0;

  // Between both nothing is done: it is recorded, and Replay does it, as often as it is called, with the same
  // addresses: for the memory see CachingAllocator::BeginPool. Meanwhile nothing may be waited for or copied
  // from the host.
  virtual void BeginRecording() = 0;
  // Null after an error, which status() tells.
  virtual std::shared_ptr<void> EndRecording() = 0;
  virtual void Replay(const std::shared_ptr<void>& recording) = 0;

  // The first thing that went wrong, with the call's name; results since then are worth nothing. Sees all
  // that was told before the last Synchronize.
  virtual absl::Status status() const = 0;
};

}  // namespace halftone

#endif  // HALFTONE_TENSOR_ACCELERATOR_H_
