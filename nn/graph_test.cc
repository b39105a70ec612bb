#include "nn/graph.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "gtest/gtest.h"
#include "nn/functional.h"

namespace halftone::nn {
namespace {

class GraphTest : public ::testing::Test {
 protected:
  Tensor F64(const Shape& shape, const std::vector<double>& v) {
    return Tensor::From<double>(device_, shape, v);
  }
  Tensor F32(const Shape& shape, const std::vector<float>& v) {
    return Tensor::From<float>(device_, shape, v);
  }

  Device device_;
};

TEST_F(GraphTest, AValueUsedTwiceGetsBothGradients) {
  Graph graph({.device = &device_});
  const Variable x = graph.Input(F64({1}, {3}), /*requires_grad=*/true);
  const Variable y = x + x + x;
  graph.Backward(MeanSquaredError(y, F64({1}, {0})));  // (3x)^2, whose derivative is 18x
  EXPECT_EQ(graph.Gradient(x).span<double>()[0], 54);
}

TEST_F(GraphTest, SharedGradientsAreNotOverwritten) {
  // Add hands the same tensor to both branches; one of them then receives more.
  Graph graph({.device = &device_});
  const Variable a = graph.Input(F64({1}, {1}), true), b = graph.Input(F64({1}, {2}), true);
  const Variable sum = a + b;
  graph.Backward(MeanSquaredError(sum + a, F64({1}, {0})));  // (2a + b)^2 = 16
  EXPECT_EQ(graph.Gradient(a).span<double>()[0], 16);
  EXPECT_EQ(graph.Gradient(b).span<double>()[0], 8);
}

TEST_F(GraphTest, TheSeedMultipliesEveryGradient) {
  for (const double seed : {1.0, 65536.0}) {
    Graph graph({.device = &device_});
    const Variable x = graph.Input(F32({2}, {1, -3}), true);
    graph.Backward(MeanSquaredError(x, F32({2}, {0, 0})), seed);
    EXPECT_EQ(graph.Gradient(x).span<float>()[0], seed);
    EXPECT_EQ(graph.Gradient(x).span<float>()[1], -3 * seed);
  }
}

TEST_F(GraphTest, CastsRoundForwardAndHandGradientsBackInTheirOwnType) {
  Graph graph({.device = &device_});
  const Variable x = graph.Input(F32({2}, {1 + 0x1p-12f, 70000}), true);
  const Variable h = graph.Cast(x, DType::kF16);
  EXPECT_EQ(static_cast<float>(h.value().span<half>()[0]), 1.0f);
  EXPECT_EQ(static_cast<float>(h.value().span<half>()[1]), std::numeric_limits<float>::infinity());
  graph.Backward(MeanSquaredError(graph.Cast(h, DType::kF32), F32({2}, {0, 0})));
  EXPECT_EQ(graph.Gradient(x).dtype(), DType::kF32);
  EXPECT_EQ(graph.Gradient(x).span<float>()[0], 1.0f);
}

TEST_F(GraphTest, MixedAdditionsArePromoted) {
  Graph graph({.device = &device_});
  const Variable a = graph.Input(F32({1}, {1 + 0x1p-20f}), true);
  const Variable b = graph.Cast(graph.Input(F32({1}, {1}), true), DType::kBF16);
  EXPECT_EQ((a + b).dtype(), DType::kF32);
  EXPECT_EQ((a + b).Item(), 2 + 0x1p-20);
}

TEST_F(GraphTest, WithoutGradientsNothingIsKept) {
  Graph graph({.device = &device_, .gradients = false});
  const Variable x = graph.Input(F32({1024}, std::vector<float>(1024, 1)), true);
  const int64_t before = device_.allocator().stats().live_bytes;
  { const Variable y = x + x; }
  EXPECT_EQ(device_.allocator().stats().live_bytes, before);
  EXPECT_FALSE((x + x).requires_grad());
}

TEST_F(GraphTest, BackwardFreesWhatForwardKept) {
  Graph graph({.device = &device_});
  const Variable x = graph.Input(F32({1024}, std::vector<float>(1024, 1)), true);
  Variable loss;
  {
    Variable y = x;
    for (int i = 0; i < 8; ++i) y = Activate(*ops::FindActivation("relu"), y);
    loss = MeanSquaredError(y, x.value());
  }
  const int64_t kept = device_.allocator().stats().live_bytes;
  graph.Backward(loss);
  // The input and its gradient remain, not the eight activations.
  EXPECT_LT(device_.allocator().stats().live_bytes, kept / 2);
}

TEST_F(GraphTest, ParametersSumTheirGradientsUntilCleared) {
  Parameter w({2}, Init::Constant(1));
  w.Initialize(device_, Rng(1), "w");
  for (const float expected : {1.0f, 2.0f}) {
    Graph graph({.device = &device_});
    graph.Backward(MeanSquaredError(graph.Use(w, DType::kF32), F32({2}, {0, 0})));
    EXPECT_EQ(w.gradient().span<float>()[1], expected);
  }
  w.ClearGradient();
  EXPECT_FALSE(w.gradient().defined());
}

TEST_F(GraphTest, WorkingCopiesAreCastOnceAnUpdate) {
  Parameter w({2}, Init::Constant(1));
  w.Initialize(device_, Rng(1), "w");
  const void* first = w.Working(DType::kF16).raw();
  EXPECT_EQ(w.Working(DType::kF16).raw(), first);
  w.mutable_master().span<float>()[0] = 2;
  w.MarkUpdated();
  EXPECT_EQ(static_cast<float>(w.Working(DType::kF16).span<half>()[0]), 2.0f);
  EXPECT_EQ(w.Working(DType::kF32).raw(), w.master().raw());
}

TEST_F(GraphTest, WeightsInSixteenBitsAlone) {
  Parameter w({2}, Init::Constant(0.1));
  w.Initialize(device_, Rng(1), "w");
  EXPECT_EQ(w.mutable_working16(), nullptr);
  Tensor master = Tensor::Empty(device_, DType::kBF16, {2});
  for (bfloat16& x : master.span<bfloat16>()) x = bfloat16(0.1f);
  w.SetMaster(std::move(master));
  EXPECT_EQ(w.full_precision(), DType::kF32);
  EXPECT_EQ(w.Working(DType::kBF16).raw(), w.master().raw());
  EXPECT_EQ(w.Working(DType::kF32).span<float>()[0], static_cast<float>(bfloat16(0.1f)));
  EXPECT_EQ(w.mutable_working16(), nullptr);  // it is float32
  Graph graph({.device = &device_});
  graph.Backward(MeanSquaredError(graph.Use(w, DType::kF32), F32({2}, {0, 0})));
  EXPECT_EQ(w.gradient().dtype(), DType::kF32);
}

TEST_F(GraphTest, AWorkingCopyThatIsUpdatedWithItsMasterIsNotCastAgain) {
  Parameter w({1}, Init::Constant(1));
  w.Initialize(device_, Rng(1), "w");
  EXPECT_EQ(w.mutable_working16(), nullptr);
  w.Working(DType::kF16);
  Tensor* const working = w.mutable_working16();
  ASSERT_NE(working, nullptr);
  working->span<half>()[0] = half(7.0f);  // on purpose not the master's value
  w.MarkUpdatedWithWorking();
  EXPECT_EQ(static_cast<float>(w.Working(DType::kF16).span<half>()[0]), 7.0f);
}

TEST_F(GraphTest, InitialValuesDependOnSeedAndPathAlone) {
  const auto draw = [&](uint64_t seed, const char* path) {
    Parameter w({5}, Init::Normal(1));
    w.Initialize(device_, Rng(seed), path);
    return std::vector<float>(w.master().span<float>().begin(), w.master().span<float>().end());
  };
  EXPECT_EQ(draw(1, "a"), draw(1, "a"));
  EXPECT_NE(draw(1, "a"), draw(1, "b"));
  EXPECT_NE(draw(1, "a"), draw(2, "a"));
}

TEST_F(GraphTest, InitialValuesAreTheSameForAnyNumberOfThreads) {
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    SetNumThreads(threads);
    Parameter w({50000}, Init::Normal(1));
    w.Initialize(device_, Rng(1), "w");
    const std::vector<float> values(w.master().span<float>().begin(), w.master().span<float>().end());
    if (first.empty()) first = values;
    EXPECT_EQ(values, first) << threads;
  }
  SetNumThreads(0);
}

}  // namespace
}  // namespace halftone::nn
