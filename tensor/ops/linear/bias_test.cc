// The kernels beside cuBLASLt's and cuDNN's, run on the host.
#include "tensor/ops/linear/bias_kernels.h"

#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "tensor/cuda/simt/simt.h"
#include "tensor/ops/linear/rounded_sum.h"

namespace halftone::ops {
namespace {

std::unique_ptr<Device> SimtDevice() {
  return std::make_unique<Device>(std::make_unique<simt::SimtAccelerator>(), nullptr);
}

DType Master(DType dtype) { return dtype == DType::kF64 ? DType::kF64 : DType::kF32; }

constexpr DType kDTypes[] = {DType::kF64, DType::kF32, DType::kBF16, DType::kF16};

TEST(BiasKernelsTest, AddsAndRoundsOnce) {
  const auto device = SimtDevice();
  for (const DType dtype : kDTypes) {
    for (const Shape& shape : {Shape{1, 1}, Shape{37, 10}, Shape{2, 3, 5, 64}, Shape{9, 300}}) {
      const Tensor sums = Random(*device, Master(dtype), shape, 1);
      for (const DType bias_dtype : {dtype, DType::kF32}) {
        const Tensor bias = Random(*device, bias_dtype, {shape[-1]}, 2);
        Tensor y = Tensor::Empty(*device, dtype, shape);
        kBiasKernels.add(sums, bias, y);
        const Tensor biases = ToF64(bias), terms = ToF64(sums);
        VisitFloat(dtype, [&](auto type) {
          using T = decltype(type);
          for (int64_t i = 0; i < y.elements(); ++i) {
            const double term = terms.data<double>()[i], added = biases.data<double>()[i % shape[-1]];
            const double sum = dtype == DType::kF64 ? term + added : static_cast<float>(term + added);
            ASSERT_EQ(static_cast<double>(y.data<T>()[i]), static_cast<double>(static_cast<T>(sum))) << i;
          }
        });
      }
    }
  }
}

TEST(BiasKernelsTest, GradientIsTheSumOverAllRows) {
  const auto device = SimtDevice();
  for (const DType dtype : kDTypes) {
    for (const Shape& shape :
         {Shape{1, 1}, Shape{37, 10}, Shape{2, 30, 50, 64}, Shape{900, 300}, Shape{5000, 3}}) {
      const Tensor dy = Random(*device, dtype, shape, 1);
      const int64_t channels = shape[-1], rows = dy.elements() / channels;
      Tensor db = Tensor::Empty(*device, Master(dtype), {channels});
      kBiasKernels.gradient(dy, db);
      Tensor exact = Tensor::Zeros(*device, DType::kF64, {channels}), magnitudes = exact.Clone();
      const Tensor terms = ToF64(dy);
      double *sums = exact.data<double>(), *sizes = magnitudes.data<double>();
      for (int64_t i = 0; i < dy.elements(); ++i) {
        sums[i % channels] += terms.data<double>()[i];
        sizes[i % channels] += std::fabs(terms.data<double>()[i]);
      }
      ExpectRounded(db, exact, magnitudes, rows);
    }
  }
}

}  // namespace
}  // namespace halftone::ops
