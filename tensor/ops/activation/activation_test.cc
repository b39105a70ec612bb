#include "tensor/ops/activation/activation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tensor/ops/activation/activation_device_kernels.h"
#include "tensor/ops/activation/activation_implementations.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

// Once on an accelerator, which has no instruction sets to choose from.
void ForEachTargetOf(const Device& device, absl::FunctionRef<void(int64_t target)> body) {
  if (device.accelerator() != nullptr) return body(0);
  ForEachTarget(body);
}

// The learned number at its start; undefined where there is none.
Tensor LearnedOf(Device& device, const Activation& activation, DType dtype = DType::kF32) {
  if (!activation.learned.has_value()) return Tensor();
  return FromDoubles(device, dtype, {1}, {*activation.learned});
}

struct Result {
  Tensor y, dx;
};

Result RunBoth(const Activation& activation, const Tensor& x, const Tensor& dy, const Tensor& learned) {
  Tensor y = ActivationForward(activation, x, learned);
  return {y, ActivationBackward(activation, activation.saves_output ? y : x, dy, learned)};
}

// Every value of a dtype of 16 bits that is finite; of float32 a part of them, of every exponent.
std::vector<double> Finite(DType dtype) {
  std::vector<double> values;
  VisitFloat(dtype, [&](auto type) {
    using T = decltype(type);
    if constexpr (!std::is_same_v<T, double>) {
      using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t>;
      const uint64_t step = sizeof(T) == 2 ? 1 : 10007, end = uint64_t{1} << (8 * sizeof(T));
      for (uint64_t bits = 0; bits < end; bits += step) {
        const double value = std::bit_cast<T>(static_cast<Bits>(bits));
        if (std::isfinite(value)) values.push_back(value);
      }
    }
  });
  return values;
}

// One unit in the last place of a value rounded to the dtype.
double UnitOf(DType dtype, double value) {
  const int smallest = dtype == DType::kF16 ? -14 : -96;
  const int exponent = value == 0 ? smallest : std::max(std::ilogb(value), smallest);
  return std::ldexp(EpsilonOf(dtype), exponent);
}

double ColumnOf(const ActivationErrors& errors, DType dtype) {
  return dtype == DType::kF32 ? errors.f32 : dtype == DType::kF16 ? errors.f16 : errors.bf16;
}

TEST(ActivationTest, FoundByName) {
  for (const Activation& activation : Activations()) EXPECT_EQ(FindActivation(activation.name), &activation);
  EXPECT_EQ(FindActivation("none such"), nullptr);
}

TEST(ActivationTest, EveryRowHasVectorCode) {
  ForEachTarget([&](int64_t) {
    for (const Activation& activation : Activations()) {
      EXPECT_TRUE(ActivationImplementations().front().supports(activation, DType::kF16)) << activation.name;
    }
  });
}

TEST(ActivationTest, EveryRowHasKernelsOfTheDevice) {
  const auto* kernels = TestDevice().Kernels<ActivationDeviceKernels>();
  if (kernels == nullptr) GTEST_SKIP() << "the device is the CPU";
  for (const Activation& activation : Activations())
    EXPECT_TRUE(kernels->supports(activation)) << activation.name;
}

TEST(ActivationTest, ARowOutsideOfTheTableIsEnough) {
  Device& device = TestDevice();
  const Activation square = {.name = "square",
                             .formula = "x^2",
                             .f = [](double x, double) { return x * x; },
                             .df = [](double x, double) { return 2 * x; }};
  const Tensor x = FromDoubles(device, DType::kF16, {3}, {1, -2, 3}), dy = ActivationForward(square, x);
  EXPECT_EQ(ToDoubles(dy), (std::vector<double>{1, 4, 9}));
  EXPECT_EQ(ToDoubles(ActivationBackward(square, x, dy)), (std::vector<double>{2, -16, 54}));
}

// PyTorch's values in double precision, at kinks, in between and far out.
TEST(ActivationTest, Golden) {
  Device& device = TestDevice();
  std::ifstream file("tensor/ops/activation/testdata/activations.json");
  const nlohmann::json goldens = nlohmann::json::parse(file);
  const auto x = goldens["x"].get<std::vector<double>>();
  const Shape shape = {static_cast<int64_t>(x.size())};
  for (const Activation& activation : Activations()) {
    SCOPED_TRACE(std::string(activation.name));
    const auto read = [&](const char* suffix) {
      return goldens[absl::StrCat(activation.name, suffix)].get<std::vector<double>>();
    };
    const std::vector<double> golden_y = read(""), golden_dx = read("_grad");
    for (const DType dtype : {DType::kF64, DType::kF32}) {
      const Tensor learned = LearnedOf(device, activation, dtype), tx = FromDoubles(device, dtype, shape, x);
      const Tensor ones = FromDoubles(device, dtype, shape, std::vector<double>(x.size(), 1));
      const Result result = RunBoth(activation, tx, ones, learned);
      const std::vector<double> y = ToDoubles(result.y), dx = ToDoubles(result.dx);
      const double tolerance = dtype == DType::kF64 ? 5e-9 : 1e-6;
      for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_NEAR(y[i], golden_y[i], tolerance * std::max(1.0, std::abs(golden_y[i]))) << x[i];
        EXPECT_NEAR(dx[i], golden_dx[i], tolerance) << x[i];
      }
      if (!activation.df_da) continue;
      const std::vector<double> golden_learned = read("_grad_weight");
      for (size_t i = 0; i < x.size(); ++i) {
        const Tensor xi = FromDoubles(device, dtype, {1}, {x[i]}), one = FromDoubles(device, dtype, {1}, {1});
        EXPECT_NEAR(ToDoubles(ActivationBackwardLearned(activation, xi, one, learned))[0], golden_learned[i],
                    tolerance * std::max(1.0, std::abs(golden_learned[i])));
      }
    }
  }
}

// The columns `error` and `gradient_error` of the table.
TEST(ActivationTest, ErrorsAreWithinThePromise) {
  Device& device = TestDevice();
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    const std::vector<double> xs = Finite(dtype);
    const auto n = static_cast<int64_t>(xs.size());
    const Tensor x = FromDoubles(device, dtype, {n}, xs), dy = RandomTensor(device, dtype, {n}, 1);
    const std::vector<double> dys = ToDoubles(dy);
    for (const Activation& activation : Activations()) {
      const Tensor learned = LearnedOf(device, activation);
      const double a = activation.learned.value_or(0);
      std::vector<double> exact_y(n), exact_slope(n);
      for (int64_t i = 0; i < n; ++i) {
        exact_y[i] = activation.f(xs[i], a);
        exact_slope[i] = activation.df(activation.saves_output ? exact_y[i] : xs[i], a);
      }
      ForEachTargetOf(device, [&](int64_t target) {
        const Result result = RunBoth(activation, x, dy, learned);
        const std::vector<double> y = ToDoubles(result.y), dx = ToDoubles(result.dx);
        double error = 0, gradient_error = 0, at = 0, gradient_at = 0;
        const double smallest = dtype == DType::kF16 ? 0x1p-24 : 0x1p-149;
        for (int64_t i = 0; i < n; ++i) {
          const double e = std::abs(y[i] - exact_y[i]) / UnitOf(dtype, exact_y[i]);
          if (!(e <= error)) error = e, at = xs[i];
          const double unit = std::max(EpsilonOf(dtype) * std::abs(dys[i]), smallest);
          const double g = std::abs(dx[i] - dys[i] * exact_slope[i]) / unit;
          if (!(g <= gradient_error)) gradient_error = g, gradient_at = xs[i];
        }
        EXPECT_LE(error, ColumnOf(activation.error, dtype))
            << activation.name << " " << hwy::TargetName(target) << " " << NameOf(dtype) << " at " << at;
        EXPECT_LE(gradient_error, ColumnOf(activation.gradient_error, dtype))
            << activation.name << " " << hwy::TargetName(target) << " " << NameOf(dtype) << " at "
            << gradient_at;
      });
    }
  }
}

// Any number of elements: the bits that each has by itself.
TEST(ActivationTest, WhatIsLeftOfAVectorHasTheSameBits) {
  Device& device = TestDevice();
  ForEachTargetOf(device, [&](int64_t target) {
    for (const Activation& activation : Activations()) {
      const Tensor learned = LearnedOf(device, activation);
      for (const DType dtype : kFloatDTypes) {
        SCOPED_TRACE(absl::StrCat(activation.name, " ", hwy::TargetName(target), " ", NameOf(dtype)));
        const int64_t all = 96;  // whole vectors
        const Tensor x = RandomTensor(device, dtype, {all}, 1), dy = RandomTensor(device, dtype, {all}, 2);
        const Result whole = RunBoth(activation, x, dy, learned);
        const std::vector<double> y = ToDoubles(whole.y), dx = ToDoubles(whole.dx);
        const std::vector<double> xs = ToDoubles(x), dys = ToDoubles(dy);
        const auto first = [](const std::vector<double>& v, int64_t n) {
          return std::vector<double>(v.begin(), v.begin() + n);
        };
        for (int64_t n = 0; n <= 70; ++n) {
          const Result part = RunBoth(activation, FromDoubles(device, dtype, {n}, first(xs, n)),
                                      FromDoubles(device, dtype, {n}, first(dys, n)), learned);
          EXPECT_EQ(ToDoubles(part.y), first(y, n)) << n;
          EXPECT_EQ(ToDoubles(part.dx), first(dx, n)) << n;
        }
      }
    }
  });
}

TEST(ActivationTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  for (const Activation& activation : Activations()) {
    const Tensor x = RandomTensor(device, DType::kBF16, {100003}, 1),
                 dy = RandomTensor(device, DType::kBF16, {100003}, 2),
                 learned = LearnedOf(device, activation);
    const Result one = RunBoth(activation, x, dy, learned);
    Tensor one_learned;
    if (learned.defined()) one_learned = ActivationBackwardLearned(activation, x, dy, learned);
    ForEachThreadCount([&](int) {
      const Result result = RunBoth(activation, x, dy, learned);
      EXPECT_TRUE(SameBits(result.y, one.y));
      EXPECT_TRUE(SameBits(result.dx, one.dx));
      if (!learned.defined()) return;
      EXPECT_TRUE(SameBits(ActivationBackwardLearned(activation, x, dy, learned), one_learned));
    });
  }
}

TEST(ActivationTest, GradientsAreThoseOfFiniteDifferences) {
  Device& device = TestDevice();
  for (const Activation& activation : Activations()) {
    const Tensor x = RandomTensor(device, DType::kF64, {50}, 1),
                 weights = RandomTensor(device, DType::kF64, {50}, 2);
    Tensor learned = LearnedOf(device, activation, DType::kF64);
    const auto loss = [&] { return WeightedSum(ActivationForward(activation, x, learned), weights); };
    const Tensor saved = activation.saves_output ? ActivationForward(activation, x, learned) : x;
    const Tensor dx = ActivationBackward(activation, saved, weights, learned);
    EXPECT_LT(Distance(dx, NumericalGradient(loss, x)), 1e-8) << activation.name;
    if (!learned.defined()) continue;
    const Tensor da = ActivationBackwardLearned(activation, saved, weights, learned);
    EXPECT_LT(Distance(da, NumericalGradient(loss, learned)), 1e-8) << activation.name;
  }
}

// Sums of positive numbers, so that the relative error is that of the summation.
TEST(ActivationTest, TheGradientOfALearnedNumberIsSummedPrecisely) {
  Device& device = TestDevice();
  ForEachTargetOf(device, [&](int64_t target) {
    for (const Activation& activation : Activations()) {
      if (!activation.learned.has_value()) continue;
      const Tensor learned = LearnedOf(device, activation);
      for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
        for (const int64_t n : {0, 1, 5, 70, 1023, 1025, 100003}) {
          const Tensor dy = RandomTensor(device, dtype, {n}, 1);
          double exact = 0;
          for (const double v : ToDoubles(dy)) exact += v * activation.df_da(v, *activation.learned);
          const Tensor da = ActivationBackwardLearned(activation, dy, dy, learned);
          EXPECT_EQ(da.dtype(), DType::kF32);
          EXPECT_NEAR(ToDoubles(da)[0], exact, 1e-6 * exact)
              << activation.name << " " << hwy::TargetName(target) << " " << NameOf(dtype) << " " << n;
        }
      }
    }
  });
}

// A NaN stays one; infinities, the largest numbers and the smallest give the limits, never NaN.
TEST(ActivationTest, BeyondNumbers) {
  Device& device = TestDevice();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  ForEachTargetOf(device, [&](int64_t target) {
    for (const Activation& activation : Activations()) {
      const Tensor learned = LearnedOf(device, activation);
      for (const DType dtype : kFloatDTypes) {
        SCOPED_TRACE(absl::StrCat(activation.name, " ", hwy::TargetName(target), " ", NameOf(dtype)));
        const double largest =
            VisitFloat(dtype, [](auto t) { return double{std::numeric_limits<decltype(t)>::max()}; });
        const std::vector<double> xs = {-kInfinity, -largest, -1000, -0.0, 0, 1000, largest, kInfinity, NAN};
        const Tensor x = FromDoubles(device, dtype, {9}, xs);
        const Tensor ones = FromDoubles(device, dtype, {9}, std::vector<double>(9, 1));
        const Result result = RunBoth(activation, x, ones, learned);
        const std::vector<double> y = ToDoubles(result.y), dx = ToDoubles(result.dx);
        for (size_t i = 0; i < xs.size(); ++i) {
          const double a = activation.learned.value_or(0), f = activation.f(xs[i], a);
          const double slope = activation.df(activation.saves_output ? f : xs[i], a);
          if (std::isfinite(f)) {
            EXPECT_NEAR(y[i], f, EpsilonOf(dtype) * std::abs(f)) << xs[i];
          } else {
            EXPECT_TRUE(y[i] == f || (std::isnan(y[i]) && std::isnan(f))) << xs[i];
          }
          if (!std::isnan(xs[i])) {
            EXPECT_NEAR(dx[i], slope, EpsilonOf(dtype)) << xs[i];
          }
        }
        EXPECT_FALSE(std::isnan(y[0]));
        EXPECT_TRUE(std::isnan(y.back()));
      }
    }
  });
}

// Whatever its mantissa.
TEST(ActivationTest, EveryNanStays) {
  Device& device = TestDevice();
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    Tensor x = Tensor::Zeros(device, dtype, {1 << 16});
    auto* codes = static_cast<uint16_t*>(x.raw());
    const int infinity = dtype == DType::kF16 ? 0x7c00 : 0x7f80;
    for (int i = 0; i < 1 << 16; ++i) {
      codes[i] = static_cast<uint16_t>((i & 0x7fff) > infinity ? i : infinity + 1);
    }
    const Tensor ones = FromDoubles(device, dtype, x.shape(), std::vector<double>(1 << 16, 1));
    ForEachTargetOf(device, [&](int64_t target) {
      for (const Activation& activation : Activations()) {
        const Tensor learned = LearnedOf(device, activation);
        const std::vector<double> y = ToDoubles(ActivationForward(activation, x, learned));
        // At x = 1 no slope is 0.
        const std::vector<double> dx = ToDoubles(RunBoth(activation, ones, x, learned).dx);
        const auto nans = [](const std::vector<double>& v) {
          return std::count_if(v.begin(), v.end(), [](double e) { return std::isnan(e); });
        };
        EXPECT_EQ(nans(y), 1 << 16) << activation.name << " " << hwy::TargetName(target);
        EXPECT_EQ(nans(dx), 1 << 16) << activation.name << " " << hwy::TargetName(target);
      }
    });
  }
}

TEST(ActivationTest, WhereTheSlopeIsZeroSoIsTheGradient) {
  Device& device = TestDevice();
  for (const DType dtype : kFloatDTypes) {
    const Tensor x = FromDoubles(device, dtype, {5}, {-1, 0, -0.0, INFINITY, NAN});
    const Tensor dy = FromDoubles(device, dtype, {5}, {INFINITY, 2, 3, 4, 5});
    const Result result = RunBoth(*FindActivation("relu"), x, dy, Tensor());
    EXPECT_EQ(Distance(ToDoubles(result.y), {0, 0, 0, INFINITY, NAN}), 0);
    EXPECT_EQ(ToDoubles(result.dx), (std::vector<double>{0, 0, 0, 4, 5})) << NameOf(dtype);
  }
}

}  // namespace
}  // namespace halftone::ops
