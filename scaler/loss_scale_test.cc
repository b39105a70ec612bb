#include "scaler/loss_scale.h"

#include <cfloat>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace halftone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

LossScale Make(const LossScaleOptions& options) {
  auto scaler = LossScale::Create(options);
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

  void ExpectTrajectory(LossScale scaler, size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      EXPECT_EQ(scaler.scale(), golden_["scale_used"][i].get<double>()) << i;
      EXPECT_EQ(scaler.Update(golden_["found_inf"][i] == 0).apply_step, golden_["step_applied"][i] == 1) << i;
      EXPECT_EQ(scaler.scale(), golden_["scale_after_update"][i].get<double>()) << i;
      EXPECT_EQ(scaler.state().growth_tracker, golden_["growth_tracker_after"][i]) << i;
    }
    if (to == golden_["found_inf"].size()) {
      EXPECT_EQ(scaler.state().steps, golden_["steps_applied_total"]);
      EXPECT_EQ(scaler.state().steps + scaler.state().skipped, static_cast<int64_t>(to));
    }
  }

  nlohmann::json golden_;
  LossScaleOptions options_;
};

TEST_P(GoldenTest, SameTrajectory) {
  ASSERT_EQ(golden_["found_inf"].size(), 200);
  ExpectTrajectory(Make(options_), 0, 200);
}

TEST_P(GoldenTest, SameTrajectoryWhenResumedAnywhere) {
  LossScale scaler = Make(options_);
  for (size_t i = 0; i < 200; ++i) {
    LossScale resumed = Make(options_);
    ASSERT_TRUE(resumed.Restore(scaler.state()).ok());
    ExpectTrajectory(resumed, i, 200);
    scaler.Update(golden_["found_inf"][i] == 0);
  }
}

INSTANTIATE_TEST_SUITE_P(PyTorch, GoldenTest,
                         testing::Values("default_interval20", "interval2000", "odd_factors_interval7",
                                         "overflow_guard"),
                         [](const auto& info) { return std::string(info.param); });

TEST(LossScaleTest, StaysWithinItsLimits) {
  LossScale scaler = Make({.initial = 8, .growth_interval = 2, .min_scale = 3, .max_scale = 12});
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

TEST(LossScaleTest, DefaultLimitsAreOneAndTwoToTheEighteenth) {
  LossScale scaler = Make({});
  for (int i = 0; i < 10 * 2000; ++i) scaler.Update(true);
  EXPECT_EQ(scaler.scale(), std::ldexp(1.0f, 18));
  for (int i = 0; i < 30; ++i) scaler.Update(false);
  EXPECT_EQ(scaler.scale(), 1);
}

// The factor is a double: 1.1f would give another scale.
TEST(LossScaleTest, FactorsAreDoubles) {
  LossScale scaler = Make({.initial = 1000, .growth_factor = 1.1, .growth_interval = 1});
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

TEST(LossScaleTest, DisabledKeepsOneAndStillSkips) {
  LossScale scaler = Make({.growth_interval = 1, .enabled = false});
  EXPECT_EQ(scaler.scale(), 1);
  EXPECT_TRUE(scaler.Update(true).apply_step);
  EXPECT_FALSE(scaler.Update(false).apply_step);
  EXPECT_EQ(scaler.scale(), 1);
  EXPECT_EQ(scaler.state().steps, 1);
  EXPECT_EQ(scaler.state().skipped, 1);

  LossScale resumed = Make({.enabled = false});
  EXPECT_TRUE(resumed.Restore(scaler.state()).ok());
  EXPECT_EQ(resumed.state().skipped, 1);
  const absl::Status other = resumed.Restore({.scale = 1024});
  EXPECT_THAT(std::string(other.message()), HasSubstr("disabled"));
}

TEST(LossScaleTest, RefusesBadOptions) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const auto expect = [](const char* field, const char* value, const LossScaleOptions& options) {
    const auto scaler = LossScale::Create(options);
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
  expect("growth_factor", "0.5", {.growth_factor = 0.5});
  expect("hysteresis", "0", {.hysteresis = 0});
  expect("floor_patience", "0", {.floor_patience = 0});
  expect("fallback_steps", "0", {.fallback_steps = 0});
  expect("min_scale", "4", {.initial = 4, .min_scale = 4, .max_scale = 2});
  expect("initial", "0.5", {.initial = 0.5});
  expect("initial", "524288", {.initial = 524288});
}

TEST(LossScaleTest, RefusesBadStatesAndChangesNothing) {
  LossScale scaler = Make({.growth_interval = 10});
  scaler.Update(true);
  const float nan = std::nanf("");
  for (const LossScaleState& bad : {
           LossScaleState{.scale = 0},
           LossScaleState{.scale = -2},
           LossScaleState{.scale = nan},
           LossScaleState{.scale = HUGE_VALF},
           LossScaleState{.scale = 1 << 19},
           LossScaleState{.scale = 2, .growth_tracker = -1},
           LossScaleState{.scale = 2, .growth_tracker = 10},
           LossScaleState{.scale = 2, .steps = -1},
           LossScaleState{.scale = 2, .skipped = -1},
       }) {
    EXPECT_EQ(scaler.Restore(bad).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(scaler.scale(), 65536);
    EXPECT_EQ(scaler.state().growth_tracker, 1);
    EXPECT_EQ(scaler.state().steps, 1);
  }
  EXPECT_TRUE(scaler.Restore({.scale = 2, .growth_tracker = 9, .steps = 5, .skipped = 6}).ok());
  EXPECT_TRUE(scaler.Update(true).apply_step);
  EXPECT_EQ(scaler.scale(), 4);
  EXPECT_EQ(scaler.state().steps, 6);
}

// One step of a script, and all that must be seen after it.
struct Step {
  bool finite;
  float scale;  // afterwards
  UpdateStatus status = UpdateStatus::kNoUpdate;
  FloorAction action = FloorAction::kNone;
};

constexpr UpdateStatus kUp = UpdateStatus::kScaleIncreased, kDown = UpdateStatus::kScaleDecreased,
                       kSame = UpdateStatus::kNoUpdate;

struct Script {
  const char* name;
  LossScaleOptions options;
  std::vector<Step> steps;
};

std::vector<Script> Scripts() {
  return {
      {"grows_and_backs_off",
       {.initial = 8, .growth_interval = 2},
       {{true, 8},
        {true, 16, kUp},
        {false, 8, kDown},
        {true, 8},
        {false, 4, kDown},
        {true, 4},
        {true, 8, kUp}}},
      {"never_up_at_the_maximum_nor_down_at_the_minimum",
       {.initial = 4, .growth_interval = 1, .min_scale = 2, .max_scale = 8},
       {{true, 8, kUp},
        {true, 8, kSame},
        {false, 4, kDown},
        {false, 2, kDown},
        {false, 2, kSame},
        {true, 4, kUp}}},
      {"growth_to_infinity_is_none",
       {.initial = 3e38f, .growth_interval = 1, .max_scale = FLT_MAX},
       {{true, 3e38f, kSame}, {false, 1.5e38f, kDown}}},
      {"static",
       {.initial = 8, .growth_interval = 1, .dynamic = false},
       {{true, 8}, {false, 8}, {false, 8}, {true, 8}}},
      {"static_beyond_the_bounds",
       {.initial = 0x1p30f, .max_scale = 4, .dynamic = false},
       {{true, 0x1p30f}, {false, 0x1p30f}}},
      {"disabled", {.growth_interval = 1, .enabled = false}, {{true, 1}, {false, 1}, {true, 1}}},
      // The third overflow and each after it backs off, with good steps between or not; growth refills.
      {"hysteresis",
       {.initial = 64, .growth_interval = 3, .hysteresis = 3},
       {{false, 64},
        {true, 64},
        {true, 64},
        {false, 64},
        {true, 64},
        {false, 32, kDown},
        {false, 16, kDown},
        {true, 16},
        {false, 8, kDown},
        {true, 8},
        {true, 8},
        {true, 16, kUp},
        {false, 16},
        {false, 16},
        {false, 8, kDown}}},
      {"the_end_of_an_interval_at_the_maximum_refills_too",
       {.initial = 8, .growth_interval = 1, .max_scale = 8, .hysteresis = 2},
       {{false, 8}, {true, 8}, {false, 8}, {false, 4, kDown}, {true, 8, kUp}, {false, 8}}},
      {"floor_skip",
       {.initial = 2, .floor_policy = FloorPolicy::kSkip, .floor_patience = 1},
       {{false, 1, kDown}, {false, 1}, {false, 1}, {false, 1}}},
      // Patience counts all skipped steps in a row; a good one starts over.
      {"floor_error",
       {.initial = 4, .floor_policy = FloorPolicy::kError, .floor_patience = 3},
       {{false, 2, kDown},
        {false, 1, kDown},
        {true, 1},
        {false, 1},
        {false, 1},
        {false, 1, kSame, FloorAction::kRaise},
        {false, 1, kSame, FloorAction::kRaise},
        {true, 1}}},
      {"floor_error_waits_for_the_floor",
       {.initial = 8, .floor_policy = FloorPolicy::kError, .floor_patience = 1},
       {{false, 4, kDown}, {false, 2, kDown}, {false, 1, kDown, FloorAction::kRaise}}},
      {"static_is_at_its_floor",
       {.initial = 8, .dynamic = false, .floor_policy = FloorPolicy::kError, .floor_patience = 2},
       {{false, 8}, {false, 8, kSame, FloorAction::kRaise}}},
      {"fallback",
       {.initial = 4,
        .growth_interval = 1,
        .min_scale = 2,
        .hysteresis = 2,
        .floor_policy = FloorPolicy::kFallback,
        .floor_patience = 3,
        .fallback_steps = 3},
       {{false, 4},
        {false, 2, kDown},
        {false, 1, kDown, FloorAction::kEnterFallback},
        {true, 1},
        {false, 1},
        {true, 4, kUp, FloorAction::kLeaveFallback},
        {false, 4},
        {false, 2, kDown},
        {false, 1, kDown, FloorAction::kEnterFallback},
        {true, 1},
        {true, 1},
        {true, 4, kUp, FloorAction::kLeaveFallback},
        {true, 8, kUp}}},
      {"fallback_from_a_static_scale",
       {.initial = 8,
        .dynamic = false,
        .floor_policy = FloorPolicy::kFallback,
        .floor_patience = 1,
        .fallback_steps = 1},
       {{false, 1, kDown, FloorAction::kEnterFallback},
        {true, 8, kUp, FloorAction::kLeaveFallback},
        {true, 8}}},
      {"fallback_that_does_not_help",
       {.initial = 1, .floor_policy = FloorPolicy::kFallback, .floor_patience = 2, .fallback_steps = 3},
       {{false, 1},
        {false, 1, kSame, FloorAction::kEnterFallback},
        {false, 1},
        {false, 1, kSame, FloorAction::kRaise},
        {false, 1, kSame, FloorAction::kRaise},
        {true, 1},
        {true, 1, kSame, FloorAction::kLeaveFallback}}},
      {"disabled_has_nothing_to_fall_back_from",
       {.enabled = false, .floor_policy = FloorPolicy::kFallback, .floor_patience = 2},
       {{false, 1}, {false, 1, kSame, FloorAction::kRaise}}},
  };
}

class ScriptTest : public testing::TestWithParam<Script> {
 protected:
  void Run(LossScale scale, size_t from) {
    const std::vector<Step>& steps = GetParam().steps;
    for (size_t i = from; i < steps.size(); ++i) {
      const float before = scale.scale();
      EXPECT_EQ(scale.Update(steps[i].finite),
                (ScaleUpdate{steps[i].status, before, steps[i].scale, steps[i].finite, steps[i].action}))
          << "step " << i << " from " << from;
      EXPECT_EQ(scale.scale(), steps[i].scale) << "step " << i << " from " << from;
    }
  }
};

TEST_P(ScriptTest, EveryTransition) { Run(Make(GetParam().options), 0); }

TEST_P(ScriptTest, TheSameFutureWhenRestoredAtAnyStep) {
  LossScale scale = Make(GetParam().options);
  for (size_t i = 0; i < GetParam().steps.size(); ++i) {
    LossScale restored = Make(GetParam().options);
    const absl::Status status = restored.Restore(scale.state());
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(restored.state(), scale.state());
    Run(restored, i);
    scale.Update(GetParam().steps[i].finite);
  }
}

INSTANTIATE_TEST_SUITE_P(Scripts, ScriptTest, testing::ValuesIn(Scripts()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(LossScaleTest, RefusesStatesThatTheOptionsCannotReach) {
  const LossScaleOptions fallback = {.floor_policy = FloorPolicy::kFallback, .fallback_steps = 5};
  const auto refused = [](const LossScaleOptions& options, const LossScaleState& state) {
    LossScale scale = Make(options);
    const LossScaleState before = scale.state();
    const absl::Status status = scale.Restore(state);
    EXPECT_EQ(scale.state(), before);
    return std::string(status.message());
  };
  EXPECT_THAT(refused({}, {.scale = 1024, .hysteresis_tracker = 2}), HasSubstr("hysteresis_tracker is 2"));
  EXPECT_THAT(refused({}, {.scale = 1024, .hysteresis_tracker = -1}), HasSubstr("hysteresis_tracker is -1"));
  EXPECT_THAT(refused({}, {.scale = 1024, .skipped_in_a_row = 2, .skipped = 1}), HasSubstr("in_a_row is 2"));
  EXPECT_THAT(refused({}, {.scale = 1, .fallback_left = 1}),
              HasSubstr("fallback_left is 1, expected 0 to 0"));
  EXPECT_THAT(refused(fallback, {.scale = 1, .fallback_left = 6}), HasSubstr("expected 0 to 5"));
  EXPECT_THAT(refused(fallback, {.scale = 2, .fallback_left = 3}), HasSubstr("in a fallback"));
  EXPECT_THAT(refused(fallback, {.scale = 1, .growth_tracker = 1, .fallback_left = 3}),
              HasSubstr("growth_tracker"));
  EXPECT_THAT(refused({.initial = 8, .dynamic = false}, {.scale = 4}), HasSubstr("is 4, expected 8 to 8"));
  EXPECT_TRUE(Make(fallback).Restore({.scale = 1, .fallback_left = 5}).ok());
}

TEST(LossScaleTest, Presets) {
  for (const LossScalePreset& preset : LossScalePresets()) {
    SCOPED_TRACE(std::string(preset.name));
    const LossScaleOptions found = FindLossScalePreset(preset.name).value();
    EXPECT_EQ(found.initial, preset.options.initial);
    EXPECT_EQ(found.backoff_factor, 0.5);
    EXPECT_EQ(found.min_scale, 1);
    EXPECT_EQ(found.max_scale, 262144);
    EXPECT_EQ(Make(found).scale(), found.initial);
  }
  const auto expect = [](const char* name, float initial, double factor, int interval) {
    const LossScaleOptions o = FindLossScalePreset(name).value();
    EXPECT_EQ(o.initial, initial) << name;
    EXPECT_EQ(o.growth_factor, factor) << name;
    EXPECT_EQ(o.growth_interval, interval) << name;
  };
  expect("default", 65536, 2, 2000);
  expect("conservative", 32768, 1.5, 5000);
  expect("aggressive", 131072, 2.5, 1000);
  expect("classic", 32768, 2, 2000);
  EXPECT_EQ(FindLossScalePreset("Default").status().message(),
            "unknown loss scale preset \"Default\"; valid: default, conservative, aggressive, classic");
}

}  // namespace
}  // namespace halftone
