#include "tensor/ops/tokens/tokens.h"

#include <vector>

#include "gtest/gtest.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

TEST(TokensTest, PrependsTheTokenAndAddsThePositions) {
  Device& device = TestDevice();
  for (const DType dtype : kFloatDTypes) {
    const DType wide = dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    const Tensor x = FromDoubles(device, dtype, {2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
    const Tensor token = FromDoubles(device, wide, {1, 1, 2}, {100, 200});
    const Tensor positions = FromDoubles(device, wide, {1, 3, 2}, {0.25, 0, 0.5, 0, 1000.125, 0});
    const Tensor y = PrependTokenForward(x, token, positions);
    EXPECT_EQ(y.dtype(), wide);
    EXPECT_EQ(y.shape(), Shape({2, 3, 2}));
    EXPECT_EQ(ToDoubles(y), (std::vector<double>{100.25, 200, 1.5, 2, 1003.125, 4,  //
                                                 100.25, 200, 5.5, 6, 1007.125, 8}));
  }
}

TEST(TokensTest, PlanesAndPositionsOfTexts) {
  Device& device = TestDevice();
  Tensor tokens = Tensor::Empty(device, DType::kI64, {2, 3, 2});
  for (int64_t i = 0; i < 12; ++i) tokens.data<int64_t>()[i] = 10 * i;
  const auto numbers = [](const Tensor& t) {
    const absl::Span<const int64_t> all = t.span<int64_t>();
    return std::vector<int64_t>(all.begin(), all.end());
  };
  const Tensor words = TokenPlane(tokens, 0);
  EXPECT_EQ(words.shape(), Shape({2, 2}));
  EXPECT_EQ(numbers(words), (std::vector<int64_t>{0, 10, 60, 70}));
  EXPECT_EQ(numbers(TokenPlane(tokens, 2)), (std::vector<int64_t>{40, 50, 100, 110}));
  EXPECT_EQ(numbers(TokenPositions(words)), (std::vector<int64_t>{0, 1, 0, 1}));
}

TEST(TokensTest, GradientsAreThoseOfFiniteDifferences) {
  Device& device = TestDevice();
  const Tensor x = RandomTensor(device, DType::kF64, {3, 4, 5}, 1),
               token = RandomTensor(device, DType::kF64, {5}, 2);
  const Tensor positions = RandomTensor(device, DType::kF64, {5, 5}, 3);
  const Tensor weights = RandomTensor(device, DType::kF64, {3, 5, 5}, 4);
  const auto loss = [&] { return WeightedSum(PrependTokenForward(x, token, positions), weights); };
  const PrependTokenGradients g = PrependTokenBackward(weights, DType::kF64);
  EXPECT_LT(Distance(g.dx, NumericalGradient(loss, x)), 1e-8);
  EXPECT_LT(Distance(g.dtoken, NumericalGradient(loss, token)), 1e-8);
  EXPECT_LT(Distance(g.dpositions, NumericalGradient(loss, positions)), 1e-8);

  const Tensor first_weights = RandomTensor(device, DType::kF64, {3, 5}, 5);
  const auto first = [&] { return WeightedSum(FirstTokenForward(x), first_weights); };
  EXPECT_LT(Distance(FirstTokenBackward(first_weights, 4), NumericalGradient(first, x)), 1e-8);
}

TEST(TokensTest, TheGradientOfSixteenBitTokensIsRoundedOnce) {
  Device& device = TestDevice();
  const Tensor dy = RandomTensor(device, DType::kF32, {2, 6, 8}, 1);
  const PrependTokenGradients g = PrependTokenBackward(dy, DType::kBF16);
  ASSERT_EQ(g.dx.dtype(), DType::kBF16);
  EXPECT_EQ(g.dx.data<bfloat16>()[0], static_cast<bfloat16>(dy.data<float>()[8]));
  EXPECT_EQ(g.dx.data<bfloat16>()[5 * 8], static_cast<bfloat16>(dy.data<float>()[7 * 8]));
  for (int i = 0; i < 6 * 8; ++i) {
    const float sum = static_cast<float>(double{dy.data<float>()[i]} + dy.data<float>()[6 * 8 + i]);
    EXPECT_EQ(g.dpositions.data<float>()[i], sum) << i;
    if (i < 8) {
      EXPECT_EQ(g.dtoken.data<float>()[i], sum) << i;
    }
  }
}

TEST(TokensTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  const Tensor dy = RandomTensor(device, DType::kF32, {37, 65, 48}, 1),
               x = RandomTensor(device, DType::kF16, {37, 64, 48}, 2);
  const Tensor token = RandomTensor(device, DType::kF32, {48}, 3),
               positions = RandomTensor(device, DType::kF32, {65, 48}, 4);
  const PrependTokenGradients expected = PrependTokenBackward(dy, DType::kF16);
  const Tensor y = PrependTokenForward(x, token, positions);
  ForEachThreadCount([&](int) {
    const PrependTokenGradients actual = PrependTokenBackward(dy, DType::kF16);
    EXPECT_TRUE(SameBits(actual.dx, expected.dx));
    EXPECT_TRUE(SameBits(actual.dtoken, expected.dtoken));
    EXPECT_TRUE(SameBits(actual.dpositions, expected.dpositions));
    EXPECT_TRUE(SameBits(PrependTokenForward(x, token, positions), y));
  });
}

TEST(TokensTest, AgreesWithTheDefinition) {
  Device& device = TestDevice();
  const int64_t batch = 3, n = 4, d = 16;
  const Tensor x = RandomTensor(device, DType::kF16, {batch, n, d}, 1);
  const Tensor token = RandomTensor(device, DType::kF32, {d}, 2),
               positions = RandomTensor(device, DType::kF32, {n + 1, d}, 3);
  const Tensor y = PrependTokenForward(x, token, positions), first = FirstTokenForward(y);
  const Tensor back = FirstTokenBackward(first, n + 1);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t p = 0; p <= n; ++p) {
      for (int64_t j = 0; j < d; ++j) {
        const float from = p == 0 ? token.data<float>()[j] : float{x.data<half>()[(b * n + p - 1) * d + j]};
        const float expected = from + positions.data<float>()[p * d + j];
        const int64_t at = (b * (n + 1) + p) * d + j;
        ASSERT_EQ(y.data<float>()[at], expected);
        ASSERT_EQ(back.data<float>()[at], p == 0 ? expected : 0);
      }
    }
  }
}

TEST(TokensTest, FirstTokensOfSixteenBits) {
  Device& device = TestDevice();
  const Tensor x = FromDoubles(device, DType::kF16, {2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(ToDoubles(FirstTokenForward(x)), (std::vector<double>{1, 2, 5, 6}));
  EXPECT_EQ(ToDoubles(FirstTokenBackward(FirstTokenForward(x), 2)),
            (std::vector<double>{1, 2, 0, 0, 5, 6, 0, 0}));
}

}  // namespace
}  // namespace halftone::ops
