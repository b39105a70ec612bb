// A dense array of one dtype: contiguous, slowest dimension first, images as [N, H, W, C].
//
// A Tensor is a handle: copies share the elements, which return to the device's allocator with the last
// handle.
//
//   Device device;
//   Tensor x = Tensor::Empty(device, DType::kF32, {2, 3});   // not initialised
//   absl::Span<float> elements = x.span<float>();
#ifndef HALFTONE_TENSOR_TENSOR_H_
#define HALFTONE_TENSOR_TENSOR_H_

#include <algorithm>
#include <memory>

#include "absl/types/span.h"
#include "base/check.h"
#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace halftone {

class Tensor {
 public:
  Tensor() = default;  // no elements, no device: defined() is false

  static Tensor Empty(Device& device, DType dtype, Shape shape);
  static Tensor Zeros(Device& device, DType dtype, Shape shape);
  // Every element of `shape`, in order.
  template <typename T>
  static Tensor From(Device& device, const Shape& shape, absl::Span<const T> elements) {
    static_assert(kIsDType<T>);
    Tensor t = Empty(device, kDTypeOf<T>, shape);
    HALFTONE_CHECK(static_cast<int64_t>(elements.size()) == t.elements());
    std::copy(elements.begin(), elements.end(), t.data<T>());
    return t;
  }

  bool defined() const { return storage_ != nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t elements() const { return elements_; }
  size_t bytes() const { return static_cast<size_t>(elements_) * SizeOf(dtype_); }
  Device& device() const { return *device_; }

  // For the host, which may read and write until the device is next told to do something with the elements.
  // Waits for the device.
  template <typename T>
  T* data() {
    HALFTONE_CHECK(kIsDType<T> && dtype_ == kDTypeOf<T>);
    return static_cast<T*>(raw());
  }
  template <typename T>
  const T* data() const {
    HALFTONE_CHECK(kIsDType<T> && dtype_ == kDTypeOf<T>);
    return static_cast<const T*>(raw());
  }
  void* raw() {
    if (device_ != nullptr) device_->Synchronize();
    return storage_.get();
  }
  const void* raw() const {
    if (device_ != nullptr) device_->Synchronize();
    return storage_.get();
  }
  template <typename T>
  absl::Span<T> span() {
    return absl::MakeSpan(data<T>(), elements_);
  }
  template <typename T>
  absl::Span<const T> span() const {
    return absl::MakeConstSpan(data<T>(), elements_);
  }

  // For what the device is told to do with the elements. Waits for nothing.
  template <typename T>
  T* device_data() {
    HALFTONE_CHECK(kIsDType<T> && dtype_ == kDTypeOf<T>);
    return static_cast<T*>(storage_.get());
  }
  template <typename T>
  const T* device_data() const {
    HALFTONE_CHECK(kIsDType<T> && dtype_ == kDTypeOf<T>);
    return static_cast<const T*>(storage_.get());
  }
  void* device_raw() { return storage_.get(); }
  const void* device_raw() const { return storage_.get(); }

  // The same elements under another shape of as many elements.
  Tensor Reshape(Shape shape) const;
  // The same values in memory of its own.
  Tensor Clone() const;
  // The same values on another device; on this one the tensor itself.
  Tensor To(Device& device) const;
  // Overwrites the elements with those of a tensor of the same dtype and shape, on any device.
  void CopyFrom(const Tensor& from);
  void FillZero();

 private:
  std::shared_ptr<void> storage_;
  Device* device_ = nullptr;
  Shape shape_;
  int64_t elements_ = 0;
  DType dtype_ = DType::kF32;
};

}  // namespace halftone

#endif  // HALFTONE_TENSOR_TENSOR_H_
