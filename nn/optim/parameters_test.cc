#include "nn/optim/parameters.h"

#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nn/optim/sgd.h"
#include "tensor/ops/cast/cast.h"
#include "testing/device.h"
#include "testing/tensors.h"

namespace halftone::nn {
namespace {

class ParametersTest : public ::testing::Test {
 protected:
  ParametersTest() {
    a_.Initialize(device_, Rng(1), "a");
    b_.Initialize(device_, Rng(1), "b");
  }

  void Give(Parameter& p, double gradient) {
    p.AccumulateGradient(
        FromDoubles(device_, DType::kF32, p.shape(),
                    std::vector<double>(static_cast<size_t>(p.shape().elements()), gradient)));
  }

  Device& device_ = TestDevice();
  Parameter a_{{3}, Init::Constant(1)}, b_{{2, 2}, Init::Constant(2)};
  const std::vector<Parameter*> both_ = {&a_, &b_};
  const std::unique_ptr<Optimizer> sgd_ = MakeSgd({}).value();
};

TEST_F(ParametersTest, NoGradientAtAllIsAnErrorAndOneThatIsMissingIsZero) {
  EXPECT_THAT(std::string(GradientsOf(both_).status().message()),
              testing::HasSubstr("no parameter has a gradient"));
  Give(b_, 4);
  const auto gradients = GradientsOf(both_).value();
  EXPECT_THAT(gradients[0], testing::ElementsAre(0, 0, 0));
  EXPECT_THAT(gradients[1], testing::Each(4));
  ClearGradients(both_);
  EXPECT_FALSE(GradientsOf(both_).ok());
}

TEST_F(ParametersTest, AStepUpdatesMastersAndTheWorkingCopiesThatThereAre) {
  EXPECT_EQ(ToDoubles(a_.Working(DType::kF16)), (std::vector<double>{1, 1, 1}));
  Give(a_, 0.25), Give(b_, 0x1p-12);
  Step(*sgd_, both_, {.learning_rate = 1});
  EXPECT_EQ(ToDoubles(a_.master()), (std::vector<double>{0.75, 0.75, 0.75}));
  EXPECT_EQ(ToDoubles(a_.Working(DType::kF16)), (std::vector<double>{0.75, 0.75, 0.75}));
  EXPECT_EQ(ToDoubles(b_.master())[0], 2 - 0x1p-12);
  EXPECT_EQ(ToDoubles(b_.Working(DType::kBF16))[0], 2);  // cast when it is asked for
}

TEST_F(ParametersTest, WeightsOfSixteenBitsAloneAreUpdatedAsTheyAre) {
  a_.SetMaster(ops::Cast(a_.master(), DType::kBF16));
  Give(a_, 0.5), Give(b_, 0);
  const std::vector<ParamRef> refs = ParamRefs(both_);
  EXPECT_TRUE(refs[0].value.empty());
  EXPECT_EQ(refs[0].weights16.format.exponent_bits, 8);
  EXPECT_EQ(refs[1].value.size(), 4u);
  Step(*sgd_, both_, {.learning_rate = 1});
  EXPECT_EQ(ToDoubles(a_.master()), (std::vector<double>{0.5, 0.5, 0.5}));
}

}  // namespace
}  // namespace halftone::nn
