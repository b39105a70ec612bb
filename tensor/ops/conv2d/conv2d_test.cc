#include "tensor/ops/conv2d/conv2d.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/parallel.h"
#include "gtest/gtest.h"
#include "tensor/ops/conv2d/implementations.h"
#include "tensor/ops/linear/rounded_sum.h"
#include "testing/device.h"

namespace halftone::ops {
namespace {

struct Case {
  Shape x, w;
  Conv2dOptions options;
};

std::vector<Case> Cases() {
  return {
      {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
      {{1, 5, 7, 3}, {5, 3, 3, 3}, {}},
      {{2, 8, 8, 3}, {16, 3, 3, 3}, {.padding = 1}},
      {{3, 7, 7, 16}, {32, 16, 3, 3}, {.padding = 1}},
      {{9, 4, 4, 32}, {48, 32, 3, 3}, {.padding = 1}},
      {{2, 9, 6, 8}, {7, 8, 3, 3}, {.stride = 2, .padding = 1}},
      {{2, 8, 8, 16}, {16, 16, 3, 3}, {.stride = 2, .padding = 1}},  // the last padding goes unused
      {{2, 6, 6, 16}, {32, 16, 1, 1}, {.stride = 2}},                // so do a row and a column
      {{4, 5, 5, 33}, {17, 33, 1, 1}, {}},
      {{2, 8, 8, 3}, {24, 3, 4, 4}, {.stride = 4}},
      {{2, 9, 9, 3}, {24, 3, 4, 4}, {.stride = 4}},
      {{2, 6, 5, 12}, {8, 6, 3, 3}, {.padding = 1, .groups = 2}},
      {{2, 6, 6, 32}, {32, 16, 3, 3}, {.padding = 1, .groups = 2}},
      {{2, 7, 7, 24}, {24, 1, 3, 3}, {.padding = 1, .groups = 24}},
      {{2, 8, 8, 32}, {32, 1, 3, 3}, {.stride = 2, .padding = 1, .groups = 32}},
      {{2, 6, 6, 5}, {10, 1, 3, 3}, {.padding = 1, .groups = 5}},
      {{2, 9, 9, 4}, {6, 4, 5, 3}, {.padding = 2}},
      {{1, 4, 4, 2}, {3, 2, 3, 3}, {.padding = 3}},
      {{21, 96, 96, 24}, {3, 24, 1, 1}, {}},  // several chunks, the last one smaller
  };
}

std::string Describe(const Case& c) {
  return absl::StrCat("x ", c.x.ToString(), " w ", c.w.ToString(), " stride ", c.options.stride, " padding ",
                      c.options.padding, " groups ", c.options.groups);
}

// Calls f(dtype, case, problem) for all of them.
template <typename F>
void ForEachProblem(F&& f) {
  for (const Case& c : Cases()) {
    for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16}) {
      SCOPED_TRACE(absl::StrCat(NameOf(dtype), " ", Describe(c)));
      f(dtype, c, Conv2dProblem::Of(dtype, c.x, c.w, c.options));
    }
  }
}

// Calls f(implementation) for those that compute the problem here.
template <typename F>
void ForEachImplementation(const Conv2dProblem& problem, F&& f) {
  for (const Conv2dImplementation& implementation : Conv2dImplementations()) {
    if (!implementation.supports(problem)) continue;
    SCOPED_TRACE(implementation.name);
    f(implementation);
  }
}

TEST(Conv2dTest, ForwardIsTheRoundedSum) {
  Device& device = TestDevice();
  ForEachProblem([&](DType dtype, const Case& c, const Conv2dProblem& p) {
    const Tensor x = Random(device, dtype, c.x, 1), w = Random(device, dtype, c.w, 2);
    const Conv2dProblem exact_problem = p.With(DType::kF64, p.n);
    for (const Tensor& bias :
         {Tensor(), Random(device, DType::kF32, {p.o}, 3), Random(device, dtype, {p.o}, 4)}) {
      Tensor exact = Tensor::Empty(device, DType::kF64, p.y_shape()), magnitudes = exact.Clone();
      const bool has_bias = bias.defined();
      kConv2dReference.forward(exact_problem, ToF64(x), ToF64(w), has_bias ? ToF64(bias) : bias, &exact);
      kConv2dReference.forward(exact_problem, Magnitude(x), Magnitude(w), has_bias ? Magnitude(bias) : bias,
                               &magnitudes);
      ForEachImplementation(p, [&](const Conv2dImplementation& implementation) {
        Tensor y = Tensor::Empty(device, dtype, p.y_shape());
        implementation.forward(p, x, w, bias, &y);
        ExpectRounded(y, exact, magnitudes, p.w_shape().elements() / p.o + 1);
      });
      SCOPED_TRACE("on this device");
      ExpectRounded(Conv2dForward(x, w, bias, c.options), exact, magnitudes,
                    p.w_shape().elements() / p.o + 1);
    }
  });
}

TEST(Conv2dTest, BackwardDataIsTheRoundedSum) {
  Device& device = TestDevice();
  ForEachProblem([&](DType dtype, const Case& c, const Conv2dProblem& p) {
    const Tensor dy = Random(device, dtype, p.y_shape(), 1), w = Random(device, dtype, c.w, 2);
    const Conv2dProblem exact_problem = p.With(DType::kF64, p.n);
    Tensor exact = Tensor::Empty(device, DType::kF64, c.x), magnitudes = exact.Clone();
    kConv2dReference.backward_data(exact_problem, ToF64(dy), ToF64(w), &exact);
    kConv2dReference.backward_data(exact_problem, Magnitude(dy), Magnitude(w), &magnitudes);
    ForEachImplementation(p, [&](const Conv2dImplementation& implementation) {
      Tensor dx = Tensor::Empty(device, dtype, c.x);
      implementation.backward_data(p, dy, w, &dx);
      ExpectRounded(dx, exact, magnitudes, p.kh * p.kw * p.o / p.groups);
    });
    SCOPED_TRACE("on this device");
    ExpectRounded(Conv2dBackwardData(dy, w, c.x, c.options), exact, magnitudes, p.kh * p.kw * p.o / p.groups);
  });
}

TEST(Conv2dTest, BackwardWeightsIsTheFloat32Sum) {
  Device& device = TestDevice();
  ForEachProblem([&](DType dtype, const Case& c, const Conv2dProblem& p) {
    const Tensor x = Random(device, dtype, c.x, 1), dy = Random(device, dtype, p.y_shape(), 2);
    const DType master = dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    const auto make = [&](DType type, bool bias) {
      return WeightGradients{.dw = Tensor::Empty(device, type, c.w),
                             .db = bias ? Tensor::Empty(device, type, {p.o}) : Tensor()};
    };
    const Conv2dProblem exact_problem = p.With(DType::kF64, p.n);
    WeightGradients exact = make(DType::kF64, true), magnitudes = make(DType::kF64, true);
    kConv2dReference.backward_weights(exact_problem, ToF64(x), ToF64(dy), &exact);
    kConv2dReference.backward_weights(exact_problem, Magnitude(x), Magnitude(dy), &magnitudes);
    ForEachImplementation(p, [&](const Conv2dImplementation& implementation) {
      for (const bool want_bias : {false, true}) {
        WeightGradients grads = make(master, want_bias);
        implementation.backward_weights(p, x, dy, &grads);
        const int64_t terms = p.n * p.out_h * p.out_w;
        ExpectRounded(grads.dw, exact.dw, magnitudes.dw, terms);
        if (want_bias) ExpectRounded(grads.db, exact.db, magnitudes.db, terms);
      }
    });
    SCOPED_TRACE("on this device");
    const WeightGradients grads = Conv2dBackwardWeights(x, dy, c.w, /*want_bias=*/true, c.options);
    EXPECT_EQ(grads.dw.dtype(), master);
    ExpectRounded(grads.dw, exact.dw, magnitudes.dw, p.n * p.out_h * p.out_w);
    ExpectRounded(grads.db, exact.db, magnitudes.db, p.n * p.out_h * p.out_w);
  });
}

TEST(Conv2dTest, RepeatsItsBits) {
  Device& device = TestDevice();
  for (const Case& c : std::vector<Case>{{{40, 16, 16, 16}, {32, 16, 3, 3}, {.padding = 1}},
                                         {{32, 8, 8, 64}, {96, 64, 3, 3}, {.padding = 1}},
                                         {{32, 8, 8, 3}, {64, 3, 3, 3}, {.padding = 1}},
                                         {{32, 8, 8, 64}, {64, 1, 3, 3}, {.padding = 1, .groups = 64}},
                                         {{32, 8, 8, 64}, {32, 64, 1, 1}, {}}}) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      SCOPED_TRACE(absl::StrCat(NameOf(dtype), " ", Describe(c)));
      const Tensor x = Random(device, dtype, c.x, 1), w = Random(device, dtype, c.w, 2);
      const Tensor dy = Random(device, dtype, Conv2dOutputShape(c.x, c.w, c.options), 3);
      const Tensor y = Conv2dForward(x, w, Tensor(), c.options);
      const Tensor dx = Conv2dBackwardData(dy, w, c.x, c.options);
      const WeightGradients grads = Conv2dBackwardWeights(x, dy, c.w, true, c.options);
      for (int run = 0; run < 3; ++run) {
        ASSERT_TRUE(SameBits(Conv2dForward(x, w, Tensor(), c.options), y));
        ASSERT_TRUE(SameBits(Conv2dBackwardData(dy, w, c.x, c.options), dx));
        const WeightGradients again = Conv2dBackwardWeights(x, dy, c.w, true, c.options);
        ASSERT_TRUE(SameBits(again.dw, grads.dw));
        ASSERT_TRUE(SameBits(again.db, grads.db));
      }
    }
  }
}

TEST(Conv2dTest, TakesNothingFromTheSystemWhenWarm) {
  Device& device = TestDevice();
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Conv2dOptions options = {.padding = 1};
    const Tensor x = Random(device, dtype, {16, 8, 8, 16}, 1), w = Random(device, dtype, {32, 16, 3, 3}, 2);
    const auto step = [&] {
      const Tensor y = Conv2dForward(x, w, Tensor(), options);
      Conv2dBackwardData(y, w, x.shape(), options);
      Conv2dBackwardWeights(x, y, w.shape(), true, options);
    };
    step();
    const AllocatorStats warm = device.allocator().stats();
    step();
    EXPECT_EQ(device.allocator().stats().system_allocations, warm.system_allocations) << NameOf(dtype);
    EXPECT_EQ(device.allocator().stats().live_bytes, warm.live_bytes) << NameOf(dtype);
  }
}

TEST(Conv2dTest, FollowsTheNumberOfThreads) {
  Device& device = TestDevice();
  const Conv2dOptions options = {.padding = 1};
  const Tensor x = Random(device, DType::kF32, {8, 8, 8, 16}, 1),
               dy = Random(device, DType::kF32, {8, 8, 8, 32}, 2);
  const int before = NumThreads();
  for (const int threads : {3, 1, 2}) {
    SetNumThreads(threads);
    const WeightGradients grads = Conv2dBackwardWeights(x, dy, {32, 16, 3, 3}, false, options);
    const Conv2dProblem p = Conv2dProblem::Of(DType::kF64, x.shape(), {32, 16, 3, 3}, options);
    WeightGradients exact{.dw = Tensor::Empty(device, DType::kF64, p.w_shape()), .db = Tensor()};
    WeightGradients magnitudes{.dw = Tensor::Empty(device, DType::kF64, p.w_shape()), .db = Tensor()};
    kConv2dReference.backward_weights(p, ToF64(x), ToF64(dy), &exact);
    kConv2dReference.backward_weights(p, Magnitude(x), Magnitude(dy), &magnitudes);
    ExpectRounded(grads.dw, exact.dw, magnitudes.dw, p.n * p.out_h * p.out_w);
  }
  SetNumThreads(before);
}

TEST(Conv2dTest, AnEmptyBatchGivesZeroGradients) {
  for (const DType dtype : {DType::kF32, DType::kF16}) {
    Device& device = TestDevice();
    const Tensor x = Tensor::Empty(device, dtype, {0, 4, 4, 3}), w = Random(device, dtype, {2, 3, 3, 3}, 1);
    const Tensor y = Conv2dForward(x, w, Tensor(), {});
    EXPECT_EQ(y.shape(), Shape({0, 2, 2, 2}));
    EXPECT_EQ(Conv2dBackwardData(y, w, x.shape(), {}).shape(), x.shape());
    const WeightGradients grads = Conv2dBackwardWeights(x, y, w.shape(), true, {});
    for (const float v : grads.dw.span<float>()) EXPECT_EQ(v, 0);
    for (const float v : grads.db.span<float>()) EXPECT_EQ(v, 0);
  }
}

TEST(Conv2dTest, OverflowsToInfinity) {
  Device& device = TestDevice();
  const Tensor x = Tensor::From<half>(device, {1, 1, 2, 1}, {half(60000.0f), half(-60000.0f)});
  const Tensor w = Tensor::From<half>(device, {1, 1, 1, 1}, {half(2.0f)});
  const Tensor y = Conv2dForward(x, w, Tensor(), {});
  EXPECT_EQ(static_cast<float>(y.data<half>()[0]), INFINITY);
  EXPECT_EQ(static_cast<float>(y.data<half>()[1]), -INFINITY);
}

TEST(Conv2dDeathTest, ShapesMustFit) {
  Device& device = TestDevice();
  const Tensor x = Tensor::Zeros(device, DType::kF32, {1, 4, 4, 3});
  const Tensor w = Tensor::Zeros(device, DType::kF32, {2, 4, 3, 3});
  EXPECT_DEATH(Conv2dForward(x, w, Tensor(), {}), "check failed");
}

}  // namespace
}  // namespace halftone::ops
