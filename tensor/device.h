// Where tensors live and ops run. One Device a process and accelerator, made by main() and handed down.
//
// The memory of every device can be read and written by the host. What an accelerator was told to do it does
// later, in order: Tensor waits for it before it hands the host a pointer, and only then. So every function
// of this project works on every device; those that an accelerator has kernels for, it computes itself.
#ifndef HALFTONE_TENSOR_DEVICE_H_
#define HALFTONE_TENSOR_DEVICE_H_

#include <cstdio>
#include <memory>
#include <string>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tensor/accelerator.h"
#include "tensor/allocator.h"

namespace halftone {

class Device {
 public:
  // The CPU. What it has to say goes to `notes`; null: nowhere.
  explicit Device(std::FILE* notes = stderr) : notes_(notes) {}
  Device(std::unique_ptr<Accelerator> accelerator, std::FILE* notes)
      : notes_(notes),
        accelerator_(std::move(accelerator)),
        host_(std::make_unique<Device>(notes)),
        allocator_(accelerator_.get()) {}
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  CachingAllocator& allocator() { return allocator_; }

  // Where the host makes what this device is given later: the device itself if it is the CPU.
  Device& host() { return host_ == nullptr ? *this : *host_; }

  // Null: this is the CPU.
  Accelerator* accelerator() const { return accelerator_.get(); }
  // Returns when all is done that the accelerator was told to do.
  void Synchronize() const {
    if (accelerator_ != nullptr) accelerator_->Synchronize();
  }

  // The first thing that went wrong on the accelerator. To be looked at after waiting for what it gave,
  // before that is believed.
  absl::Status status() const { return accelerator_ == nullptr ? absl::OkStatus() : accelerator_->status(); }

  // What an accelerator has of an op is a struct of functions, declared beside the op: K. Null: the host
  // computes it.
  template <typename K>
  const K* Kernels() const {
    if (accelerator_ == nullptr) return nullptr;
    const auto it = kernels_.find(std::type_index(typeid(K)));
    return it == kernels_.end() ? nullptr : static_cast<const K*>(it->second);
  }
  // Before the device is used. `kernels` is a constant.
  template <typename K>
  void Install(const K& kernels) {
    kernels_[std::type_index(typeid(K))] = &kernels;
  }

  // Something that lives as long as the device, one of each type, made when first asked for: a library's
  // engine, its cache of primitives. T is default-constructible and looks after its own thread safety.
  template <typename T>
  T& Resource() {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<void>& slot = resources_[std::type_index(typeid(T))];
    if (slot == nullptr) slot = std::make_shared<T>();
    return *static_cast<T*>(slot.get());
  }

  // Prints a line the first time that this line comes: "float16 convolution runs in float32 arithmetic ...".
  void SayOnce(absl::string_view line);
  // All lines said so far, in order: what reports repeat.
  std::vector<std::string> Said() const;

 private:
  std::FILE* notes_;
  std::unique_ptr<Accelerator> accelerator_;
  std::unique_ptr<Device> host_;  // null: it is this one
  CachingAllocator allocator_;
  std::unordered_map<std::type_index, const void*> kernels_;
  mutable absl::Mutex mutex_;
  std::unordered_map<std::type_index, std::shared_ptr<void>> resources_;
  std::vector<std::string> said_;
};

}  // namespace halftone

#endif  // HALFTONE_TENSOR_DEVICE_H_
