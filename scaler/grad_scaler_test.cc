#include "scaler/grad_scaler.h"

#include <cfloat>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace halftone {
namespace {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

GradScaler Make(const LossScaleOptions& options) { return GradScaler::Create(options).value(); }

// An optimiser's only gradient.
struct Gradient {
  explicit Gradient(std::vector<float> v) : values(std::move(v)) {}
  absl::Span<const absl::Span<float>> spans() {
    span = absl::MakeSpan(values);
    return absl::MakeConstSpan(&span, 1);
  }
  std::vector<float> values;
  absl::Span<float> span;
};

// torch.amp.GradScaler's trajectories, through every call of a step.
TEST(GradScalerTest, SameTrajectoriesAsPyTorch) {
  for (const char* name : {"default_interval20", "interval2000", "odd_factors_interval7", "overflow_guard"}) {
    SCOPED_TRACE(name);
    const auto golden =
        nlohmann::json::parse(ReadFile(std::string("scaler/testdata/") + name + ".json").value());
    const auto& config = golden["config"];
    GradScaler scaler = Make({.initial = config["init_scale"],
                              .growth_factor = config["growth_factor"],
                              .backoff_factor = config["backoff_factor"],
                              .growth_interval = config["growth_interval"],
                              .min_scale = FLT_TRUE_MIN,
                              .max_scale = FLT_MAX});
    for (size_t i = 0; i < 200; ++i) {
      EXPECT_EQ(scaler.scale(), golden["scale_used"][i].get<double>());
      Gradient g({1, golden["found_inf"][i] == 0 ? 1 : kInfinity});
      ASSERT_TRUE(scaler.Unscale(0, g.spans()).ok());
      EXPECT_EQ(scaler.ShouldStep(0).value(), golden["step_applied"][i] == 1);
      EXPECT_EQ(scaler.Update()->new_scale, golden["scale_after_update"][i].get<double>());
      // A scaler made anew and restored goes on the same.
      GradScaler restored = Make(scaler.loss_scale().options());
      ASSERT_TRUE(restored.Restore(scaler.loss_scale().state()).ok());
      scaler = restored;
    }
  }
}

TEST(GradScalerTest, OneStep) {
  GradScaler scaler = Make({.initial = 4, .growth_interval = 1});
  Gradient g({12, -16});
  const GradStats stats = scaler.Unscale(0, g.spans()).value();
  EXPECT_TRUE(stats.finite);
  EXPECT_EQ(stats.norm, 5);
  EXPECT_EQ(g.values, (std::vector<float>{3, -4}));
  GradScaler same = scaler;
  const float factor = same.ClipFactor(0, 2.5).value();
  EXPECT_TRUE(same.ShouldStep(0).value());
  ASSERT_TRUE(scaler.ClipByGlobalNorm(0, g.spans(), 2.5).ok());
  EXPECT_EQ(g.values, (std::vector<float>{3 * factor, -4 * factor}));
  EXPECT_NEAR(std::hypot(g.values[0], g.values[1]), 2.5, 1e-5);
  EXPECT_TRUE(scaler.ShouldStep(0).value());
  EXPECT_EQ(scaler.Update().value(), (ScaleUpdate{UpdateStatus::kScaleIncreased, 4, 8, true}));

  g.values = {80, -8};
  ASSERT_TRUE(scaler.Unscale(0, g.spans()).ok());
  ASSERT_TRUE(scaler.ClipByValue(0, g.spans(), 2).ok());
  EXPECT_EQ(g.values, (std::vector<float>{2, -1}));
}

TEST(GradScalerTest, EachOptimizerHasItsOwnCheckAndUpdateTakesAll) {
  for (const int bad : {0, 1, 2, -1}) {
    GradScaler scaler = Make({.initial = 4});
    std::vector<Gradient> gradients(3, Gradient({4, 8}));
    if (bad >= 0) gradients[bad].values[1] = kInfinity;
    // Several losses and optimisers, in any order.
    for (const int o : {2, 0, 1}) ASSERT_TRUE(scaler.Unscale(o, gradients[o].spans()).ok());
    for (const int o : {1, 2, 0}) {
      ASSERT_TRUE(scaler.ClipByGlobalNorm(o, gradients[o].spans(), 1e-3).ok());
      EXPECT_EQ(scaler.ShouldStep(o).value(), o != bad);
    }
    EXPECT_EQ(scaler.Update()->apply_step, bad < 0);
    EXPECT_EQ(scaler.scale(), bad < 0 ? 4 : 2);
    // What was found is forgotten.
    for (const int o : {0, 1, 2}) {
      Gradient good({1});
      ASSERT_TRUE(scaler.Unscale(o, good.spans()).ok());
    }
    EXPECT_TRUE(scaler.Update()->apply_step);
  }
}

TEST(GradScalerTest, GradientsThatAreNotFiniteAreNotClipped) {
  GradScaler scaler = Make({.initial = 1});
  Gradient g({kInfinity, 8});
  ASSERT_TRUE(scaler.Unscale(0, g.spans()).ok());
  ASSERT_TRUE(scaler.ClipByGlobalNorm(0, g.spans(), 1).ok());
  EXPECT_EQ(g.values, (std::vector<float>{kInfinity, 8}));
  EXPECT_FALSE(scaler.ShouldStep(0).value());
  ASSERT_TRUE(scaler.Update().ok());
  ASSERT_TRUE(scaler.Unscale(0, g.spans()).ok());
  EXPECT_EQ(scaler.ClipFactor(0, 1).value(), 1);
}

// Calls by letter, for optimizer 0 until a digit names another; the last of them is refused.
TEST(GradScalerTest, MisuseIsRefusedAndChangesNothing) {
  struct Misuse {
    std::string calls;
    const char* message;
  };
  for (const auto& [calls, message] : {Misuse{"uu", "optimizer 0: unscale twice without an update between"},
                                       {"ucu", "optimizer 0: unscale twice"},
                                       {"usu", "optimizer 0: unscale after step"},
                                       {"c", "optimizer 0: clip before unscale"},
                                       {"v", "optimizer 0: clip before unscale"},
                                       {"f", "optimizer 0: clip before unscale"},
                                       {"ufc", "optimizer 0: clip twice"},
                                       {"u1c", "optimizer 1: clip before unscale"},
                                       {"ucc", "optimizer 0: clip twice"},
                                       {"ucv", "optimizer 0: clip twice"},
                                       {"usc", "optimizer 0: clip after step"},
                                       {"s", "optimizer 0: step before unscale"},
                                       {"u1s", "optimizer 1: step before unscale"},
                                       {"uss", "optimizer 0: step twice"},
                                       {"ucss", "optimizer 0: step twice"},
                                       {"U", "update before any gradients were unscaled and checked"},
                                       {"usUU", "update before any gradients"},
                                       {"usUs", "optimizer 0: step before unscale"},
                                       {"mU", "optimizer 0: update amid the micro-batches of one step"},
                                       {"1mm0usU", "optimizer 1: update amid the micro-batches"},
                                       {"um", "optimizer 0: a micro-batch begins after unscale"},
                                       {"e", "optimizer 0: no parameter has a gradient"},
                                       {"usUe", "optimizer 0: no parameter has a gradient"}}) {
    SCOPED_TRACE(calls);
    GradScaler scaler = Make({.initial = 4});
    Gradient g({4, 8}), none({});
    int optimizer = 0;
    const auto call = [&](char c) -> absl::Status {
      switch (c) {
        case 'm':
          return scaler.BeginMicroBatch(optimizer);
        case 'u':
          return scaler.Unscale(optimizer, g.spans()).status();
        case 'e':
          return scaler.Unscale(optimizer, none.spans()).status();
        case 'c':
          return scaler.ClipByGlobalNorm(optimizer, g.spans(), 1);
        case 'v':
          return scaler.ClipByValue(optimizer, g.spans(), 1);
        case 'f':
          return scaler.ClipFactor(optimizer, 1).status();
        case 's':
          return scaler.ShouldStep(optimizer).status();
        default:
          return scaler.Update().status();
      }
    };
    for (const char c : calls.substr(0, calls.size() - 1)) {
      if (c == '0' || c == '1') {
        optimizer = c - '0';
      } else {
        ASSERT_TRUE(call(c).ok()) << c;
      }
    }
    const std::vector<float> before = g.values;
    const LossScaleState state = scaler.loss_scale().state();
    const absl::Status refused = call(calls.back());
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    const std::string text(refused.message());
    EXPECT_THAT(text, HasSubstr(message));
    EXPECT_THAT(text, HasSubstr("the order is backward, unscale, clip (if at all), step, and update"));
    EXPECT_EQ(text.find('\n'), std::string::npos);
    EXPECT_EQ(g.values, before);
    EXPECT_EQ(scaler.loss_scale().state(), state);
    EXPECT_EQ(call(calls.back()), refused);
  }
}

TEST(GradScalerTest, RefusesArgumentsThatMakeNoSense) {
  GradScaler scaler = Make({});
  Gradient g({1, 2});
  for (const int bad : {-1, 1024}) {
    EXPECT_THAT(std::string(scaler.Unscale(bad, g.spans()).status().message()),
                HasSubstr("expected 0 to 1023"));
    EXPECT_FALSE(scaler.ShouldStep(bad).ok());
    EXPECT_FALSE(scaler.BeginMicroBatch(bad).ok());
  }
  const std::vector<half> short_one(1, half(1.0f));
  const absl::Span<const half> halves[] = {short_one};
  EXPECT_THAT(std::string(scaler.Unscale(0, halves, g.spans()).status().message()), HasSubstr("sizes"));
  ASSERT_TRUE(scaler.Unscale(0, g.spans()).ok());
  EXPECT_THAT(std::string(scaler.ClipByGlobalNorm(0, g.spans(), std::nan("")).message()), HasSubstr("nan"));
  EXPECT_THAT(std::string(scaler.ClipByValue(0, g.spans(), std::nanf("")).message()), HasSubstr("nan"));
  EXPECT_FALSE(GradScaler::Create({.growth_factor = 0.5}).ok());
  EXPECT_FALSE(scaler.Restore({.scale = 0}).ok());
}

// The gradient of the mean of squares (w x - y)^2 / 2 over samples [begin, end), times the scale.
float MeanGradient(const std::vector<float>& x, float w, size_t begin, size_t end, float scale) {
  float sum = 0;
  for (size_t i = begin; i < end; ++i) sum += x[i] * (w * x[i] - 1);
  return sum / static_cast<float>(end - begin) * scale;
}

TEST(GradScalerTest, MicroBatchesAreTheLargeBatch) {
  std::vector<float> x(48);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  for (const size_t micro_batches : {1, 2, 3, 4, 6, 16}) {
    GradScaler scaler = Make({.initial = 1000});
    Gradient large({MeanGradient(x, 0.7f, 0, x.size(), scaler.scale())});
    ASSERT_TRUE(scaler.Unscale(0, large.spans()).ok());
    ASSERT_TRUE(scaler.Update().ok());
    for (int again = 0; again < 2; ++again) {  // the count starts over
      Gradient small({0});
      const size_t n = x.size() / micro_batches;
      for (size_t m = 0; m < micro_batches; ++m) {
        ASSERT_TRUE(scaler.BeginMicroBatch(0).ok());
        small.values[0] += MeanGradient(x, 0.7f, m * n, (m + 1) * n, scaler.scale());
      }
      ASSERT_TRUE(scaler.Unscale(0, small.spans()).ok());
      EXPECT_NEAR(small.values[0] / large.values[0], 1, 50 * FLT_EPSILON) << micro_batches;
      ASSERT_TRUE(scaler.Update().ok());
    }
  }
}

// The mean and the unscaling are one multiplication: exact for powers of two, one rounding of 1/(3 * 4) else.
TEST(GradScalerTest, TheMeanIsRoundedOnce) {
  GradScaler scaler = Make({.initial = 4});
  Gradient g({0.1f, 1e-3f, 12345.678f});
  const std::vector<float> sums = g.values;
  for (int m = 0; m < 3; ++m) ASSERT_TRUE(scaler.BeginMicroBatch(0).ok());
  ASSERT_TRUE(scaler.Unscale(0, g.spans()).ok());
  for (size_t i = 0; i < sums.size(); ++i) EXPECT_EQ(g.values[i], sums[i] * (1.0f / 12));
}

TEST(GradScalerTest, AnOverflowInAnyMicroBatchIsSeen) {
  for (const std::vector<float>& parts : {std::vector<float>{kInfinity, 1, 1},
                                          {1, kInfinity, 1},
                                          {1, 1, -kInfinity},
                                          {kInfinity, -kInfinity, 1},
                                          {std::nanf(""), 1, 1},
                                          {FLT_MAX, FLT_MAX, -FLT_MAX}}) {
    GradScaler scaler = Make({});
    Gradient sum({0, 1});
    for (const float part : parts) {
      ASSERT_TRUE(scaler.BeginMicroBatch(0).ok());
      sum.values[0] += part;
    }
    EXPECT_FALSE(scaler.Unscale(0, sum.spans())->finite);
    EXPECT_FALSE(scaler.ShouldStep(0).value());
    EXPECT_FALSE(scaler.Update()->apply_step);
  }
}

template <typename T>
void ExpectUnscaledFrom16Bits() {
  GradScaler scaler = Make({.initial = 2});
  std::vector<T> narrow = {T(3.0f), T(0.0f), T(-4.0f)};
  const absl::Span<const T> grads[] = {narrow};
  Gradient unscaled({0, 1, 0});
  int64_t zeros[1];
  const GradStats stats = scaler.Unscale(0, grads, unscaled.spans(), zeros).value();
  EXPECT_TRUE(stats.finite);
  EXPECT_EQ(stats.norm, 2.5);
  EXPECT_EQ(zeros[0], 1);
  EXPECT_EQ(unscaled.values, (std::vector<float>{1.5f, 0, -2}));
  ASSERT_TRUE(scaler.Update().ok());
  narrow[1] = std::numeric_limits<T>::infinity();
  EXPECT_FALSE(scaler.Unscale(0, grads, unscaled.spans())->finite);
}

TEST(GradScalerTest, GradientsIn16Bits) {
  ExpectUnscaledFrom16Bits<half>();
  ExpectUnscaledFrom16Bits<bfloat16>();
}

}  // namespace
}  // namespace halftone
