#include "tensor/ops/linear/float8.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "quant/scaled.h"
#include "tensor/ops/linear/float8_kernels.h"
#include "tensor/ops/linear/linear.h"
#include "tensor/ops/linear/rounded_sum.h"
#include "testing/device.h"

namespace halftone::ops {
namespace {

// Values of the format times the scale.
Factor RandomFactor(const FloatFormat& format, float scale, const Shape& shape, uint32_t stream) {
  Device& device = TestDevice();
  Tensor values = Random(device, DType::kF32, shape, stream);
  // Some beyond the format's range, some that become 0.
  for (int64_t i = 0; i < values.elements(); i += 7)
    values.data<float>()[i] *= std::ldexp(1.0f, static_cast<int>(i % 41) - 20);
  Tensor rounded = Tensor::Empty(device, DType::kF32, shape);
  FakeQuantize(format, std::as_const(values).span<float>(), {&scale, 1}, Rounding::kNearestEven,
               rounded.span<float>());
  return {rounded, Float8{format, Tensor::From<float>(device, {1}, {&scale, 1})}};
}

struct Case {
  FloatFormat a, b;
  int64_t m, k, n;
};

class Float8LinearTest : public ::testing::TestWithParam<Case> {
 protected:
  // What the device multiplies: with a GPU that has no 8-bit floats, there is nothing to test.
  void SetUp() override {
    if (TestDevice().Kernels<Float8LinearKernels>() == nullptr) GTEST_SKIP() << "no 8-bit floats";
  }
};

void ExpectSums(const Tensor& actual, const Tensor& exact, const Tensor& largest, int64_t terms) {
  ASSERT_EQ(actual.dtype(), DType::kF32);
  ASSERT_EQ(actual.shape(), exact.shape());
  // Tensor cores keep fewer bits of each term than float32 has: Hopper's 8-bit products cut what is below
  // 2^-13 or so of the largest.
  for (int64_t i = 0; i < actual.elements(); ++i) {
    const double slack = 0x1p-12 * static_cast<double>(terms + 2) * largest.data<double>()[i] + 1e-30;
    ASSERT_NEAR(std::as_const(actual).data<float>()[i], exact.data<double>()[i], slack) << "element " << i;
  }
}

// a [m, k] b [n, k]^T in float64, from either orientation; or the magnitude of each sum's largest term.
Tensor Sums(const Tensor& a, bool inner_first_a, const Tensor& b, bool inner_first_b, bool largest) {
  const auto f = [&](const Tensor& t) { return (largest ? Magnitude(t) : ToF64(t)).To(TestDevice().host()); };
  const Tensor as = f(a), bs = f(b);
  const int64_t m = as.shape()[inner_first_a ? 1 : 0], n = bs.shape()[inner_first_b ? 1 : 0];
  const int64_t k = as.shape()[inner_first_a ? 0 : 1];
  Tensor c = Tensor::Zeros(TestDevice().host(), DType::kF64, {m, n});
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t t = 0; t < k; ++t) {
        const double term = as.data<double>()[inner_first_a ? t * m + i : i * k + t] *
                            bs.data<double>()[inner_first_b ? t * n + j : j * k + t];
        double& sum = c.data<double>()[i * n + j];
        sum = largest ? std::max(sum, term) : sum + term;
      }
  return c;
}

TEST_P(Float8LinearTest, GivesTheSums) {
  const Case& p = GetParam();
  const Factor x = RandomFactor(p.a, 0.37f, {p.m, p.k}, 1), w = RandomFactor(p.b, 0.0021f, {p.n, p.k}, 2);
  const Factor dy = RandomFactor(p.b, 3.1f, {p.m, p.n}, 3);
  const bool has_kernels = p.m % 16 == 0 && p.k % 16 == 0 && p.n % 16 == 0;
  Tensor y = Tensor::Empty(TestDevice(), DType::kF32, {p.m, p.n});
  ASSERT_EQ(TestDevice().Kernels<Float8LinearKernels>()->forward(x, w, Tensor(), y), has_kernels);

  ExpectSums(LinearForward(x, w, Tensor(), DType::kF32), Sums(x.values, false, w.values, false, false),
             Sums(x.values, false, w.values, false, true), p.k);
  ExpectSums(LinearBackwardData(dy, {Random(TestDevice(), DType::kF32, {p.n, p.k}, 4)}),
             Sums(dy.values, false, Random(TestDevice(), DType::kF32, {p.n, p.k}, 4), true, false),
             Sums(dy.values, false, Random(TestDevice(), DType::kF32, {p.n, p.k}, 4), true, true), p.n);
  const Factor v = RandomFactor(p.a, 0.5f, {p.n, p.k}, 5);
  ExpectSums(LinearBackwardData(dy, v), Sums(dy.values, false, v.values, true, false),
             Sums(dy.values, false, v.values, true, true), p.n);
  const WeightGradients grads = LinearBackwardWeights(x, dy, true);
  ExpectSums(grads.dw, Sums(dy.values, true, x.values, true, false),
             Sums(dy.values, true, x.values, true, true), p.m);
  const WeightGradients plain = LinearBackwardWeights(x.values, dy.values, true);
  for (int64_t i = 0; i < p.n; ++i)
    EXPECT_NEAR(grads.db.data<float>()[i], plain.db.data<float>()[i],
                1e-4 * std::fabs(plain.db.data<float>()[i]));
}

TEST_P(Float8LinearTest, AddsTheBias) {
  const Case& p = GetParam();
  const Factor x = RandomFactor(p.a, 1, {p.m, p.k}, 1), w = RandomFactor(p.b, 1, {p.n, p.k}, 2);
  const Tensor bias = Random(TestDevice(), DType::kF32, {p.n}, 3);
  const Tensor with = LinearForward(x, w, bias, DType::kF32),
               without = LinearForward(x, w, Tensor(), DType::kF32);
  for (int64_t i = 0; i < with.elements(); ++i) {
    const double sum = std::as_const(without).data<float>()[i],
                 b = std::as_const(bias).data<float>()[i % p.n];
    EXPECT_NEAR(std::as_const(with).data<float>()[i], sum + b, 1e-5 * (std::fabs(sum) + std::fabs(b)));
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Float8LinearTest,
                         ::testing::Values(Case{kFloat8E4m3fn, kFloat8E4m3fn, 16, 32, 48},
                                           Case{kFloat8E4m3fn, kFloat8E5m2, 32, 16, 16},
                                           Case{kFloat8E5m2, kFloat8E4m3fn, 48, 64, 16},
                                           Case{kFloat8E4m3fn, kFloat8E4m3fn, 5, 32, 48},
                                           Case{kFloat8E4m3fn, kFloat8E5m2, 16, 20, 48}),
                         [](const auto& info) {
                           return absl::StrCat(std::string(info.param.a.name), "_",
                                               std::string(info.param.b.name), "_", info.param.m, "x",
                                               info.param.k, "x", info.param.n);
                         });

TEST(Float8LinearKernelsTest, RefusesWhatHardwareDoes) {
  const auto* kernels = TestDevice().Kernels<Float8LinearKernels>();
  if (kernels == nullptr) GTEST_SKIP() << "no 8-bit floats";
  const Factor x = RandomFactor(kFloat8E5m2, 1, {16, 16}, 1), w = RandomFactor(kFloat8E5m2, 1, {16, 16}, 2);
  Tensor y = Tensor::Empty(TestDevice(), DType::kF32, {16, 16});
  EXPECT_FALSE(kernels->forward(x, w, Tensor(), y));
}

// What is not finite stays so.
TEST(Float8LinearKernelsTest, InfinitiesAndNaNsArrive) {
  if (TestDevice().Kernels<Float8LinearKernels>() == nullptr) GTEST_SKIP() << "no 8-bit floats";
  for (const float wrong : {HUGE_VALF, -HUGE_VALF, NAN}) {
    for (const FloatFormat& format : {kFloat8E4m3fn, kFloat8E5m2}) {
      Factor x = RandomFactor(format, 1, {16, 16}, 1);
      const Factor w = RandomFactor(kFloat8E4m3fn, 1, {16, 16}, 2);
      x.values.data<float>()[3 * 16 + 5] = wrong;
      const Tensor y = LinearForward(x, w, Tensor(), DType::kF32);
      for (int64_t i = 0; i < y.elements(); ++i)
        EXPECT_EQ(std::isfinite(std::as_const(y).data<float>()[i]), i / 16 != 3) << i;
    }
  }
}

}  // namespace
}  // namespace halftone::ops
