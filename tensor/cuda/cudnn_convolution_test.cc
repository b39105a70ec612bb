#include "tensor/cuda/cudnn_convolution.h"

#include <vector>

#include "gtest/gtest.h"

namespace halftone::cuda {
namespace {

TEST(CudnnConvolutionTest, StridesReachEveryElementInOrder) {
  const CudnnTensor t = ChannelsLast(DType::kF16, 2, 3, 4, 5);
  EXPECT_EQ(t.dims, (std::array<int64_t, 4>{2, 5, 3, 4}));
  int64_t next = 0;
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t h = 0; h < 3; ++h) {
      for (int64_t w = 0; w < 4; ++w) {
        for (int64_t c = 0; c < 5; ++c) {
          EXPECT_EQ(n * t.strides[0] + c * t.strides[1] + h * t.strides[2] + w * t.strides[3], next++);
        }
      }
    }
  }
}

TEST(CudnnConvolutionTest, TheResultAloneMayBeWider) {
  Convolution c = {.in = DType::kF16,
                   .out = DType::kF32,
                   .n = 2,
                   .h = 8,
                   .w = 6,
                   .c = 12,
                   .o = 16,
                   .kh = 3,
                   .kw = 1,
                   .out_h = 6,
                   .out_w = 6,
                   .groups = 4};
  const auto dtypes = [&](ConvolutionPass pass) {
    c.pass = pass;
    const CudnnTensors t = TensorsOf(c);
    const CudnnTensor& result = pass == ConvolutionPass::kForward        ? t.y
                                : pass == ConvolutionPass::kBackwardData ? t.x
                                                                         : t.w;
    EXPECT_EQ(t.sums.dims, result.dims);
    EXPECT_EQ(t.sums.strides, result.strides);
    EXPECT_EQ(t.sums.dtype, DType::kF32);
    return std::vector<DType>{t.x.dtype, t.w.dtype, t.y.dtype};
  };
  constexpr DType kHalf = DType::kF16, kFloat = DType::kF32;
  EXPECT_EQ(dtypes(ConvolutionPass::kForward), (std::vector<DType>{kHalf, kHalf, kFloat}));
  EXPECT_EQ(dtypes(ConvolutionPass::kBackwardData), (std::vector<DType>{kFloat, kHalf, kHalf}));
  EXPECT_EQ(dtypes(ConvolutionPass::kBackwardWeights), (std::vector<DType>{kHalf, kFloat, kHalf}));
  const CudnnTensors t = TensorsOf(c);
  EXPECT_EQ(t.x.dims, (std::array<int64_t, 4>{2, 12, 8, 6}));
  EXPECT_EQ(t.w.dims, (std::array<int64_t, 4>{16, 3, 3, 1}));  // of one group
  EXPECT_EQ(t.y.dims, (std::array<int64_t, 4>{2, 16, 6, 6}));
}

}  // namespace
}  // namespace halftone::cuda
