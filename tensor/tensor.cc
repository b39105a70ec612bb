#include "tensor/tensor.h"

#include <cstring>
#include <utility>

namespace halftone {

Tensor Tensor::Empty(Device& device, DType dtype, Shape shape) {
  Tensor t;
  t.device_ = &device;
  t.dtype_ = dtype;
  t.elements_ = shape.elements();
  t.shape_ = std::move(shape);
  CachingAllocator& allocator = device.allocator();
  t.storage_ =
      std::shared_ptr<void>(allocator.Allocate(t.bytes()), [&allocator](void* p) { allocator.Free(p); });
  return t;
}

Tensor Tensor::Zeros(Device& device, DType dtype, Shape shape) {
  Tensor t = Empty(device, dtype, std::move(shape));
  t.FillZero();
  return t;
}

Tensor Tensor::Reshape(Shape shape) const {
  HALFTONE_CHECK(shape.elements() == elements_);
  Tensor t = *this;
  t.shape_ = std::move(shape);
  return t;
}

Tensor Tensor::Clone() const {
  Tensor t = Empty(*device_, dtype_, shape_);
  t.CopyFrom(*this);
  return t;
}

Tensor Tensor::To(Device& device) const {
  if (&device == device_) return *this;
  Tensor t = Empty(device, dtype_, shape_);
  t.CopyFrom(*this);
  return t;
}

void Tensor::CopyFrom(const Tensor& from) {
  HALFTONE_CHECK(from.dtype_ == dtype_ && from.shape_ == shape_);
  Accelerator* const accelerator = device_->accelerator();
  if (accelerator == nullptr) {
    std::memcpy(raw(), from.raw(), bytes());
  } else if (from.device_ == device_) {
    accelerator->Copy(device_raw(), from.device_raw(), bytes());
  } else {
    accelerator->CopyFromHost(device_raw(), from.raw(), bytes());
  }
}

void Tensor::FillZero() {
  if (Accelerator* const accelerator = device_->accelerator()) {
    accelerator->FillZero(device_raw(), bytes());
  } else {
    std::memset(raw(), 0, bytes());
  }
}

}  // namespace halftone
