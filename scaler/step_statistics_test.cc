#include "scaler/step_statistics.h"

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/philox.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

StepStatistics Make(const StepStatisticsOptions& options, std::vector<std::string> parameters = {}) {
  return StepStatistics::Create(options, std::move(parameters)).value();
}

StepRecord Good(double loss = 1, double norm = 2) { return {.loss = loss, .grad_norm = norm}; }

StepRecord Overflow() { return {.loss = 1, .grad_norm = kInfinity, .skip = SkipReason::kNonFiniteGradients}; }

std::vector<WarningKind> Kinds(const StepStatistics& statistics) {
  std::vector<WarningKind> kinds;
  for (const Warning& w : statistics.Warnings()) kinds.push_back(w.kind);
  return kinds;
}

TEST(StepStatisticsTest, Totals) {
  StepStatistics s = Make({});
  EXPECT_EQ(s.totals().overflow_rate(), 0);
  EXPECT_EQ(s.totals().avg_grad_norm(), 0);
  s.Add({.loss = 4, .grad_norm = 3, .update = {UpdateStatus::kScaleIncreased, 8, 16, true}});
  s.Add({.loss = 2,
         .grad_norm = kInfinity,
         .skip = SkipReason::kNonFiniteGradients,
         .update = {UpdateStatus::kScaleDecreased, 16, 8, false}});
  s.Add({.loss = std::nan(""),
         .grad_norm = 100,
         .skip = SkipReason::kNonFiniteLoss,
         .update = {.new_scale = 8}});
  s.Add({.loss = 3, .grad_norm = 5, .update = {.new_scale = 8}});
  const StepSummary& t = s.totals();
  EXPECT_EQ(s.total_steps(), 4);
  EXPECT_EQ(t.skipped(), 2);
  EXPECT_THAT(t.by_reason, ElementsAre(2, 1, 1, 0));
  EXPECT_EQ(t.overflow_rate(), 0.25);
  EXPECT_EQ(t.scale, 8);
  EXPECT_EQ(t.scale_increases, 1);
  EXPECT_EQ(t.scale_decreases, 1);
  EXPECT_EQ(t.avg_grad_norm(), 4);  // skipped steps are not in it
  EXPECT_EQ(t.max_grad_norm, 5);
  EXPECT_EQ(t.avg_loss(), 3);
  EXPECT_EQ(s.history().size(), 1);
  EXPECT_EQ(s.history()[0], t);
}

TEST(StepStatisticsTest, RecentStepsAreARing) {
  StepStatistics s = Make({.window = 3});
  for (int i = 1; i <= 5; ++i) s.Add({.loss = 10.0 * i, .grad_norm = 1.0 * i, .update = {.old_scale = 2}});
  EXPECT_THAT(s.recent(),
              ElementsAre(RecentStep{30, 3, SkipReason::kNone, 2}, RecentStep{40, 4, SkipReason::kNone, 2},
                          RecentStep{50, 5, SkipReason::kNone, 2}));
}

TEST(StepStatisticsTest, TheHistoryCoversEveryStepInBoundedMemory) {
  StepStatistics s = Make({.window = 5, .max_summaries = 4, .max_grad_norm = 0});
  for (int i = 1; i <= 1000; ++i) {
    s.Add(i % 7 == 0 ? Overflow() : Good(i, 2 * i));
    ASSERT_LE(s.history().size(), 4);
    int64_t steps = 0, skipped = 0;
    double losses = 0;
    for (const StepSummary& w : s.history()) {
      ASSERT_EQ(w.first_step, steps + 1);
      steps += w.steps;
      skipped += w.skipped();
      losses += w.loss_sum;
    }
    ASSERT_EQ(steps, i);
    ASSERT_EQ(skipped, i / 7);
    ASSERT_EQ(losses, s.totals().loss_sum);
  }
  // 1000 steps by 4 need summaries of 5 * 2^6.
  EXPECT_EQ(s.state().summary_steps, 320);
  EXPECT_EQ(s.history().size(), 4);
  EXPECT_EQ(s.history()[0].max_grad_norm, 640);
  EXPECT_EQ(s.history()[3].first_step, 961);
}

TEST(StepStatisticsTest, OverflowRatesAreJudgedOverAWholeWindow) {
  StepStatistics s = Make({.window = 20});
  for (int i = 0; i < 19; ++i) {
    s.Add(i < 2 ? Overflow() : Good());
    EXPECT_THAT(s.Warnings(), IsEmpty()) << i;
  }
  s.Add(Good());  // 2 of 20: over 5 %, not over 10 %
  ASSERT_THAT(Kinds(s), ElementsAre(WarningKind::kOverflowRate));
  EXPECT_EQ(s.Warnings()[0].step, 20);
  EXPECT_EQ(s.Warnings()[0].value, 0.1);
  EXPECT_EQ(
      s.Warnings()[0].text,
      "step 20: 10.0% of all steps overflowed (bound 5.0%): let the loss scale grow more slowly (preset "
      "conservative), or train in bf16");
  s.Add(Overflow());  // of the last 20 again 2
  EXPECT_THAT(s.Warnings(), IsEmpty());
  s.Add(Overflow());
  EXPECT_THAT(s.Warnings(), IsEmpty());
  s.Add(Overflow());
  ASSERT_THAT(Kinds(s), ElementsAre(WarningKind::kRecentOverflowRate));
  EXPECT_THAT(s.Warnings()[0].text, HasSubstr("15.0% of the last 20 steps"));
}

// Other skipped steps are no overflow.
TEST(StepStatisticsTest, OnlyOverflowsAreOverflows) {
  StepStatistics s = Make({.window = 4});
  for (int i = 0; i < 8; ++i) {
    s.Add({.loss = std::nan(""), .grad_norm = std::nan(""), .skip = SkipReason::kNonFiniteLoss});
    EXPECT_THAT(s.Warnings(), IsEmpty());
  }
}

TEST(StepStatisticsTest, AWarningIsRaisedOnceUntilItEnds) {
  StepStatistics s = Make({.max_grad_norm = 10});
  const auto warns = [&](double norm) {
    s.Add(Good(1, norm));
    return Kinds(s) == std::vector<WarningKind>{WarningKind::kGradNorm};
  };
  EXPECT_FALSE(warns(10));
  EXPECT_TRUE(warns(11));
  EXPECT_FALSE(warns(100));
  EXPECT_FALSE(warns(5));  // not below half the bound: it goes on
  EXPECT_FALSE(warns(11));
  s.Add(Overflow());  // says nothing about the norm
  EXPECT_FALSE(warns(11));
  EXPECT_FALSE(warns(4.9));  // ended
  EXPECT_TRUE(warns(11));
  EXPECT_THAT(s.Warnings()[0].text, HasSubstr("the gradient norm is 11 (bound 10)"));
}

TEST(StepStatisticsTest, TheFloorOfTheScale) {
  StepStatistics s = Make({.floor_scale = 2}), unscaled = Make({});
  const auto warns = [&](float scale) {
    s.Add({.loss = 1, .grad_norm = 1, .update = {.new_scale = scale}});
    unscaled.Add({.loss = 1, .grad_norm = 1, .update = {.new_scale = scale}});
    EXPECT_THAT(unscaled.Warnings(), IsEmpty());
    return Kinds(s) == std::vector<WarningKind>{WarningKind::kScaleAtFloor};
  };
  EXPECT_FALSE(warns(4));
  EXPECT_TRUE(warns(2));
  EXPECT_FALSE(warns(2));
  EXPECT_FALSE(warns(4));
  EXPECT_TRUE(warns(2));
}

// Losses of 2 with noise of deviation 0.1.
double NoisyLoss(int i) { return 2 + 0.1 * Rng(3).Normal(static_cast<uint64_t>(i)); }

TEST(StepStatisticsTest, ALossThatStaysIsNotDivergingOneThatRisesIs) {
  StepStatistics s = Make({});
  int i = 0;
  for (; i < 2000; ++i) {
    s.Add(Good(NoisyLoss(i)));
    ASSERT_THAT(s.Warnings(), IsEmpty()) << i;
  }
  std::vector<int> raised;
  for (int k = 1; k <= 30; ++k) {
    s.Add(Good(NoisyLoss(i++) + 0.1 * k));
    for (const Warning& w : s.Warnings()) {
      EXPECT_EQ(w.kind, WarningKind::kLossDiverging);
      EXPECT_GT(w.value, 4);
      EXPECT_THAT(w.text, HasSubstr("the loss is diverging: the mean of the last 10 is 4."));
      raised.push_back(k);
    }
  }
  ASSERT_EQ(raised.size(), 1);
  EXPECT_GT(raised[0], 3);
  EXPECT_LT(raised[0], 15);
}

TEST(StepStatisticsTest, AFallingOrConstantLossIsNotDiverging) {
  StepStatistics falling = Make({}), constant = Make({}), few = Make({.short_window = 5});
  for (int i = 0; i < 300; ++i) {
    falling.Add(Good(10 * std::exp(-0.01 * i)));
    EXPECT_THAT(falling.Warnings(), IsEmpty());
    constant.Add(Good(3 + (i > 200 ? 1e-3 : 0)));  // within a thousandth of the mean
    EXPECT_THAT(constant.Warnings(), IsEmpty());
  }
  // Too few losses to say: infinite ones do not count.
  for (int i = 0; i < 14; ++i) {
    few.Add(Good(i < 7 ? 1 : 100));
    EXPECT_THAT(few.Warnings(), IsEmpty());
    few.Add({.loss = kInfinity, .grad_norm = kInfinity, .skip = SkipReason::kNonFiniteLoss});
    EXPECT_THAT(few.Warnings(), IsEmpty());
  }
}

TEST(StepStatisticsTest, GradientsThatVanishAreNamedByLayer) {
  StepStatistics s = Make({}, {"conv1.weight", "fc.weight"});
  const auto add = [&](std::vector<double> shares, SkipReason skip = SkipReason::kNone) {
    s.Add({.loss = 1, .grad_norm = 1, .skip = skip, .zero_shares = shares});
  };
  add({0.9, 0, 0.5});
  EXPECT_THAT(s.Warnings(), IsEmpty());
  add({0, 1, 1}, SkipReason::kNonFiniteGradients);
  EXPECT_THAT(s.Warnings(), IsEmpty());
  add({0.2, 0.95, 1});
  ASSERT_THAT(Kinds(s), ElementsAre(WarningKind::kZeroGradients, WarningKind::kZeroGradients));
  EXPECT_EQ(s.Warnings()[0].parameter, 1);
  EXPECT_EQ(s.Warnings()[0].text,
            "step 3: 95.0% of the gradients of fc.weight are zero (bound 90.0%), perhaps by underflow: raise "
            "the loss "
            "scale, or train in bf16");
  EXPECT_THAT(s.Warnings()[1].text, HasSubstr("of parameter 2 are zero"));
  add({1, 1, 0});  // each parameter has its own
  ASSERT_THAT(Kinds(s), ElementsAre(WarningKind::kZeroGradients));
  EXPECT_EQ(s.Warnings()[0].parameter, 0);
  add({1, 1, 1});
  ASSERT_THAT(Kinds(s), ElementsAre(WarningKind::kZeroGradients));
  EXPECT_EQ(s.Warnings()[0].parameter, 2);
}

TEST(StepStatisticsTest, ABoundOfZeroTurnsAWarningOff) {
  StepStatistics s = Make({.window = 4,
                           .max_overflow_rate = 0,
                           .max_recent_overflow_rate = 0,
                           .max_grad_norm = 0,
                           .max_loss_z = 0,
                           .short_window = 1,
                           .max_zero_share = 0});
  const std::vector<double> shares = {1};
  for (int i = 0; i < 20; ++i) {
    s.Add(Overflow());
    EXPECT_THAT(s.Warnings(), IsEmpty());
    s.Add({.loss = std::exp(i), .grad_norm = 1e9, .zero_shares = shares});
    EXPECT_THAT(s.Warnings(), IsEmpty());
  }
}

// Step i of a run with everything in it.
void AddStep(int i, StepStatistics& s) {
  const std::vector<double> shares = {i % 50 < 25 ? 1.0 : 0.0, 0.5};
  StepRecord record = Good(NoisyLoss(i) + (i % 100 > 80 ? 2 : 0), i % 40 == 0 ? 5000 : 1);
  if (i % 60 < 8) record = Overflow();
  record.update = {UpdateStatus::kNoUpdate, 1, i % 70 < 10 ? 1.0f : 2.0f};
  record.zero_shares = shares;
  s.Add(record);
}

TEST(StepStatisticsTest, RestoredAtAnyStepItGoesOnTheSame) {
  const StepStatisticsOptions options = {
      .window = 40, .max_summaries = 4, .floor_scale = 1, .short_window = 8};
  StepStatistics s = Make(options);
  std::array<int, kWarningKinds> seen = {};
  for (int i = 0; i < 400; ++i) {
    StepStatistics restored = Make(options);
    const absl::Status status = restored.Restore(s.state());
    ASSERT_TRUE(status.ok()) << i << " " << status;
    AddStep(i, s);
    for (const Warning& w : s.Warnings()) ++seen[static_cast<size_t>(w.kind)];
    AddStep(i, restored);
    ASSERT_EQ(restored.state(), s.state()) << i;
    ASSERT_EQ(Kinds(restored), Kinds(s)) << i;
  }
  EXPECT_THAT(seen, testing::Each(testing::Gt(0)));
}

TEST(StepStatisticsTest, RefusesAStateThatTheOptionsCannotReach) {
  StepStatistics s = Make({.window = 10, .max_summaries = 4});
  for (int i = 0; i < 95; ++i) s.Add(Good());
  const auto refused = [&](auto change) {
    StepStatisticsState state = s.state();
    change(state);
    StepStatistics other = Make({.window = 10, .max_summaries = 4});
    const StepStatisticsState before = other.state();
    const absl::Status status = other.Restore(state);
    EXPECT_EQ(other.state(), before);
    return std::string(status.message());
  };
  using State = StepStatisticsState;
  EXPECT_THAT(refused([](State& x) { x.summary_steps = 30; }), HasSubstr("summary_steps is 30"));
  EXPECT_THAT(refused([](State& x) { x.summary_steps = 0; }), HasSubstr("summary_steps is 0"));
  EXPECT_THAT(refused([](State& x) { x.summaries.resize(5); }), HasSubstr("summaries is 5"));
  EXPECT_THAT(refused([](State& x) { x.summaries[0].steps = 39; }), HasSubstr("number of steps is 39"));
  EXPECT_THAT(refused([](State& x) { x.totals.steps = 96; }), HasSubstr("total of steps is 96"));
  EXPECT_THAT(refused([](State& x) { x.recent.pop_back(); }), HasSubstr("recent steps is 9"));
  EXPECT_FALSE(Make({.window = 20}).Restore(s.state()).ok());
}

TEST(StepStatisticsTest, RefusesBadOptions) {
  const auto error = [](const StepStatisticsOptions& options) {
    return std::string(StepStatistics::Create(options).status().message());
  };
  EXPECT_EQ(error({.window = 0}), "step statistics: window is 0, expected at least 1 step");
  EXPECT_THAT(error({.max_summaries = 3}), HasSubstr("max_summaries is 3, expected an even number"));
  EXPECT_THAT(error({.max_summaries = 0}), HasSubstr("max_summaries is 0"));
  EXPECT_THAT(error({.max_overflow_rate = -1}), HasSubstr("max_overflow_rate is -1"));
  EXPECT_THAT(error({.max_recent_overflow_rate = std::nan("")}),
              HasSubstr("max_recent_overflow_rate is nan"));
  EXPECT_THAT(error({.max_grad_norm = -1}), HasSubstr("max_grad_norm"));
  EXPECT_THAT(error({.floor_scale = -1}), HasSubstr("floor_scale"));
  EXPECT_THAT(error({.max_loss_z = -1}), HasSubstr("max_loss_z"));
  EXPECT_THAT(error({.short_window = 0}), HasSubstr("short_window"));
  EXPECT_THAT(error({.max_zero_share = -1}), HasSubstr("max_zero_share"));
}

}  // namespace
}  // namespace halftone
