// The kernels beside cuDNN's, run on the host.
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tensor/cuda/simt/simt.h"
#include "tensor/ops/conv2d/direct_kernels.h"
#include "tensor/ops/conv2d/implementations.h"
#include "tensor/ops/linear/rounded_sum.h"

namespace halftone::ops {
namespace {

struct Case {
  Shape x, w;
  Conv2dOptions options;
};

std::vector<Case> Cases() {
  return {
      {{2, 7, 7, 24}, {24, 1, 3, 3}, {.padding = 1, .groups = 24}},
      {{2, 9, 8, 6}, {6, 1, 3, 3}, {.stride = 2, .padding = 1, .groups = 6}},
      {{1, 12, 9, 40}, {40, 1, 5, 2}, {.stride = 3, .padding = 2, .groups = 40}},
      {{3, 5, 6, 4}, {4, 1, 1, 1}, {.stride = 2, .groups = 4}},
      {{1, 5, 7, 3}, {2, 3, 3, 3}, {}},
      {{2, 6, 6, 5}, {10, 1, 3, 3}, {.padding = 1, .groups = 5}},
      {{2, 6, 5, 6}, {4, 3, 3, 3}, {.padding = 1, .groups = 2}},
      {{1, 9, 9, 2}, {3, 2, 5, 3}, {.stride = 2, .padding = 2}},
      {{4, 5, 5, 9}, {7, 9, 1, 1}, {}},
  };
}

// Calls f(device, dtype, problem, whether the result is wider than the inputs).
template <typename F>
void ForEachProblem(F&& f) {
  Device device(std::make_unique<simt::SimtAccelerator>(), nullptr);
  for (const Case& c : Cases()) {
    for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16}) {
      for (const bool wider : {false, true}) {
        if (wider && SizeOf(dtype) != 2) continue;
        SCOPED_TRACE(absl::StrCat(std::string(NameOf(dtype)), wider ? " to float32" : "", " x ",
                                  c.x.ToString(), " w ", c.w.ToString(), " stride ", c.options.stride,
                                  " groups ", c.options.groups));
        f(device, dtype, Conv2dProblem::Of(dtype, c.x, c.w, c.options), wider);
      }
    }
  }
}

TEST(DirectConv2dTest, ForwardIsTheRoundedSum) {
  ForEachProblem([](Device& device, DType dtype, const Conv2dProblem& p, bool wider) {
    const Tensor x = Random(device, dtype, p.x_shape(), 1), w = Random(device, dtype, p.w_shape(), 2);
    Tensor exact = Tensor::Empty(device, DType::kF64, p.y_shape()), magnitudes = exact.Clone();
    const Conv2dProblem exact_problem = p.With(DType::kF64, p.n);
    kConv2dReference.forward(exact_problem, ToF64(x), ToF64(w), Tensor(), &exact);
    kConv2dReference.forward(exact_problem, Magnitude(x), Magnitude(w), Tensor(), &magnitudes);
    Tensor y = Tensor::Empty(device, wider ? DType::kF32 : dtype, p.y_shape());
    kDirectConv2dKernels.forward(p, x, w, y);
    ExpectRounded(y, exact, magnitudes, p.w_shape().elements() / p.o);
  });
}

TEST(DirectConv2dTest, BackwardDataIsTheRoundedSum) {
  ForEachProblem([](Device& device, DType dtype, const Conv2dProblem& p, bool wider) {
    const Tensor dy = Random(device, dtype, p.y_shape(), 1), w = Random(device, dtype, p.w_shape(), 2);
    Tensor exact = Tensor::Empty(device, DType::kF64, p.x_shape()), magnitudes = exact.Clone();
    const Conv2dProblem exact_problem = p.With(DType::kF64, p.n);
    kConv2dReference.backward_data(exact_problem, ToF64(dy), ToF64(w), &exact);
    kConv2dReference.backward_data(exact_problem, Magnitude(dy), Magnitude(w), &magnitudes);
    Tensor dx = Tensor::Empty(device, wider ? DType::kF32 : dtype, p.x_shape());
    kDirectConv2dKernels.backward_data(p, dy, w, dx);
    ExpectRounded(dx, exact, magnitudes, p.kh * p.kw * p.o / p.groups);
  });
}

TEST(DirectConv2dTest, BackwardWeightsIsTheFloat32Sum) {
  ForEachProblem([](Device& device, DType dtype, const Conv2dProblem& p, bool wider) {
    if (wider) return;  // it always is
    const Tensor x = Random(device, dtype, p.x_shape(), 1), dy = Random(device, dtype, p.y_shape(), 2);
    WeightGradients exact = {.dw = Tensor::Empty(device, DType::kF64, p.w_shape()), .db = Tensor()};
    WeightGradients magnitudes = {.dw = exact.dw.Clone(), .db = Tensor()};
    const Conv2dProblem exact_problem = p.With(DType::kF64, p.n);
    kConv2dReference.backward_weights(exact_problem, ToF64(x), ToF64(dy), &exact);
    kConv2dReference.backward_weights(exact_problem, Magnitude(x), Magnitude(dy), &magnitudes);
    Tensor dw = Tensor::Empty(device, dtype == DType::kF64 ? DType::kF64 : DType::kF32, p.w_shape());
    kDirectConv2dKernels.backward_weights(p, x, dy, dw);
    ExpectRounded(dw, exact.dw, magnitudes.dw, p.n * p.out_h * p.out_w);
  });
}

TEST(DirectConv2dTest, MovesTheChannelsOfFilters) {
  Device device(std::make_unique<simt::SimtAccelerator>(), nullptr);
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16}) {
    constexpr int64_t kOutputs = 4, kInputs = 5, kTapRows = 2, kTapColumns = 3;
    const Conv2dProblem p = Conv2dProblem::Of(dtype, {1, 6, 6, 2 * kInputs},
                                              {kOutputs, kInputs, kTapRows, kTapColumns}, {.groups = 2});
    const Tensor w = Random(device, dtype, p.w_shape(), 1);
    Tensor last = Tensor::Empty(device, dtype, w.shape()), back = last.Clone();
    kDirectConv2dKernels.channels_last(p, w, last);
    kDirectConv2dKernels.channels_first(p, last, back);
    EXPECT_TRUE(SameBits(back, w));
    const Tensor before = ToF64(w), after = ToF64(last);
    for (int64_t i = 0; i < w.elements(); ++i) {
      const int64_t c = i % kInputs, tap = i / kInputs % (kTapRows * kTapColumns),
                    o = i / (kInputs * kTapRows * kTapColumns);
      EXPECT_EQ(after.data<double>()[i],
                before.data<double>()[(o * kInputs + c) * kTapRows * kTapColumns + tap]);
    }
  }
}

}  // namespace
}  // namespace halftone::ops
