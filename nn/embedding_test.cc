#include "nn/embedding.h"

#include <vector>

#include "gtest/gtest.h"
#include "nn/functional.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"

namespace halftone::nn {
namespace {

TEST(EmbeddingTest, SumOfTwoTablesAndItsGradients) {
  Device& device = TestDevice();
  Embedding words({.rows = 6, .features = 4, .padding_row = 0}), types({.rows = 2, .features = 4});
  Initialize(words, device, Rng(1));
  Initialize(types, device, Rng(2));
  ConvertTo(words, DType::kF64);
  ConvertTo(types, DType::kF64);
  const Tensor word = Tensor::From<int64_t>(device, {2, 3}, {5, 2, 0, 5, 1, 0});
  const Tensor type = Tensor::From<int64_t>(device, {2, 3}, {0, 1, 1, 0, 0, 1});
  const Tensor target = RandomTensor(device, DType::kF64, {2, 3, 4}, 3);
  const auto loss_on = [&](Graph& graph) {
    return MeanSquaredError(SumOfEmbeddings(graph, {{words, word}, {types, type}}), target);
  };
  Graph graph({.device = &device, .training = true});
  graph.Backward(loss_on(graph));
  const auto loss = [&] {
    Graph forward({.device = &device, .gradients = false});
    return loss_on(forward).Item();
  };
  Parameter &w = *Parameters(words)[0], &t = *Parameters(types)[0];
  EXPECT_LT(Distance(t.gradient(), NumericalGradient(loss, t.mutable_master())), 1e-9);
  Tensor expected = NumericalGradient(loss, w.mutable_master());
  for (int j = 0; j < 4; ++j) {
    EXPECT_NE(expected.data<double>()[j], 0);
    expected.data<double>()[j] = 0;  // the padding row's
  }
  EXPECT_LT(Distance(w.gradient(), expected), 1e-9);
  EXPECT_EQ(w.path(), "weight");
  EXPECT_TRUE(w.sparse());
}

TEST(EmbeddingTest, OneTableIsAModule) {
  Device& device = TestDevice();
  Embedding table({.rows = 3, .features = 2, .init = Init::Constant(7)});
  Initialize(table, device, Rng(1));
  // Rows come in full precision whatever the policy.
  CastPolicy policy;
  policy.lower = DType::kBF16;
  Graph graph({.device = &device, .policy = &policy});
  const Variable y = table(graph.Input(Tensor::From<int64_t>(device, {2}, {2, 0})));
  EXPECT_EQ(y.dtype(), DType::kF32);
  EXPECT_EQ(ToDoubles(y.value()), std::vector<double>(4, 7));
}

}  // namespace
}  // namespace halftone::nn
