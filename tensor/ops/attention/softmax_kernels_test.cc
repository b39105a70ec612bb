// The kernels beside cuBLASLt's, run on the host; and where cuBLASLt finds the heads.
#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tensor/cuda/simt/simt.h"
#include "tensor/ops/attention/head_layout.h"
#include "tensor/ops/attention/softmax_kernels.h"
#include "testing/tensors.h"

namespace halftone::ops {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<AttentionProblem> Problems() {
  return {{.batch = 1, .length = 1, .heads = 1, .head_width = 1},
          {.batch = 2, .length = 5, .heads = 3, .head_width = 4},
          {.batch = 3, .length = 24, .heads = 2, .head_width = 4, .dropout = 0.1, .stream = Rng(7).Stream(3)},
          {.batch = 2, .length = 65, .heads = 1, .head_width = 4, .dropout = 0.5, .stream = Rng(8)},
          {.batch = 1, .length = 136, .heads = 2, .head_width = 4}};
}

Shape Squares(const AttentionProblem& p) { return {p.batch, p.heads, p.length, p.length}; }

// The last item has no key at all.
std::vector<int64_t> MaskOf(const AttentionProblem& p) {
  std::vector<int64_t> mask(p.batch * p.length, 0);
  for (int64_t b = 0; b + 1 < p.batch; ++b) {
    for (int64_t i = 0; i < p.length; ++i) mask[b * p.length + i] = i < p.length - 2 * b - 1;
  }
  return mask;
}

TEST(SoftmaxKernelsTest, ForwardIsTheDefinition) {
  Device device(std::make_unique<simt::SimtAccelerator>(), nullptr);
  for (const DType dtype : kFloatDTypes) {
    for (const AttentionProblem& p : Problems()) {
      for (const bool masked : {false, true}) {
        const std::vector<int64_t> keys = masked ? MaskOf(p) : std::vector<int64_t>(p.batch * p.length, 1);
        const Tensor mask = masked ? Tensor::From<int64_t>(device, {p.batch, p.length}, keys) : Tensor();
        Tensor t = RandomTensor(device, dtype, Squares(p), 1);
        const std::vector<double> scores = ToDoubles(t);
        kSoftmaxKernels.forward(p, mask, t);
        const std::vector<double> actual = ToDoubles(t);
        const int64_t n = p.length;
        for (int64_t row = 0; row < p.batch * p.heads * n; ++row) {
          const int64_t* key = &keys[row / (p.heads * n) * n];
          double sum = 0;
          for (int64_t j = 0; j < n; ++j) sum += key[j] != 0 ? std::exp(scores[row * n + j]) : 0;
          for (int64_t j = 0; j < n; ++j) {
            const double expected = key[j] != 0 ? std::exp(scores[row * n + j]) / sum : 0;
            // Rounded once; the arithmetic before that is float's.
            const double eps = EpsilonOf(dtype) / 2 + (dtype == DType::kF64 ? 4e-15 : 2e-6);
            const double smallest = dtype == DType::kF16 ? 0x1p-25 : 0;
            ASSERT_NEAR(actual[row * n + j], expected, eps * expected + smallest)
                << NameOf(dtype) << " " << row;
          }
        }
      }
    }
  }
}

TEST(SoftmaxKernelsTest, LargeScoresDoNotOverflowAndANanFillsItsRow) {
  Device device(std::make_unique<simt::SimtAccelerator>(), nullptr);
  const AttentionProblem p = {.batch = 1, .length = 2, .heads = 1, .head_width = 1};
  for (const DType dtype : kFloatDTypes) {
    Tensor t = FromDoubles(device, dtype, Squares(p), {60000, 60000, 1, NAN});
    kSoftmaxKernels.forward(p, Tensor(), t);
    const std::vector<double> actual = ToDoubles(t);
    EXPECT_EQ(actual[0], 0.5);
    EXPECT_EQ(actual[1], 0.5);
    EXPECT_TRUE(std::isnan(actual[2]) && std::isnan(actual[3]));
    t = FromDoubles(device, dtype, Squares(p), {-kInfinity, 3, -kInfinity, -kInfinity});
    kSoftmaxKernels.forward(p, Tensor(), t);
    EXPECT_EQ(ToDoubles(t)[0], 0);
    EXPECT_EQ(ToDoubles(t)[1], 1);
    EXPECT_TRUE(std::isnan(ToDoubles(t)[2]));
  }
}

TEST(SoftmaxKernelsTest, BackwardIsTheDefinition) {
  Device device(std::make_unique<simt::SimtAccelerator>(), nullptr);
  for (const DType dtype : kFloatDTypes) {
    for (const AttentionProblem& p : Problems()) {
      Tensor probabilities = RandomTensor(device, dtype, Squares(p), 1);
      kSoftmaxKernels.forward(p, Tensor(), probabilities);
      Tensor gradient = RandomTensor(device, dtype, Squares(p), 2);
      const std::vector<double> ps = ToDoubles(probabilities);
      std::vector<double> expected = ToDoubles(gradient);
      for (size_t i = 0; p.dropout > 0 && i < expected.size(); ++i) {
        expected[i] *= p.stream.Uniform(i) < static_cast<float>(p.dropout) ? 0 : 1 / (1 - p.dropout);
      }
      for (size_t row = 0; row < expected.size(); row += p.length) {
        double across = 0;
        for (int64_t j = 0; j < p.length; ++j) across += expected[row + j] * ps[row + j];
        for (int64_t j = 0; j < p.length; ++j) expected[row + j] = ps[row + j] * (expected[row + j] - across);
      }
      kSoftmaxKernels.backward(p, probabilities, gradient);
      EXPECT_LE(Distance(ToDoubles(gradient), expected),
                EpsilonOf(dtype) / 2 + (dtype == DType::kF64 ? 1e-15 : 1e-6))
          << NameOf(dtype) << " length " << p.length;
    }
  }
}

TEST(HeadLayoutTest, BatchesReachEveryHeadOnce) {
  Device device(nullptr);
  for (const auto& [batch, heads] : {std::pair<int64_t, int64_t>{5, 3}, {2, 4}, {1, 1}, {3, 3}}) {
    const AttentionProblem p = {.batch = batch, .length = 6, .heads = heads, .head_width = 8};
    const Columns columns = {Tensor::Empty(device, DType::kF32, {batch, p.length, 3 * p.width() + 1}),
                             p.width()};
    for (const HeadLayout& layout : {LayoutOf(p, columns), SquareLayout(p)}) {
      const HeadBatches batches(p);
      EXPECT_EQ(batches.products, std::min(batch, heads));
      std::set<int64_t> expected, actual;
      for (int64_t b = 0; b < batch; ++b) {
        for (int64_t h = 0; h < heads; ++h) expected.insert(layout.first + b * layout.item + h * layout.head);
      }
      for (int64_t i = 0; i < batches.products; ++i) {
        for (int64_t j = 0; j < batches.batch; ++j) {
          EXPECT_TRUE(actual.insert(batches.First(layout, i) + j * batches.Stride(layout)).second);
        }
      }
      EXPECT_EQ(actual, expected);
    }
    const HeadLayout layout = LayoutOf(p, columns);
    EXPECT_EQ(layout.row, 3 * p.width() + 1);
    EXPECT_EQ(layout.item, p.length * layout.row);
    EXPECT_EQ(layout.first, p.width());
  }
}

}  // namespace
}  // namespace halftone::ops
