#include "nn/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace halftone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Made = absl::StatusOr<std::unique_ptr<Schedule>>;

std::unique_ptr<Schedule> Take(Made made) {
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

// PyTorch's rates for 100 steps at base rate 0.1.
class GoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto text = ReadFile("nn/optim/testdata/lr_schedules.json");
    ASSERT_TRUE(text.ok()) << text.status();
    golden_ = nlohmann::json::parse(*text);
  }

  // PyTorch derives some rates from the step before and so gathers rounding: 1e-13 of the base rate covers
  // it.
  void ExpectGolden(const char* name, const Made& made) {
    ASSERT_TRUE(made.ok()) << made.status();
    SCOPED_TRACE(name);
    ++met_;
    const auto& golden = golden_[name];
    ASSERT_EQ(golden["lr"].size(), 100);
    for (int t = 0; t < 100; ++t) {
      const StepOptions at = (*made)->At(t);
      EXPECT_NEAR(at.learning_rate, golden["lr"][t], 1e-14) << t;
      ASSERT_EQ(at.momentum.has_value(), golden.contains("momentum")) << t;
      if (at.momentum) {
        EXPECT_NEAR(*at.momentum, golden["momentum"][t], 1e-13) << t;
      }
    }
  }

  nlohmann::json golden_;
  size_t met_ = 0;
};

TEST_F(GoldenTest, EverySchedule) {
  ExpectGolden("step", MakeStepSchedule({.step_size = 30, .gamma = 0.1}, 0.1, 100));
  ExpectGolden("multi_step", MakeMultiStepSchedule({.milestones = {40, 60, 80}, .gamma = 0.2}, 0.1, 100));
  ExpectGolden("cosine", MakeCosineSchedule({.final_fraction = 0.01}, 0.1, 100));
  OneCycleScheduleOptions one_cycle = {.warmup_fraction = 0.3,
                                       .anneal = Anneal::kCosine,
                                       .initial_divisor = 25,
                                       .final_divisor = 25 * 1e4,
                                       .min_momentum = 0.85,
                                       .max_momentum = 0.95};
  ExpectGolden("one_cycle", MakeOneCycleSchedule(one_cycle, 0.1, 100));
  one_cycle.anneal = Anneal::kLinear;
  one_cycle.min_momentum = one_cycle.max_momentum = 0;
  ExpectGolden("one_cycle_linear", MakeOneCycleSchedule(one_cycle, 0.1, 100));
  ExpectGolden("linear_warmup",
               MakeLinearWarmupSchedule({.warmup_steps = 20, .initial_fraction = 0.1}, 0.1, 100));
  ExpectGolden("linear_warmup_linear_decay",
               MakeLinearWarmupSchedule({.warmup_steps = 10, .decay = Decay::kLinear}, 0.1, 100));
  ExpectGolden("linear_warmup_cosine",
               MakeLinearWarmupSchedule({.warmup_steps = 10, .decay = Decay::kCosine}, 0.1, 100));
  EXPECT_EQ(met_, golden_.size());
}

TEST(ConstantTest, IsConstant) {
  const auto schedule = Take(MakeConstantSchedule({}, 0.25, 10));
  for (const int64_t t : {0, 9, 1000}) EXPECT_EQ(schedule->At(t).learning_rate, 0.25);
  EXPECT_FALSE(schedule->At(0).momentum.has_value());
}

// The defaults: up in a straight line over the first part, down to zero over the rest, no step at zero.
TEST(OneCycleTest, TriangleWithoutAStepAtZero) {
  for (const int steps : {1, 2, 3, 7, 10, 390, 781}) {
    const int up = std::max(1, static_cast<int>(.2 * steps));
    const auto schedule = Take(MakeOneCycleSchedule({.warmup_fraction = 0.2}, 0.1, steps));
    for (int i = 0; i < steps; ++i) {
      const double multiplier =
          i < up ? (i + 1.0) / up : std::max(0.0, (steps - i) / static_cast<double>(steps - up));
      EXPECT_NEAR(schedule->At(i).learning_rate, 0.1 * multiplier, 1e-16) << i << " of " << steps;
      EXPECT_GT(schedule->At(i).learning_rate, 0);
    }
    EXPECT_FALSE(schedule->At(0).momentum.has_value());
  }
}

TEST(OneCycleTest, EndsAndPeakAreWhereTheHeaderSays) {
  for (const Anneal anneal : {Anneal::kLinear, Anneal::kCosine}) {
    const auto schedule = Take(MakeOneCycleSchedule({.warmup_fraction = 0.25,
                                                     .anneal = anneal,
                                                     .initial_divisor = 10,
                                                     .final_divisor = 100,
                                                     .min_momentum = 0.8,
                                                     .max_momentum = 0.9},
                                                    2, 40));
    EXPECT_DOUBLE_EQ(schedule->At(0).learning_rate, 0.2);
    EXPECT_DOUBLE_EQ(schedule->At(9).learning_rate, 2);
    EXPECT_DOUBLE_EQ(schedule->At(39).learning_rate, 0.02);
    EXPECT_DOUBLE_EQ(*schedule->At(0).momentum, 0.9);
    EXPECT_DOUBLE_EQ(*schedule->At(9).momentum, 0.8);
    EXPECT_DOUBLE_EQ(*schedule->At(39).momentum, 0.9);
    for (int t = 1; t < 40; ++t) {
      EXPECT_EQ(schedule->At(t).learning_rate > schedule->At(t - 1).learning_rate, t <= 9) << t;
    }
  }
  // Of a single warm-up step there is only the peak.
  const auto abrupt = Take(MakeOneCycleSchedule({.warmup_fraction = 0.01, .initial_divisor = 25}, 1, 10));
  EXPECT_EQ(abrupt->At(0).learning_rate, 1);
}

TEST(ScheduleTest, BeyondTheEndTheRateOfTheEnd) {
  const auto expect_end = [](Made made, double rate) {
    const auto schedule = Take(std::move(made));
    for (const int64_t t : {100, 101, 1000000}) EXPECT_DOUBLE_EQ(schedule->At(t).learning_rate, rate);
  };
  expect_end(MakeStepSchedule({.step_size = 50, .gamma = 0.5}, 1, 100), 0.25);
  expect_end(MakeMultiStepSchedule({.milestones = {100, 200}, .gamma = 0.5}, 1, 100), 0.5);
  expect_end(MakeCosineSchedule({.final_fraction = 0.125}, 1, 100), 0.125);
  expect_end(MakeLinearWarmupSchedule({.warmup_steps = 10, .decay = Decay::kLinear}, 1, 100), 0);
  expect_end(MakeLinearWarmupSchedule({.warmup_steps = 100, .decay = Decay::kLinear}, 1, 100), 0);
  expect_end(MakeLinearWarmupSchedule({.warmup_steps = 100}, 1, 100), 1);
  expect_end(MakeOneCycleSchedule({}, 1, 100), 0);
  expect_end(MakeOneCycleSchedule({.final_divisor = 8}, 1, 100), 0.125);
}

void ExpectRefused(const Made& made, const std::string& text) {
  ASSERT_FALSE(made.ok()) << text;
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(made.status().message()),
              AllOf(HasSubstr("schedule: " + text), Not(HasSubstr("\n"))));
}

TEST(ScheduleTest, RefusesBadOptions) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {-0.5, nan, infinity}) {
    ExpectRefused(MakeConstantSchedule({}, bad, 10), "the base learning rate is ");
    ExpectRefused(MakeStepSchedule({.step_size = 1}, bad, 10), "the base learning rate is ");
    ExpectRefused(MakeMultiStepSchedule({.milestones = {1}}, bad, 10), "the base learning rate is ");
    ExpectRefused(MakeCosineSchedule({}, bad, 10), "the base learning rate is ");
    ExpectRefused(MakeLinearWarmupSchedule({}, bad, 10), "the base learning rate is ");
    ExpectRefused(MakeOneCycleSchedule({}, bad, 10), "the base learning rate is ");
    ExpectRefused(MakeStepSchedule({.step_size = 1, .gamma = bad}, 1, 10), "gamma is ");
    ExpectRefused(MakeMultiStepSchedule({.milestones = {1}, .gamma = bad}, 1, 10), "gamma is ");
    ExpectRefused(MakeCosineSchedule({.final_fraction = bad}, 1, 10), "final_fraction is ");
    ExpectRefused(MakeLinearWarmupSchedule({.initial_fraction = bad}, 1, 10), "initial_fraction is ");
    ExpectRefused(MakeOneCycleSchedule({.warmup_fraction = bad}, 1, 10), "warmup_fraction is ");
    ExpectRefused(MakeOneCycleSchedule({.initial_divisor = bad}, 1, 10), "initial_divisor is ");
    ExpectRefused(MakeOneCycleSchedule({.final_divisor = bad}, 1, 10), "final_divisor is ");
    ExpectRefused(MakeOneCycleSchedule({.min_momentum = bad}, 1, 10), "min_momentum is ");
    ExpectRefused(MakeOneCycleSchedule({.max_momentum = bad}, 1, 10), "max_momentum is ");
  }
  ExpectRefused(MakeConstantSchedule({}, 1, 0), "total_steps is 0, expected at least 1 step");
  ExpectRefused(MakeStepSchedule({}, 1, 10), "step_size is 0, expected at least 1 step");
  ExpectRefused(MakeMultiStepSchedule({}, 1, 10), "milestones is empty");
  ExpectRefused(MakeMultiStepSchedule({.milestones = {3, 3}}, 1, 10), "milestones has 3 after 3");
  ExpectRefused(MakeMultiStepSchedule({.milestones = {0}}, 1, 10), "milestones has 0 after 0");
  ExpectRefused(MakeLinearWarmupSchedule({.warmup_steps = 11}, 1, 10),
                "warmup_steps is 11, expected 0 to all 10");
  ExpectRefused(MakeLinearWarmupSchedule({.warmup_steps = -1}, 1, 10), "warmup_steps is -1");
  ExpectRefused(MakeOneCycleSchedule({.warmup_fraction = 0}, 1, 10), "warmup_fraction is 0,");
  ExpectRefused(MakeOneCycleSchedule({.warmup_fraction = 1}, 1, 10), "warmup_fraction is 1,");
  ExpectRefused(MakeOneCycleSchedule({.initial_divisor = 0.5}, 1, 10), "initial_divisor is 0.5,");
  ExpectRefused(MakeOneCycleSchedule({.min_momentum = 0.9, .max_momentum = 0.8}, 1, 10),
                "min_momentum is 0.9,");
}

}  // namespace
}  // namespace halftone
