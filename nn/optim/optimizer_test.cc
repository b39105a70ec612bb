#include "nn/optim/optimizer.h"

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nn/optim/adam.h"
#include "nn/optim/optim_twin.h"
#include "nn/optim/sgd.h"
#include "testing/variations.h"

namespace halftone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Arrays = std::vector<std::vector<float>>;

// Sizes around every vector length and block, and enough blocks for several threads.
const std::vector<size_t> kSizes = {1, 0, 3, 8, 15, 16, 17, 64, 4095, 4096, 4097, 100003};

Arrays RandomArrays(std::mt19937& random, float magnitude) {
  std::normal_distribution<float> normal(0, magnitude);
  Arrays arrays;
  for (const size_t n : kSizes) {
    arrays.emplace_back(n);
    for (float& x : arrays.back()) x = normal(random);
  }
  return arrays;
}

std::vector<ParamRef> Refs(const std::vector<std::string>& names, Arrays& values, const Arrays& grads) {
  std::vector<ParamRef> refs;
  for (size_t i = 0; i < values.size(); ++i) refs.push_back({names[i], absl::MakeSpan(values[i]), grads[i]});
  return refs;
}

// Each step has another rate, and the last ones override the momentum as a one-cycle schedule does.
constexpr int kSteps = 4;
StepOptions At(int t) {
  StepOptions step{.learning_rate = 0.1 / (t + 1)};
  if (t >= 2) step.momentum = 0.95 - 0.1 * t;
  if (t % 2 == 1) step.gradient_factor = 0.3f;
  return step;
}

struct Row {
  std::string name;
  absl::StatusOr<std::unique_ptr<Optimizer>> (*make)();
  std::function<void(Arrays& values, const std::vector<Arrays>& grads)> run_twin;
};

template <typename Twin>
std::function<void(Arrays&, const std::vector<Arrays>&)> Runner(const Twin& twin) {
  return [twin](Arrays& values, const std::vector<Arrays>& grads) {
    for (size_t i = 0; i < values.size(); ++i) {
      Twin t = twin;
      for (int step = 0; step < kSteps; ++step) t.Step(values[i], grads[step][i], At(step));
    }
  };
}

constexpr SgdOptions kPlain = {.weight_decay = 5e-4};
constexpr SgdOptions kMomentum = {.momentum = 0.9, .dampening = 0.1, .weight_decay = 5e-4};
constexpr SgdOptions kNesterov = {.momentum = 0.9, .weight_decay = 5e-4, .nesterov = true};
constexpr AdamOptions kAdam = {.weight_decay = 0.01};
constexpr AdamWOptions kAdamW = {.beta2 = 0.99, .weight_decay = 0.05};

std::vector<Row> Rows() {
  return {
      {"Sgd", [] { return MakeSgd(kPlain); }, Runner(SgdTwin<float>{kPlain})},
      {"SgdMomentum", [] { return MakeSgd(kMomentum); }, Runner(SgdTwin<float>{kMomentum})},
      {"SgdNesterov", [] { return MakeSgd(kNesterov); }, Runner(SgdTwin<float>{kNesterov})},
      {"Adam", [] { return MakeAdam(kAdam); }, Runner(AdamTwin<float>{kAdam})},
      {"AdamW", [] { return MakeAdamW(kAdamW); },
       Runner(AdamTwin<float>{{.beta2 = kAdamW.beta2, .weight_decay = kAdamW.weight_decay},
                              /*decoupled=*/true})},
  };
}

class OptimizerTest : public testing::TestWithParam<Row> {
 protected:
  OptimizerTest() : random_(11), start_(RandomArrays(random_, 1)) {
    for (int t = 0; t < kSteps; ++t) grads_.push_back(RandomArrays(random_, 0.1f));
    for (size_t i = 0; i < kSizes.size(); ++i) names_.push_back("layer" + std::to_string(i) + ".weight");
  }

  std::unique_ptr<Optimizer> Make() {
    auto optimizer = GetParam().make();
    EXPECT_TRUE(optimizer.ok()) << optimizer.status();
    return *std::move(optimizer);
  }

  void Run(Optimizer& optimizer, Arrays& values, int from, int to) {
    for (int t = from; t < to; ++t) optimizer.Step(Refs(names_, values, grads_[t]), At(t));
  }

  std::mt19937 random_;
  Arrays start_;
  std::vector<Arrays> grads_;
  std::vector<std::string> names_;
};

TEST_P(OptimizerTest, SameBitsAsTheTwinOnEveryMachine) {
  Arrays expected = start_;
  GetParam().run_twin(expected, grads_);
  ASSERT_NE(expected, start_);
  ForEachTarget([&](int64_t) {
    ForEachThreadCount([&](int threads) {
      Arrays values = start_;
      Run(*Make(), values, 0, kSteps);
      EXPECT_TRUE(values == expected) << threads << " threads";
    });
  });
}

TEST_P(OptimizerTest, ResumingChangesNoBit) {
  Arrays expected = start_;
  Run(*Make(), expected, 0, kSteps);
  for (int at = 0; at <= kSteps; ++at) {
    Arrays values = start_;
    const auto first = Make(), second = Make();
    Run(*first, values, 0, at);
    EXPECT_EQ(first->State().steps, at);
    ASSERT_TRUE(second->Restore(Refs(names_, values, values), first->State()).ok());
    Run(*second, values, at, kSteps);
    EXPECT_EQ(values, expected) << at;
    EXPECT_EQ(second->steps(), kSteps);
  }
}

TEST_P(OptimizerTest, RestoresItsOwnState) {
  Arrays expected = start_, values = start_;
  Run(*Make(), expected, 0, kSteps);
  const auto optimizer = Make();
  Run(*optimizer, values, 0, 2);
  ASSERT_TRUE(optimizer->Restore(Refs(names_, values, values), optimizer->State()).ok());
  Run(*optimizer, values, 2, kSteps);
  EXPECT_EQ(values, expected);
}

TEST_P(OptimizerTest, RefusesAForeignStateAndChangesNothing) {
  Arrays expected = start_, values = start_;
  Run(*Make(), expected, 0, kSteps);
  const auto optimizer = Make();
  Run(*optimizer, values, 0, 2);
  const std::vector<ParamRef> params = Refs(names_, values, values);
  const auto expect_refused = [&](const OptimizerState& state, const std::string& text) {
    const absl::Status status = optimizer->Restore(params, state);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(text), Not(HasSubstr("\n"))));
  };
  const std::vector<float> one = {1};
  OptimizerState state = optimizer->State();
  state.tensors.push_back({"momentum/elsewhere", one});
  expect_refused(state, "momentum/elsewhere is not expected");
  state = optimizer->State();
  state.steps = -1;
  expect_refused(state, "-1 steps");
  if (!optimizer->State().tensors.empty()) {
    const std::string name = optimizer->State().tensors.back().name;
    state = optimizer->State();
    state.tensors.push_back(state.tensors.back());
    expect_refused(state, name + " is there twice");
    state = optimizer->State();
    state.tensors.pop_back();
    expect_refused(state, name + " is missing");
    state = optimizer->State();
    state.tensors.back().value = one;
    expect_refused(state, name + " has 1 elements, expected 100003");
    state = optimizer->State();
    state.steps = 0;
    expect_refused(state, "not expected with these parameters after 0 steps");
  }
  Run(*optimizer, values, 2, kSteps);
  EXPECT_EQ(values, expected);
}

INSTANTIATE_TEST_SUITE_P(All, OptimizerTest, testing::ValuesIn(Rows()),
                         [](const auto& info) { return info.param.name; });

TEST(StateTest, NamesSayWhatAndWhose) {
  std::vector<float> w = {1, 2}, g = {0.5, 0.5};
  const ParamRef param = {"fc.weight", absl::MakeSpan(w), g};
  const auto names = [&](Optimizer& optimizer) {
    EXPECT_TRUE(optimizer.State().tensors.empty());
    optimizer.Step({param}, {.learning_rate = 0.1});
    std::vector<std::string> names;
    for (const StateTensor& tensor : optimizer.State().tensors) names.push_back(tensor.name);
    return names;
  };
  EXPECT_THAT(names(**MakeSgd({})), testing::ElementsAre());
  EXPECT_THAT(names(**MakeSgd({.momentum = 0.9})), testing::ElementsAre("momentum/fc.weight"));
  EXPECT_THAT(names(**MakeAdam({})), testing::ElementsAre("exp_avg/fc.weight", "exp_avg_sq/fc.weight"));
}

TEST(DescribeTest, OneLine) {
  EXPECT_EQ((*MakeSgd({.momentum = 0.9, .weight_decay = 5e-4}))->Describe(),
            "SGD, momentum 0.9, weight decay 0.0005");
  EXPECT_EQ((*MakeSgd({.momentum = 0.9, .nesterov = true}))->Describe(),
            "SGD, momentum 0.9 (Nesterov), weight decay 0");
  EXPECT_EQ((*MakeSgd({.momentum = 0.9, .dampening = 0.1}))->Describe(),
            "SGD, momentum 0.9, dampening 0.1, weight decay 0");
  EXPECT_EQ((*MakeAdam({}))->Describe(), "Adam, beta1 0.9, beta2 0.999, epsilon 1e-08, weight decay 0");
  EXPECT_EQ((*MakeAdamW({}))->Describe(), "AdamW, beta1 0.9, beta2 0.999, epsilon 1e-08, weight decay 0.01");
}

const double kNan = std::nan(""), kInfinity = std::numeric_limits<double>::infinity();

void ExpectRefused(const absl::StatusOr<std::unique_ptr<Optimizer>>& optimizer, const std::string& text) {
  ASSERT_FALSE(optimizer.ok()) << text;
  EXPECT_EQ(optimizer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(optimizer.status().message()), AllOf(HasSubstr(text), Not(HasSubstr("\n"))));
}

TEST(MakeSgdTest, RefusesBadOptions) {
  for (const double bad : {-0.1, kNan, kInfinity}) {
    ExpectRefused(MakeSgd({.momentum = bad}), "sgd: momentum is ");
    ExpectRefused(MakeSgd({.momentum = 0.9, .dampening = bad}), "sgd: dampening is ");
    ExpectRefused(MakeSgd({.weight_decay = bad}), "sgd: weight_decay is ");
  }
  ExpectRefused(MakeSgd({.momentum = 0.9, .dampening = 1.5}),
                "sgd: dampening is 1.5, expected a number from 0 to 1");
  ExpectRefused(MakeSgd({.nesterov = true}), "sgd: momentum is 0, expected more than 0 with nesterov");
  ExpectRefused(MakeSgd({.momentum = 0.9, .dampening = 0.5, .nesterov = true}),
                "sgd: dampening is 0.5, expected 0");
}

TEST(MakeAdamTest, RefusesBadOptions) {
  for (const double bad : {-0.1, kNan, kInfinity}) {
    ExpectRefused(MakeAdam({.beta1 = bad}), "adam: beta1 is ");
    ExpectRefused(MakeAdam({.beta2 = bad}), "adam: beta2 is ");
    ExpectRefused(MakeAdam({.epsilon = bad}), "adam: epsilon is ");
    ExpectRefused(MakeAdam({.weight_decay = bad}), "adam: weight_decay is ");
    ExpectRefused(MakeAdamW({.weight_decay = bad}), "adamw: weight_decay is ");
  }
  ExpectRefused(MakeAdam({.beta1 = 1}), "adam: beta1 is 1,");
  ExpectRefused(MakeAdamW({.beta2 = 1}), "adamw: beta2 is 1,");
  ExpectRefused(MakeAdam({.epsilon = 0}), "adam: epsilon is 0,");
  ExpectRefused(MakeAdam({.epsilon = 1e-60}), "adam: epsilon is 1e-60, expected a positive finite float32");
}

}  // namespace
}  // namespace halftone
