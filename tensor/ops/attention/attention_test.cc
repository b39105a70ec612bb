#include "tensor/ops/attention/attention.h"

#include <cmath>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "gtest/gtest.h"
#include "tensor/ops/attention/implementations.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

struct Case {
  int64_t batch, length, heads, width;
  bool packed = true;  // queries, keys and values in one tensor
  bool masked = false;
  double dropout = 0;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << "[" << c.batch << ", " << c.length << ", " << c.width << "], " << c.heads << " heads"
             << (c.packed ? ", packed" : "") << (c.masked ? ", masked" : "") << ", dropout " << c.dropout;
}

const Case kCases[] = {
    {1, 1, 1, 1},
    {2, 5, 1, 4},
    {3, 7, 2, 6, /*packed=*/false},
    {2, 65, 3, 48},
    {2, 17, 2, 16, /*packed=*/false, /*masked=*/true},
    {3, 24, 3, 48, /*packed=*/true, /*masked=*/true, /*dropout=*/0.1},
    {6, 33, 2, 64, /*packed=*/true, /*masked=*/false, /*dropout=*/0.5},
};

struct Inputs {
  Columns q, k, v;
  Tensor mask, dy;
  AttentionOptions options;
};

Inputs MakeInputs(Device& device, DType dtype, const Case& c) {
  Inputs in;
  if (c.packed) {
    const Tensor qkv = RandomTensor(device, dtype, {c.batch, c.length, 3 * c.width}, 1);
    in.q = {qkv, 0}, in.k = {qkv, c.width}, in.v = {qkv, 2 * c.width};
  } else {
    // Columns that something else surrounds.
    in.q = {RandomTensor(device, dtype, {c.batch, c.length, c.width}, 1)};
    in.k = {RandomTensor(device, dtype, {c.batch, c.length, c.width + 3}, 2), 2};
    in.v = {RandomTensor(device, dtype, {c.batch, c.length, c.width}, 3)};
  }
  in.dy = RandomTensor(device, dtype, {c.batch, c.length, c.width}, 4);
  if (c.masked) {
    in.mask = Tensor::Zeros(device, DType::kI64, {c.batch, c.length});
    for (int64_t b = 0; b < c.batch; ++b) {
      // The last item has no key at all.
      const int64_t keys = b + 1 == c.batch ? 0 : c.length - 3 * b - 1;
      for (int64_t i = 0; i < keys; ++i) in.mask.data<int64_t>()[b * c.length + i] = 1;
    }
  }
  in.options = {.heads = c.heads, .width = c.width, .dropout = c.dropout, .stream = Rng(7).Stream(3)};
  return in;
}

// y, p, dq, dk, dv: of whole tensors, with what lies beside the columns.
std::vector<Tensor> OutcomeOf(const AttentionImplementation& implementation, const Inputs& in, bool packed) {
  const AttentionOptions& o = in.options;
  const AttentionProblem problem = {.batch = in.dy.shape()[0],
                                    .length = in.dy.shape()[1],
                                    .heads = o.heads,
                                    .head_width = o.width / o.heads,
                                    .dropout = o.dropout,
                                    .stream = o.stream};
  Device& device = in.dy.device();
  const DType dtype = in.dy.dtype();
  const auto zeros_like = [&](const Columns& c) {
    return Columns{Tensor::Zeros(device, dtype, c.tensor.shape()), c.first};
  };
  Tensor y = Tensor::Empty(device, dtype, in.dy.shape());
  Tensor p = Tensor::Empty(device, dtype, {problem.batch, o.heads, problem.length, problem.length});
  implementation.forward(problem, in.q, in.k, in.v, in.mask, &y, &p);
  // The same probabilities for all, so that every array is compared by itself.
  Tensor reference_y = y.Clone(), reference_p = p.Clone();
  kAttentionReference.forward(problem, in.q, in.k, in.v, in.mask, &reference_y, &reference_p);
  Columns dq = zeros_like(in.q), dk = zeros_like(in.k), dv = zeros_like(in.v);
  if (packed) dk.tensor = dv.tensor = dq.tensor;
  implementation.backward(problem, in.q, in.k, in.v, reference_p, in.dy, &dq, &dk, &dv);
  return {y, p, dq.tensor, dk.tensor, dv.tensor};
}

TEST(AttentionTest, EveryRowAgreesWithTheReference) {
  Device& device = TestDevice();
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const Case& c : kCases) {
      const Inputs in = MakeInputs(device, dtype, c);
      const std::vector<Tensor> expected = OutcomeOf(kAttentionReference, in, c.packed);
      for (const AttentionImplementation& row : AttentionImplementations()) {
        if (!row.supports(dtype) || row.name == kAttentionReference.name) continue;
        ForEachTarget([&](int64_t target) {
          SCOPED_TRACE(testing::Message()
                       << row.name << " " << NameOf(dtype) << " " << c << " " << hwy::TargetName(target));
          const std::vector<Tensor> actual = OutcomeOf(row, in, c.packed);
          for (size_t i = 0; i < expected.size(); ++i) {
            // A score that is rounded to the other side moves its row by as much; float32 sums of float32.
            const double tolerance = dtype == DType::kF32 ? 2e-6 : (i == 1 ? 4 : 2) * EpsilonOf(dtype);
            EXPECT_LE(Distance(ToDoubles(actual[i]), ToDoubles(expected[i])), tolerance) << i;
          }
        });
      }
    }
  }
}

// The same by the functions themselves, on whatever device.
TEST(AttentionTest, EveryDeviceAgreesWithTheReference) {
  Device& device = TestDevice();
  for (const DType dtype : kFloatDTypes) {
    for (const Case& c : kCases) {
      SCOPED_TRACE(testing::Message() << NameOf(dtype) << " " << c);
      const Inputs in = MakeInputs(device, dtype, c);
      const std::vector<Tensor> expected = OutcomeOf(kAttentionReference, in, c.packed);
      const AttentionResult forward = AttentionForward(in.q, in.k, in.v, in.mask, in.options);
      const auto zeros_like = [&](const Columns& x) {
        return Columns{Tensor::Zeros(device, dtype, x.tensor.shape()), x.first};
      };
      Columns dq = zeros_like(in.q), dk = zeros_like(in.k), dv = zeros_like(in.v);
      if (c.packed) dk.tensor = dv.tensor = dq.tensor;
      AttentionBackward(in.q, in.k, in.v, expected[1], in.dy, in.options, dq, dk, dv);
      const Tensor actual[] = {forward.y, forward.probabilities, dq.tensor, dk.tensor, dv.tensor};
      for (size_t i = 0; i < expected.size(); ++i) {
        const double tolerance = dtype == DType::kF64   ? 1e-14
                                 : dtype == DType::kF32 ? 2e-6
                                                        : (i == 1 ? 4 : 2) * EpsilonOf(dtype);
        EXPECT_LE(Distance(ToDoubles(actual[i]), ToDoubles(expected[i])), tolerance) << i;
      }
    }
  }
}

TEST(AttentionTest, SameBitsOnAnyNumberOfThreads) {
  Device& device = TestDevice();
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Case c = {6, 40, 2, 32, /*packed=*/true, /*masked=*/true, /*dropout=*/0.2};
    const Inputs in = MakeInputs(device, dtype, c);
    const std::vector<Tensor> expected = OutcomeOf(kAttentionOneDnn, in, c.packed);
    ForEachThreadCount([&](int threads) {
      const std::vector<Tensor> actual = OutcomeOf(kAttentionOneDnn, in, c.packed);
      // The softmax between; oneDNN's sums are for it to promise.
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_LE(Distance(ToDoubles(actual[i]), ToDoubles(expected[i])),
                  dtype == DType::kF32 ? 1e-6 : 2 * EpsilonOf(dtype))
            << threads;
      }
    });
  }
}

TEST(AttentionTest, ProbabilitiesSumToOneAndPaddingHasNone) {
  Device& device = TestDevice();
  for (const DType dtype : kFloatDTypes) {
    const Case c = {3, 24, 3, 48, /*packed=*/true, /*masked=*/true};
    const Inputs in = MakeInputs(device, dtype, c);
    const AttentionResult r = AttentionForward(in.q, in.k, in.v, in.mask, in.options);
    const std::vector<double> p = ToDoubles(r.probabilities);
    for (size_t row = 0; row < p.size() / 24; ++row) {
      const size_t item = row / (3 * 24);
      double sum = 0;
      for (size_t j = 0; j < 24; ++j) {
        if (in.mask.data<int64_t>()[item * 24 + j] == 0) {
          EXPECT_EQ(p[row * 24 + j], 0);
        }
        sum += p[row * 24 + j];
      }
      EXPECT_NEAR(sum, item == 2 ? 0 : 1, 24 * EpsilonOf(dtype)) << NameOf(dtype);
    }
    // The item without keys gives zeros, not NaNs.
    for (const double y : ToDoubles(r.y)) EXPECT_FALSE(std::isnan(y));
  }
}

// The scores are scaled before they are rounded: 32 * 48 * 48 is more than float16 has.
TEST(AttentionTest, LargeProductsDoNotOverflowFloat16) {
  Device& device = TestDevice();
  const Tensor qkv = FromDoubles(device, DType::kF16, {1, 2, 96}, std::vector<double>(192, 48));
  const AttentionResult r =
      AttentionForward({qkv, 0}, {qkv, 32}, {qkv, 64}, Tensor(), {.heads = 1, .width = 32});
  for (const double p : ToDoubles(r.probabilities)) EXPECT_EQ(p, 0.5);
  for (const double y : ToDoubles(r.y)) EXPECT_EQ(y, 48);
}

TEST(AttentionTest, ANanShowsInItsRowsAlone) {
  Device& device = TestDevice();
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    std::vector<double> values = ToDoubles(RandomTensor(device, dtype, {2, 20, 12}, 1));
    values[5 * 12] = NAN;  // item 0, query 5
    const Tensor qkv = FromDoubles(device, dtype, {2, 20, 12}, values);
    const AttentionResult r =
        AttentionForward({qkv, 0}, {qkv, 4}, {qkv, 8}, Tensor(), {.heads = 1, .width = 4});
    const std::vector<double> p = ToDoubles(r.probabilities);
    for (size_t i = 0; i < p.size(); ++i) EXPECT_EQ(std::isnan(p[i]), i / 20 == 5) << i;
  }
}

TEST(AttentionTest, GradientsAreThoseOfFiniteDifferences) {
  Device& device = TestDevice();
  for (const Case& c :
       {Case{2, 4, 2, 6}, Case{2, 5, 1, 3, /*packed=*/false, /*masked=*/true, /*dropout=*/0.3}}) {
    SCOPED_TRACE(testing::Message() << c);
    const Inputs in = MakeInputs(device, DType::kF64, c);
    const auto loss = [&] {
      return WeightedSum(AttentionForward(in.q, in.k, in.v, in.mask, in.options).y, in.dy);
    };
    const Tensor p = AttentionForward(in.q, in.k, in.v, in.mask, in.options).probabilities;
    const auto zeros_like = [&](const Columns& x) {
      return Columns{Tensor::Zeros(device, DType::kF64, x.tensor.shape()), x.first};
    };
    Columns dq = zeros_like(in.q), dk = zeros_like(in.k), dv = zeros_like(in.v);
    if (c.packed) dk.tensor = dv.tensor = dq.tensor;
    AttentionBackward(in.q, in.k, in.v, p, in.dy, in.options, dq, dk, dv);
    EXPECT_LT(Distance(dq.tensor, NumericalGradient(loss, in.q.tensor)), 1e-8);
    EXPECT_LT(Distance(dk.tensor, NumericalGradient(loss, in.k.tensor)), 1e-8);
    EXPECT_LT(Distance(dv.tensor, NumericalGradient(loss, in.v.tensor)), 1e-8);
  }
}

TEST(AttentionTest, DropoutLeavesOutItsShareAndKeepsTheMean) {
  Device& device = TestDevice();
  // Values of 1: y is the sum of the kept probabilities, scaled.
  const Tensor qkv = FromDoubles(device, DType::kF32, {8, 50, 3}, std::vector<double>(8 * 50 * 3, 1));
  const AttentionResult r = AttentionForward({qkv, 0}, {qkv, 1}, {qkv, 2}, Tensor(),
                                             {.heads = 1, .width = 1, .dropout = 0.25, .stream = Rng(5)});
  double mean = 0;
  for (const double y : ToDoubles(r.y)) mean += y / 400;
  // 20,000 entries, each 0 or 4/3: within five standard errors.
  EXPECT_NEAR(mean, 1, 5 * std::sqrt(1.0 / 3 / 20000));
}

TEST(AttentionTest, EmptyBatch) {
  Device& device = TestDevice();
  const Tensor qkv = Tensor::Empty(device, DType::kF32, {0, 5, 6});
  const AttentionResult r =
      AttentionForward({qkv, 0}, {qkv, 2}, {qkv, 4}, Tensor(), {.heads = 1, .width = 2});
  EXPECT_EQ(r.y.shape(), Shape({0, 5, 2}));
}

}  // namespace
}  // namespace halftone::ops
