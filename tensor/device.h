// Where tensors live and ops run. One Device a process and accelerator, made by main() and handed down.
#ifndef HALFTONE_TENSOR_DEVICE_H_
#define HALFTONE_TENSOR_DEVICE_H_

#include <cstdio>
#include <memory>
#include <string>
#include <typeindex>
#include <unordered_map>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tensor/allocator.h"

namespace halftone {

class Device {
 public:
  // The CPU. What it has to say goes to `notes`; null: nowhere.
  explicit Device(std::FILE* notes = stderr) : notes_(notes) {}
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  CachingAllocator& allocator() { return allocator_; }

  // Something that lives as long as the device, one of each type, made when first asked for: a library's engine, its
  // cache of primitives. T is default-constructible and looks after its own thread safety.
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
  CachingAllocator allocator_;
  mutable absl::Mutex mutex_;
  std::unordered_map<std::type_index, std::shared_ptr<void>> resources_;
  std::vector<std::string> said_;
};

}  // namespace halftone

#endif  // HALFTONE_TENSOR_DEVICE_H_
