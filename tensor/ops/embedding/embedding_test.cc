#include "tensor/ops/embedding/embedding.h"

#include <fstream>
#include <tuple>
#include <vector>

#include "base/philox.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

using nlohmann::json;

std::vector<double> Flat(const json& j) {
  if (j.is_number()) return {j.get<double>()};
  std::vector<double> values;
  for (const json& part : j) {
    const std::vector<double> of_part = Flat(part);
    values.insert(values.end(), of_part.begin(), of_part.end());
  }
  return values;
}

// Numbers in [0, rows), of which one in three is 0.
Tensor RandomIndex(Device& device, Shape shape, int64_t rows, uint64_t seed) {
  Tensor index = Tensor::Empty(device, DType::kI64, std::move(shape));
  const Rng rng(seed);
  for (int64_t i = 0; i < index.elements(); ++i) {
    index.data<int64_t>()[i] = rng.Bits(2 * i) % 3 == 0 ? 0 : rng.Bits(2 * i + 1) % rows;
  }
  return index;
}

TEST(EmbeddingTest, GoldenOfPyTorchWithAPaddingRow) {
  std::ifstream file("tensor/ops/embedding/testdata/embedding.json");
  const json golden = json::parse(file);
  Device& device = TestDevice();
  Tensor index = Tensor::Empty(device, DType::kI64, {2, 3});
  const std::vector<double> ids = Flat(golden["ids"]);
  for (size_t i = 0; i < ids.size(); ++i) index.data<int64_t>()[i] = static_cast<int64_t>(ids[i]);
  for (const DType dtype : {DType::kF64, DType::kF32}) {
    const Tensor table = FromDoubles(device, dtype, {5, 3}, Flat(golden["table"]));
    const Tensor y = EmbeddingForward({{table, index}});
    EXPECT_EQ(y.shape(), Shape({2, 3, 3}));
    EXPECT_EQ(ToDoubles(y), Flat(golden["output"]));
    const Tensor dy = FromDoubles(device, dtype, {2, 3, 3}, Flat(golden["grad_output"]));
    const Tensor gradient = EmbeddingBackward(dy, index, 5, /*padding_row=*/0);
    EXPECT_EQ(gradient.shape(), Shape({5, 3}));
    EXPECT_LT(Distance(ToDoubles(gradient), Flat(golden["grad_table"])), dtype == DType::kF64 ? 1e-15 : 1e-7);
  }
}

TEST(EmbeddingTest, GradientIsThatOfFiniteDifferences) {
  Device& device = TestDevice();
  const Tensor words = RandomTensor(device, DType::kF64, {7, 5}, 1),
               types = RandomTensor(device, DType::kF64, {2, 5}, 2),
               weights = RandomTensor(device, DType::kF64, {3, 4, 5}, 3);
  const Tensor word = RandomIndex(device, {3, 4}, 7, 4), type = RandomIndex(device, {3, 4}, 2, 5);
  const auto loss = [&] { return WeightedSum(EmbeddingForward({{words, word}, {types, type}}), weights); };
  EXPECT_LT(Distance(EmbeddingBackward(weights, word, 7), NumericalGradient(loss, words)), 1e-8);
  EXPECT_LT(Distance(EmbeddingBackward(weights, type, 2), NumericalGradient(loss, types)), 1e-8);
}

TEST(EmbeddingTest, ThePaddingRowAndRowsNotLookedUpGetZeros) {
  Device& device = TestDevice();
  const Tensor index = Tensor::From<int64_t>(device, {4}, {3, 1, 3, 1});
  const Tensor dy = RandomTensor(device, DType::kF32, {4, 2}, 1);
  const float* d = dy.data<float>();
  const Tensor gradient = EmbeddingBackward(dy, index, 5, /*padding_row=*/1);
  const double expected[] = {0, 0, 0, 0, 0, 0, d[0] + d[4], d[1] + d[5], 0, 0};
  for (int i = 0; i < 10; ++i) EXPECT_FLOAT_EQ(gradient.data<float>()[i], expected[i]) << i;
  const Tensor none = EmbeddingBackward(Tensor::Empty(device, DType::kF32, {0, 2}),
                                        Tensor::Empty(device, DType::kI64, {0}), 2);
  EXPECT_EQ(ToDoubles(none), std::vector<double>(4));
}

TEST(EmbeddingTest, SumsAreAddedInTheOrderOfTheTables) {
  Device& device = TestDevice();
  const Tensor zero = Tensor::From<int64_t>(device, {1}, {0});
  const auto table = [&](double v) { return FromDoubles(device, DType::kF32, {1, 1}, {v}); };
  EXPECT_EQ(ToDoubles(EmbeddingForward({{table(1e8), zero}, {table(-1e8), zero}, {table(1), zero}}))[0], 1);
  EXPECT_EQ(ToDoubles(EmbeddingForward({{table(1), zero}, {table(1e8), zero}, {table(-1e8), zero}}))[0], 0);
  std::vector<Lookup> six;
  for (const double v : {1.0, 1e8, -1e8, 2.0, 1e8, -1e8}) six.push_back({table(v), zero});
  EXPECT_EQ(ToDoubles(EmbeddingForward(six))[0], 0);
}

TEST(EmbeddingTest, GradientIsTheSumOverThePlaces) {
  Device& device = TestDevice();
  // Many places of a number, of two numbers alone, and of numbers that are all different.
  for (const auto& [places, rows, padding] :
       {std::tuple(700, 10, 0), {300, 2, -1}, {64, 1, -1}, {200, 4000, 7}}) {
    const int64_t d = 261;
    const Tensor index = RandomIndex(device, {places}, rows, 1);
    const Tensor dy = RandomTensor(device, DType::kF32, {places, d}, 2);
    std::vector<double> expected(rows * d);
    for (int64_t r = 0; r < places; ++r) {
      const int64_t number = index.data<int64_t>()[r];
      for (int64_t j = 0; j < d && number != padding; ++j) {
        expected[number * d + j] += dy.data<float>()[r * d + j];
      }
    }
    EXPECT_LT(Distance(ToDoubles(EmbeddingBackward(dy, index, rows, padding)), expected), 1e-7) << places;
  }
}

TEST(EmbeddingTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  const Tensor table = RandomTensor(device, DType::kF32, {50, 130}, 1),
               dy = RandomTensor(device, DType::kF32, {40, 30, 130}, 2);
  const Tensor index = RandomIndex(device, {40, 30}, 50, 3);
  const Tensor y = EmbeddingForward({{table, index}}), gradient = EmbeddingBackward(dy, index, 50);
  ForEachThreadCount([&](int) {
    EXPECT_TRUE(SameBits(EmbeddingForward({{table, index}}), y));
    EXPECT_TRUE(SameBits(EmbeddingBackward(dy, index, 50), gradient));
  });
}

TEST(EmbeddingDeathTest, NumbersOutsideOfTheTable) {
  Device& device = TestDevice();
  if (device.accelerator() != nullptr && device.accelerator()->Name() != "GPU on the host") {
    GTEST_SKIP() << "a GPU stops, and with it all tests after this one";
  }
  const Tensor table = RandomTensor(device, DType::kF32, {4, 2}, 1);
  const Tensor dy = RandomTensor(device, DType::kF32, {1, 2}, 1);
  for (const int64_t bad : {int64_t{-1}, int64_t{4}, INT64_MIN, INT64_MAX}) {
    const Tensor index = Tensor::From<int64_t>(device, {1}, {bad});
    EXPECT_DEATH(ToDoubles(EmbeddingForward({{table, index}})), "i < rows");
    EXPECT_DEATH(ToDoubles(EmbeddingBackward(dy, index, 4)), "i < rows");
  }
}

}  // namespace
}  // namespace halftone::ops
