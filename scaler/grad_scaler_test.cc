#include "scaler/grad_scaler.h"

#include <cfloat>
#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace halftone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

GradScaler Make(const GradScalerOptions& options) {
  auto scaler = GradScaler::Create(options);
  EXPECT_TRUE(scaler.ok()) << scaler.status();
  return *std::move(scaler);
}

// 200 steps of torch.amp.GradScaler, to be met exactly.
class GoldenTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto text = ReadFile(std::string("scaler/testdata/") + GetParam() + ".json");
    ASSERT_TRUE(text.ok()) << text.status();
    golden_ = nlohmann::json::parse(*text);
    const auto& config = golden_["config"];
    // PyTorch knows no limits: ours are as wide as floats go.
    options_ = {.initial = config["init_scale"],
                .growth_factor = config["growth_factor"],
                .backoff_factor = config["backoff_factor"],
                .growth_interval = config["growth_interval"],
                .min_scale = FLT_TRUE_MIN,
                .max_scale = FLT_MAX};
  }

  void ExpectTrajectory(GradScaler scaler, size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      EXPECT_EQ(scaler.scale(), golden_["scale_used"][i].get<double>()) << i;
      EXPECT_EQ(scaler.Update(golden_["found_inf"][i] == 0), golden_["step_applied"][i] == 1) << i;
      EXPECT_EQ(scaler.scale(), golden_["scale_after_update"][i].get<double>()) << i;
      EXPECT_EQ(scaler.state().growth_tracker, golden_["growth_tracker_after"][i]) << i;
    }
    if (to == golden_["found_inf"].size()) {
      EXPECT_EQ(scaler.state().steps, golden_["steps_applied_total"]);
      EXPECT_EQ(scaler.state().steps + scaler.state().skipped, static_cast<int64_t>(to));
    }
  }

  nlohmann::json golden_;
  GradScalerOptions options_;
};

TEST_P(GoldenTest, SameTrajectory) {
  ASSERT_EQ(golden_["found_inf"].size(), 200);
  ExpectTrajectory(Make(options_), 0, 200);
}

TEST_P(GoldenTest, SameTrajectoryWhenResumedAnywhere) {
  GradScaler scaler = Make(options_);
  for (size_t i = 0; i < 200; ++i) {
    GradScaler resumed = Make(options_);
    ASSERT_TRUE(resumed.Restore(scaler.state()).ok());
    ExpectTrajectory(resumed, i, 200);
    scaler.Update(golden_["found_inf"][i] == 0);
  }
}

INSTANTIATE_TEST_SUITE_P(PyTorch, GoldenTest,
                         testing::Values("default_interval20", "interval2000", "odd_factors_interval7",
                                         "overflow_guard"),
                         [](const auto& info) { return std::string(info.param); });

TEST(GradScalerTest, StaysWithinItsLimits) {
  GradScaler scaler = Make({.initial = 8, .growth_interval = 2, .min_scale = 3, .max_scale = 12});
  scaler.Update(false);
  EXPECT_EQ(scaler.scale(), 4);
  scaler.Update(false);
  EXPECT_EQ(scaler.scale(), 3);
  scaler.Update(false);
  EXPECT_EQ(scaler.scale(), 3);
  for (const float expected : {3, 6, 6, 12, 12, 12, 12}) {
    scaler.Update(true);
    EXPECT_EQ(scaler.scale(), expected);
  }
}

TEST(GradScalerTest, DefaultLimitsAreOneAndTwoToTheEighteenth) {
  GradScaler scaler = Make({});
  for (int i = 0; i < 10 * 2000; ++i) scaler.Update(true);
  EXPECT_EQ(scaler.scale(), std::ldexp(1.0f, 18));
  for (int i = 0; i < 30; ++i) scaler.Update(false);
  EXPECT_EQ(scaler.scale(), 1);
}

// The factor is a double: 1.1f would give another scale.
TEST(GradScalerTest, FactorsAreDoubles) {
  GradScaler scaler = Make({.initial = 1000, .growth_factor = 1.1, .growth_interval = 1});
  float expected = 1000;
  bool float_factor_differs = false;
  for (int i = 0; i < 20; ++i) {
    float_factor_differs |= static_cast<float>(expected * 1.1) != expected * 1.1f;
    expected = static_cast<float>(expected * 1.1);
    scaler.Update(true);
    EXPECT_EQ(scaler.scale(), expected);
  }
  EXPECT_TRUE(float_factor_differs);
}

TEST(GradScalerTest, DisabledKeepsOneAndStillSkips) {
  GradScaler scaler = Make({.growth_interval = 1, .enabled = false});
  EXPECT_EQ(scaler.scale(), 1);
  EXPECT_TRUE(scaler.Update(true));
  EXPECT_FALSE(scaler.Update(false));
  EXPECT_EQ(scaler.scale(), 1);
  EXPECT_EQ(scaler.state().steps, 1);
  EXPECT_EQ(scaler.state().skipped, 1);

  GradScaler resumed = Make({.enabled = false});
  EXPECT_TRUE(resumed.Restore(scaler.state()).ok());
  EXPECT_EQ(resumed.state().skipped, 1);
  const absl::Status other = resumed.Restore({.scale = 1024});
  EXPECT_THAT(std::string(other.message()), HasSubstr("disabled"));
}

TEST(GradScalerTest, RefusesBadOptions) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const auto expect = [](const char* field, const char* value, const GradScalerOptions& options) {
    const auto scaler = GradScaler::Create(options);
    ASSERT_FALSE(scaler.ok()) << field << " " << value;
    EXPECT_EQ(scaler.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(scaler.status().message()),
                AllOf(HasSubstr(std::string(field) + " is " + value + ","), testing::Not(HasSubstr("\n"))));
  };
  struct Bad {
    double value;
    const char* text;
  };
  for (const Bad bad : {Bad{0, "0"}, {-1, "-1"}, {nan, "nan"}, {infinity, "inf"}}) {
    const float value = static_cast<float>(bad.value);
    expect("initial", bad.text, {.initial = value});
    expect("min_scale", bad.text, {.min_scale = value});
    expect("max_scale", bad.text, {.max_scale = value});
    expect("growth_factor", bad.text, {.growth_factor = bad.value});
    expect("backoff_factor", bad.text, {.backoff_factor = bad.value});
  }
  expect("growth_factor", "1", {.growth_factor = 1});
  expect("backoff_factor", "1", {.backoff_factor = 1});
  expect("growth_interval", "0", {.growth_interval = 0});
  expect("growth_interval", "-5", {.growth_interval = -5});
  expect("min_scale", "4", {.initial = 4, .min_scale = 4, .max_scale = 2});
  expect("initial", "0.5", {.initial = 0.5});
  expect("initial", "524288", {.initial = 524288});
}

TEST(GradScalerTest, RefusesBadStatesAndChangesNothing) {
  GradScaler scaler = Make({.growth_interval = 10});
  scaler.Update(true);
  const float nan = std::nanf("");
  for (const GradScalerState& bad : {
           GradScalerState{.scale = 0},
           GradScalerState{.scale = -2},
           GradScalerState{.scale = nan},
           GradScalerState{.scale = HUGE_VALF},
           GradScalerState{.scale = 1 << 19},
           GradScalerState{.scale = 2, .growth_tracker = -1},
           GradScalerState{.scale = 2, .growth_tracker = 10},
           GradScalerState{.scale = 2, .steps = -1},
           GradScalerState{.scale = 2, .skipped = -1},
       }) {
    EXPECT_EQ(scaler.Restore(bad).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(scaler.scale(), 65536);
    EXPECT_EQ(scaler.state().growth_tracker, 1);
    EXPECT_EQ(scaler.state().steps, 1);
  }
  EXPECT_TRUE(scaler.Restore({.scale = 2, .growth_tracker = 9, .steps = 5, .skipped = 6}).ok());
  EXPECT_TRUE(scaler.Update(true));
  EXPECT_EQ(scaler.scale(), 4);
  EXPECT_EQ(scaler.state().steps, 6);
}

}  // namespace
}  // namespace halftone
