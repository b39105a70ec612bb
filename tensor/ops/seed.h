// What the gradient of a loss is multiplied with: mixed precision's loss scale, and what else stands behind
// the loss.
#ifndef HALFTONE_TENSOR_OPS_SEED_H_
#define HALFTONE_TENSOR_OPS_SEED_H_

#include <utility>

#include "tensor/tensor.h"

namespace halftone::ops {

// A number, or a scalar tensor (f32 or f64) on the loss's device, which is not waited for.
class Seed {
 public:
  Seed(double number) : number_(number) {}            // NOLINT(google-explicit-constructor)
  Seed(Tensor scalar) : scalar_(std::move(scalar)) {  // NOLINT(google-explicit-constructor)
    HALFTONE_CHECK(scalar_.elements() == 1 &&
                   (scalar_.dtype() == DType::kF32 || scalar_.dtype() == DType::kF64));
  }

  // Waits for the device if it must.
  double value() const {
    if (!scalar_.defined()) return number_;
    return scalar_.dtype() == DType::kF64 ? *scalar_.data<double>() : *scalar_.data<float>();
  }

  // value() * factor / divisor, computed where it is wanted: for kernels.
  struct OnDevice {
    const float* f32;   // null: not there
    const double* f64;  // likewise
    double number, factor, divisor;

    constexpr double operator()() const {
      return factor * (f32 != nullptr ? *f32 : f64 != nullptr ? *f64 : number) / divisor;
    }
  };
  OnDevice Scaled(double factor, double divisor) const {
    const bool defined = scalar_.defined(), is64 = defined && scalar_.dtype() == DType::kF64;
    return {.f32 = defined && !is64 ? scalar_.device_data<float>() : nullptr,
            .f64 = is64 ? scalar_.device_data<double>() : nullptr,
            .number = number_,
            .factor = factor,
            .divisor = divisor};
  }

 private:
  double number_ = 0;
  Tensor scalar_;
};

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_SEED_H_
