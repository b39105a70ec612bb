#include "tensor/ops/linear/linear.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tensor/ops/cast/cast.h"
#include "tensor/ops/linear/implementations.h"
#include "tensor/ops/linear/linear_kernels.h"
#include "tensor/ops/linear/rounded_sum.h"
#include "testing/device.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

constexpr DType kDTypes[] = {DType::kF64, DType::kF32, DType::kBF16, DType::kF16};

// Calls f(problem) for many sizes and every dtype.
template <typename F>
void ForEachProblem(F&& f) {
  struct Size {
    int64_t m, k, n;
  };
  for (const Size& size : std::vector<Size>{{1, 1, 1},
                                            {1, 64, 10},
                                            {2, 3, 5},
                                            {7, 33, 17},
                                            {16, 16, 16},
                                            {31, 100, 1},
                                            {64, 1, 64},
                                            {3, 40, 9},
                                            {5, 1000, 3},
                                            {8, 17, 33},
                                            {128, 64, 10},
                                            {300, 48, 65}}) {
    for (const DType dtype : kDTypes) {
      SCOPED_TRACE(absl::StrCat(NameOf(dtype), " m ", size.m, " k ", size.k, " n ", size.n));
      f(LinearProblem{.dtype = dtype, .m = size.m, .k = size.k, .n = size.n});
    }
  }
}

// Calls f(implementation) for those that compute the problem here.
template <typename F>
void ForEachImplementation(const LinearProblem& problem, F&& f) {
  for (const LinearImplementation& implementation : LinearImplementations()) {
    if (!implementation.supports(problem)) continue;
    SCOPED_TRACE(implementation.name);
    f(implementation);
  }
}

LinearProblem Exact(LinearProblem p) {
  p.dtype = DType::kF64;
  return p;
}

TEST(LinearTest, ForwardIsTheRoundedSum) {
  Device& device = TestDevice();
  ForEachProblem([&](const LinearProblem& p) {
    const Tensor x = Random(device, p.dtype, {p.m, p.k}, 1), w = Random(device, p.dtype, {p.n, p.k}, 2);
    for (const Tensor& bias :
         {Tensor(), Random(device, DType::kF32, {p.n}, 3), Random(device, p.dtype, {p.n}, 4)}) {
      Tensor exact = Tensor::Empty(device, DType::kF64, {p.m, p.n}), magnitudes = exact.Clone();
      const bool has_bias = bias.defined();
      kLinearReference.forward(Exact(p), ToF64(x), ToF64(w), has_bias ? ToF64(bias) : bias, &exact);
      kLinearReference.forward(Exact(p), Magnitude(x), Magnitude(w), has_bias ? Magnitude(bias) : bias,
                               &magnitudes);
      ForEachImplementation(p, [&](const LinearImplementation& implementation) {
        Tensor y = Tensor::Empty(device, p.dtype, {p.m, p.n});
        implementation.forward(p, x, w, bias, &y);
        ExpectRounded(y, exact, magnitudes, p.k + 1);
      });
    }
  });
}

// The kernels of our own, whose tiles and panels differ between instruction sets: inputs and outputs of
// several blocks, and what is left of each.
TEST(LinearTest, OwnKernelsGiveTheRoundedSumOnEveryTarget) {
  Device& device = TestDevice();
  const LinearProblem sizes[] = {{.m = 31, .k = 1050, .n = 133},
                                 {.m = 200, .k = 35, .n = 300},
                                 {.m = 14, .k = 2049, .n = 64},
                                 {.m = 5, .k = 16, .n = 129},
                                 {.m = 130, .k = 64, .n = 32}};
  for (const LinearProblem& size : sizes) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      SCOPED_TRACE(absl::StrCat(NameOf(dtype), " m ", size.m, " k ", size.k, " n ", size.n));
      LinearProblem p = size;
      p.dtype = dtype;
      const Tensor x = Random(device, dtype, {p.m, p.k}, 1), w = Random(device, dtype, {p.n, p.k}, 2);
      const Tensor bias = Random(device, DType::kF32, {p.n}, 3);
      Tensor exact = Tensor::Empty(device, DType::kF64, {p.m, p.n}), magnitudes = exact.Clone();
      kLinearReference.forward(Exact(p), ToF64(x), ToF64(w), ToF64(bias), &exact);
      kLinearReference.forward(Exact(p), Magnitude(x), Magnitude(w), Magnitude(bias), &magnitudes);
      ForEachTarget([&](int64_t) {
        for (const auto* implementation : {&kLinearPanels, &kLinearWidened}) {
          if (!implementation->supports(p)) continue;
          Tensor y = Tensor::Empty(device, dtype, {p.m, p.n});
          implementation->forward(p, x, w, bias, &y);
          ExpectRounded(y, exact, magnitudes, p.k + 1);
        }
      });
    }
  }
}

// Float32 rows beside 16-bit weights: the bits that casts before and after would give.
TEST(LinearTest, RoundsRowsOfFloat32) {
  Device& device = TestDevice();
  ForEachProblem([&](LinearProblem p) {
    if (SizeOf(p.dtype) != 2) return;
    const Tensor x = Random(device, DType::kF32, {p.m, p.k}, 1), w = Random(device, p.dtype, {p.n, p.k}, 2);
    const Tensor bias = Random(device, DType::kF32, {p.n}, 3);
    for (const auto& [wide_x, wide_y] : {std::pair(true, true), {true, false}, {false, true}}) {
      SCOPED_TRACE(absl::StrCat("wide x ", wide_x, " y ", wide_y));
      LinearProblem wide = p;
      wide.wide_x = wide_x;
      wide.wide_y = wide_y;
      const DType y_dtype = wide_y ? DType::kF32 : p.dtype;
      const Tensor given = wide_x ? x : Cast(x, p.dtype);
      ForEachImplementation(wide, [&](const LinearImplementation& implementation) {
        Tensor cast = Tensor::Empty(device, p.dtype, {p.m, p.n}),
               y = Tensor::Empty(device, y_dtype, {p.m, p.n});
        implementation.forward(p, Cast(x, p.dtype), w, bias, &cast);
        implementation.forward(wide, given, w, bias, &y);
        EXPECT_TRUE(SameBits(y, Cast(cast, y_dtype)));
      });
      const Tensor y = LinearForward(given, w, bias, y_dtype);
      EXPECT_EQ(y.dtype(), y_dtype);
      EXPECT_TRUE(SameBits(y, Cast(Cast(y, p.dtype), y_dtype)));
    }
  });
}

TEST(LinearTest, BackwardDataIsTheRoundedSum) {
  Device& device = TestDevice();
  ForEachProblem([&](const LinearProblem& p) {
    const Tensor dy = Random(device, p.dtype, {p.m, p.n}, 1), w = Random(device, p.dtype, {p.n, p.k}, 2);
    Tensor exact = Tensor::Empty(device, DType::kF64, {p.m, p.k}), magnitudes = exact.Clone();
    kLinearReference.backward_data(Exact(p), ToF64(dy), ToF64(w), &exact);
    kLinearReference.backward_data(Exact(p), Magnitude(dy), Magnitude(w), &magnitudes);
    ForEachImplementation(p, [&](const LinearImplementation& implementation) {
      Tensor dx = Tensor::Empty(device, p.dtype, {p.m, p.k});
      implementation.backward_data(p, dy, w, &dx);
      ExpectRounded(dx, exact, magnitudes, p.n);
    });
  });
}

TEST(LinearTest, BackwardWeightsIsTheFloat32Sum) {
  Device& device = TestDevice();
  ForEachProblem([&](const LinearProblem& p) {
    const Tensor x = Random(device, p.dtype, {p.m, p.k}, 1), dy = Random(device, p.dtype, {p.m, p.n}, 2);
    const auto make = [&](DType dtype, bool bias) {
      return WeightGradients{.dw = Tensor::Empty(device, dtype, {p.n, p.k}),
                             .db = bias ? Tensor::Empty(device, dtype, {p.n}) : Tensor()};
    };
    WeightGradients exact = make(DType::kF64, true), magnitudes = make(DType::kF64, true);
    kLinearReference.backward_weights(Exact(p), ToF64(x), ToF64(dy), &exact);
    kLinearReference.backward_weights(Exact(p), Magnitude(x), Magnitude(dy), &magnitudes);
    ForEachImplementation(p, [&](const LinearImplementation& implementation) {
      for (const bool want_bias : {false, true}) {
        WeightGradients grads = make(p.dtype == DType::kF64 ? DType::kF64 : DType::kF32, want_bias);
        implementation.backward_weights(p, x, dy, &grads);
        ExpectRounded(grads.dw, exact.dw, magnitudes.dw, p.m);
        if (want_bias) ExpectRounded(grads.db, exact.db, magnitudes.db, p.m);
      }
    });
  });
}

// The same by the functions themselves, on whatever device.
TEST(LinearTest, EveryDeviceGivesTheRoundedSums) {
  Device& device = TestDevice();
  ForEachProblem([&](const LinearProblem& p) {
    const Tensor x = Random(device, p.dtype, {p.m, p.k}, 1), w = Random(device, p.dtype, {p.n, p.k}, 2);
    const Tensor dy = Random(device, p.dtype, {p.m, p.n}, 3);
    const DType master = p.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    Tensor wide_bias = Random(device, DType::kF32, {p.n}, 4);
    // Where the op may round it, one that this leaves as it is.
    if (device.Kernels<LinearKernels>() != nullptr) wide_bias = Cast(Cast(wide_bias, p.dtype), DType::kF32);
    for (const Tensor& bias : {Tensor(), wide_bias, Random(device, p.dtype, {p.n}, 5)}) {
      Tensor exact = Tensor::Empty(device, DType::kF64, {p.m, p.n}), magnitudes = exact.Clone();
      const bool has_bias = bias.defined();
      kLinearReference.forward(Exact(p), ToF64(x), ToF64(w), has_bias ? ToF64(bias) : bias, &exact);
      kLinearReference.forward(Exact(p), Magnitude(x), Magnitude(w), has_bias ? Magnitude(bias) : bias,
                               &magnitudes);
      ExpectRounded(LinearForward(x, w, bias), exact, magnitudes, p.k + 1);
    }
    Tensor exact = Tensor::Empty(device, DType::kF64, {p.m, p.k}), magnitudes = exact.Clone();
    kLinearReference.backward_data(Exact(p), ToF64(dy), ToF64(w), &exact);
    kLinearReference.backward_data(Exact(p), Magnitude(dy), Magnitude(w), &magnitudes);
    ExpectRounded(LinearBackwardData(dy, w), exact, magnitudes, p.n);
    const auto make = [&] {
      return WeightGradients{.dw = Tensor::Empty(device, DType::kF64, {p.n, p.k}),
                             .db = Tensor::Empty(device, DType::kF64, {p.n})};
    };
    WeightGradients sums = make(), sizes = make();
    kLinearReference.backward_weights(Exact(p), ToF64(x), ToF64(dy), &sums);
    kLinearReference.backward_weights(Exact(p), Magnitude(x), Magnitude(dy), &sizes);
    for (const bool want_bias : {false, true}) {
      const WeightGradients grads = LinearBackwardWeights(x, dy, want_bias);
      EXPECT_EQ(grads.dw.dtype(), master);
      ExpectRounded(grads.dw, sums.dw, sizes.dw, p.m);
      ASSERT_EQ(grads.db.defined(), want_bias);
      if (want_bias) ExpectRounded(grads.db, sums.db, sizes.db, p.m);
    }
  });
}

TEST(LinearTest, WorksOnTheLastDimension) {
  Device& device = TestDevice();
  for (const DType dtype : kDTypes) {
    const Tensor x = Random(device, dtype, {2, 3, 4, 5}, 1), w = Random(device, dtype, {6, 5}, 2);
    const Tensor y = LinearForward(x, w, Tensor());
    ASSERT_EQ(y.shape(), Shape({2, 3, 4, 6}));
    EXPECT_TRUE(SameBits(y.Reshape({24, 6}), LinearForward(x.Reshape({24, 5}), w, Tensor())));
    const Tensor dx = LinearBackwardData(y, w);
    ASSERT_EQ(dx.shape(), x.shape());
    EXPECT_TRUE(SameBits(dx.Reshape({24, 5}), LinearBackwardData(y.Reshape({24, 6}), w)));
    const WeightGradients grads = LinearBackwardWeights(x, y, true);
    const WeightGradients flat = LinearBackwardWeights(x.Reshape({24, 5}), y.Reshape({24, 6}), true);
    EXPECT_EQ(grads.dw.shape(), w.shape());
    EXPECT_TRUE(SameBits(grads.dw, flat.dw));
    EXPECT_TRUE(SameBits(grads.db, flat.db));
    EXPECT_EQ(LinearForward(Random(device, dtype, {5}, 3), w, Tensor()).shape(), Shape({6}));
  }
}

TEST(LinearTest, RepeatsItsBits) {
  Device& device = TestDevice();
  // The last two tempt a library to split the sum among threads.
  for (const Shape& shape :
       {Shape{128, 512, 10}, Shape{256, 96, 200}, Shape{8, 4096, 8}, Shape{4096, 16, 16}}) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      SCOPED_TRACE(absl::StrCat(NameOf(dtype), " ", shape.ToString()));
      const Tensor x = Random(device, dtype, {shape[0], shape[1]}, 1);
      const Tensor w = Random(device, dtype, {shape[2], shape[1]}, 2);
      const Tensor y = LinearForward(x, w, Tensor()), dx = LinearBackwardData(y, w);
      const WeightGradients grads = LinearBackwardWeights(x, y, true);
      for (int run = 0; run < 5; ++run) {
        ASSERT_TRUE(SameBits(LinearForward(x, w, Tensor()), y));
        ASSERT_TRUE(SameBits(LinearBackwardData(y, w), dx));
        const WeightGradients again = LinearBackwardWeights(x, y, true);
        ASSERT_TRUE(SameBits(again.dw, grads.dw));
        ASSERT_TRUE(SameBits(again.db, grads.db));
      }
    }
  }
}

TEST(LinearTest, TakesNothingFromTheSystemWhenWarm) {
  Device& device = TestDevice();
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Tensor x = Random(device, dtype, {64, 96}, 1), w = Random(device, dtype, {80, 96}, 2);
    const auto step = [&] {
      const Tensor y = LinearForward(x, w, Tensor());
      LinearBackwardData(y, w);
      LinearBackwardWeights(x, y, true);
    };
    step();
    const AllocatorStats warm = device.allocator().stats();
    step();
    EXPECT_EQ(device.allocator().stats().system_allocations, warm.system_allocations) << NameOf(dtype);
    EXPECT_EQ(device.allocator().stats().live_bytes, warm.live_bytes) << NameOf(dtype);
  }
}

TEST(LinearTest, AnEmptyBatchGivesZeroGradients) {
  Device& device = TestDevice();
  for (const DType dtype : kDTypes) {
    const Tensor x = Tensor::Empty(device, dtype, {0, 3}), w = Random(device, dtype, {2, 3}, 1);
    const Tensor y = LinearForward(x, w, Tensor());
    EXPECT_EQ(y.shape(), Shape({0, 2}));
    EXPECT_EQ(LinearBackwardData(y, w).shape(), x.shape());
    const WeightGradients grads = LinearBackwardWeights(x, y, true);
    EXPECT_TRUE(SameBits(grads.dw, Tensor::Zeros(device, grads.dw.dtype(), {2, 3})));
    EXPECT_TRUE(SameBits(grads.db, Tensor::Zeros(device, grads.db.dtype(), {2})));
  }
}

TEST(LinearDeathTest, ShapesMustFit) {
  Device& device = TestDevice();
  const Tensor x = Tensor::Zeros(device, DType::kF32, {4, 3}), w = Tensor::Zeros(device, DType::kF32, {2, 4});
  EXPECT_DEATH(LinearForward(x, w, Tensor()), "check failed");
}

}  // namespace
}  // namespace halftone::ops
