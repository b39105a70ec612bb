// For tests of ops that are sums of products: random tensors, and a matcher for sums in float32 rounded once.
#ifndef HALFTONE_TENSOR_OPS_LINEAR_ROUNDED_SUM_H_
#define HALFTONE_TENSOR_OPS_LINEAR_ROUNDED_SUM_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/philox.h"
#include "gtest/gtest.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace halftone::ops {

inline Tensor Random(Device& device, DType dtype, const Shape& shape, uint32_t stream) {
  const Rng rng = Rng(1).Stream(stream);
  Tensor t = Tensor::Empty(device, dtype, shape);
  VisitFloat(dtype, [&](auto type) {
    auto elements = t.span<decltype(type)>();
    for (size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<decltype(type)>(rng.Normal(i));
  });
  return t;
}

// f of every element, in float64.
template <typename F>
inline Tensor Map(const Tensor& t, F&& f) {
  Tensor result = Tensor::Empty(t.device(), DType::kF64, t.shape());
  VisitFloat(t.dtype(), [&](auto type) {
    const auto from = t.span<decltype(type)>();
    for (size_t i = 0; i < from.size(); ++i) result.data<double>()[i] = f(static_cast<double>(from[i]));
  });
  return result;
}
inline Tensor ToF64(const Tensor& t) {
  return Map(t, [](double v) { return v; });
}
inline Tensor Magnitude(const Tensor& t) {
  return Map(t, [](double v) { return std::fabs(v); });
}

// A sum of `terms` products in float32, in whatever order, is off by at most terms 2^-24 times the sum of the
// magnitudes (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); to first order, hence
// the 1.01. Rounding to the result's type is monotonic, so the result lies between the rounded ends of that
// interval.
inline void ExpectRounded(const Tensor& actual, const Tensor& exact, const Tensor& magnitudes,
                          int64_t terms) {
  ASSERT_EQ(actual.shape(), exact.shape());
  VisitFloat(actual.dtype(), [&](auto type) {
    using T = decltype(type);
    const double unit = actual.dtype() == DType::kF64 ? 0x1p-53 : 0x1p-24;
    for (int64_t i = 0; i < actual.elements(); ++i) {
      const double center = exact.data<double>()[i];
      const double slack = 1.01 * unit * static_cast<double>(terms + 1) * magnitudes.data<double>()[i];
      const double got = static_cast<double>(actual.data<T>()[i]);
      ASSERT_GE(got, static_cast<double>(static_cast<T>(center - slack)))
          << "element " << i << " of " << center;
      ASSERT_LE(got, static_cast<double>(static_cast<T>(center + slack)))
          << "element " << i << " of " << center;
    }
  });
}

inline bool SameBits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_ROUNDED_SUM_H_
