#include "tensor/tensor.h"

#include <vector>

#include "gtest/gtest.h"

namespace halftone {
namespace {

TEST(ShapeTest, CountsAndPrints) {
  const Shape s = {2, 3, 4};
  EXPECT_EQ(s.elements(), 24);
  EXPECT_EQ(s[-1], 4);
  EXPECT_EQ(s.ToString(), "[2, 3, 4]");
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape({3, 0}).elements(), 0);
  EXPECT_FALSE(s == Shape({2, 3}));
}

TEST(DTypeTest, NamesAreTheirOwnInverse) {
  for (const DType d :
       {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32, DType::kU8}) {
    EXPECT_EQ(DTypeFromName(NameOf(d)), d);
  }
  EXPECT_FALSE(DTypeFromName("float17").has_value());
  VisitFloat(DType::kBF16, [](auto t) { EXPECT_EQ(kDTypeOf<decltype(t)>, DType::kBF16); });
}

TEST(TensorTest, HandlesShareAndClonesDoNot) {
  Device device;
  Tensor a = Tensor::From<float>(device, {2, 2}, {{1, 2, 3, 4}});
  Tensor view = a.Reshape({4}), copy = a.Clone();
  view.data<float>()[3] = 9;
  EXPECT_EQ(a.span<float>()[3], 9);
  EXPECT_EQ(copy.span<float>()[3], 4);
  EXPECT_EQ(device.allocator().stats().live_bytes, 32);
  a = Tensor();
  view = Tensor();
  EXPECT_EQ(device.allocator().stats().live_bytes, 16);
}

TEST(TensorTest, ZerosAreZeroAndEmptyTensorsWork) {
  Device device;
  for (const half h : Tensor::Zeros(device, DType::kF16, {5}).span<half>()) EXPECT_EQ(h.bits(), 0);
  EXPECT_EQ(Tensor::Empty(device, DType::kF32, {0, 3}).span<float>().size(), 0u);
}

TEST(TensorDeathTest, TheWrongTypeIsCaught) {
  Device device;
  Tensor a = Tensor::Zeros(device, DType::kF32, {1});
  EXPECT_DEATH(a.data<double>(), "check failed");
}

}  // namespace
}  // namespace halftone
