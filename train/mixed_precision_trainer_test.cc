#include "train/mixed_precision_trainer.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "base/file.h"
#include "gtest/gtest.h"
#include "nn/optim/adam.h"

namespace halftone {
namespace {

using Floats = std::vector<float>;

// A line through points: loss = mean((a x + b - y)^2), with a = weights[0][0], b = weights[1][0]. Everything
// but the sums is rounded to T.
template <typename T>
absl::StatusOr<double> Line(const GradientCall<T>& call) {
  const float a = call.weights[0][0], b = call.weights[1][0];
  const float n = static_cast<float>(call.x.size());
  double loss = 0;
  float da = 0, db = 0;
  for (size_t i = 0; i < call.x.size(); ++i) {
    const float x = call.x[i];
    const float error = T(a * x + b) - call.y[i];
    loss += error * error;
    const T seeded(call.scale * 2 * error / n);
    da += static_cast<float>(seeded) * x;
    db += static_cast<float>(seeded);
  }
  call.gradients[0][0] = T(da);
  call.gradients[1][0] = T(db);
  return loss / n;
}

template <typename T>
class MixedPrecisionTrainerTest : public ::testing::Test {
 protected:
  static MixedPrecisionTrainer<T> Make(const MixedPrecisionOptions& options,
                                       std::unique_ptr<Optimizer> optimizer = nullptr) {
    auto trainer = MixedPrecisionTrainer<T>::Create(options, std::move(optimizer));
    EXPECT_TRUE(trainer.ok()) << trainer.status();
    const Floats zero = {0};
    EXPECT_TRUE(trainer->InitializeWeights({zero, zero}).ok());
    return *std::move(trainer);
  }

  // y = 3 x - 1
  const Floats x_ = {-1, -0.5, 0, 0.5, 1, 2};
  const Floats y_ = {-4, -2.5, -1, 0.5, 2, 5};
};

using Types = ::testing::Types<half, bfloat16>;
TYPED_TEST_SUITE(MixedPrecisionTrainerTest, Types);

TYPED_TEST(MixedPrecisionTrainerTest, FindsTheLine) {
  auto trainer = this->Make({.loss_scale = {.initial = 256}});
  double loss = 0;
  for (int step = 0; step < 200; ++step) {
    const auto result = trainer.TrainStep(this->x_, this->y_, Line<TypeParam>, 0.1);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->skipped);
    loss = result->loss;
  }
  EXPECT_LT(loss, 1e-4);
  EXPECT_NEAR(trainer.Master(0)[0], 3, 0.01);
  EXPECT_NEAR(trainer.Master(1)[0], -1, 0.01);
  EXPECT_EQ(static_cast<float>(trainer.Working(0)[0]), static_cast<float>(TypeParam(trainer.Master(0)[0])));
  EXPECT_EQ(trainer.stats().total_steps, 200);
  EXPECT_EQ(trainer.stats().overflow_rate, 0);
  EXPECT_GT(trainer.stats().avg_grad_norm, 0);
}

TYPED_TEST(MixedPrecisionTrainerTest, AnOverflowSkipsTheStepAndLowersTheScale) {
  auto trainer = this->Make({.loss_scale = {.initial = 65536}});
  const auto overflow = [](const GradientCall<TypeParam>& call) -> absl::StatusOr<double> {
    call.gradients[0][0] = std::numeric_limits<TypeParam>::infinity();
    return 1.0;
  };
  const auto result = trainer.TrainStep(this->x_, this->y_, overflow, 0.1);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->skipped);
  EXPECT_EQ(result->update.status, UpdateStatus::kScaleDecreased);
  EXPECT_EQ(trainer.current_scale(), 32768);
  EXPECT_EQ(trainer.Master(0)[0], 0);
  const MixedPrecisionStats stats = trainer.stats();
  EXPECT_EQ(stats.skipped_steps, 1);
  EXPECT_EQ(stats.overflow_rate, 1);
  EXPECT_EQ(stats.scale_decreases, 1);
  EXPECT_EQ(stats.avg_grad_norm, 0);
}

// Updates of a tenth of the 16-bit weights' spacing add up in the masters.
TYPED_TEST(MixedPrecisionTrainerTest, SmallUpdatesAddUp) {
  auto trainer = MixedPrecisionTrainer<TypeParam>::Create({.loss_scale = {.enabled = false}}).value();
  const Floats one = {1};
  ASSERT_TRUE(trainer.InitializeWeights({one}).ok());
  const auto minus_one = [](const GradientCall<TypeParam>& call) -> absl::StatusOr<double> {
    call.gradients[0][0] = TypeParam(-1.0f);
    return 0.0;
  };
  const double tenth = static_cast<double>(std::numeric_limits<TypeParam>::epsilon()) / 10;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(trainer.TrainStep({}, {}, minus_one, tenth).ok());
  EXPECT_NEAR(static_cast<float>(trainer.Working(0)[0]), 1 + 100 * tenth, tenth * 5.1);
}

TYPED_TEST(MixedPrecisionTrainerTest, GoesOnBitForBitAfterLoading) {
  const MixedPrecisionOptions options = {
      .loss_scale = {.initial = 256, .growth_interval = 3}, .stochastic_rounding = true, .max_norm = 5};
  const auto adam = [] { return MakeAdam({}).value(); };
  const std::string path = std::filesystem::path(testing::TempDir()) / "trainer.safetensors";
  auto whole = this->Make(options, adam()), first = this->Make(options, adam()),
       second = this->Make(options, adam());
  const auto run = [&](MixedPrecisionTrainer<TypeParam>& trainer, int steps) {
    for (int i = 0; i < steps; ++i)
      ASSERT_TRUE(trainer.TrainStep(this->x_, this->y_, Line<TypeParam>, 0.05).ok());
  };
  run(whole, 20);
  run(first, 8);
  ASSERT_TRUE(first.Save(path).ok());
  const absl::Status loaded = second.Load(path);
  ASSERT_TRUE(loaded.ok()) << loaded;
  run(second, 12);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(second.Master(i)[0], whole.Master(i)[0]);
    EXPECT_EQ(second.Working(i)[0].bits(), whole.Working(i)[0].bits());
  }
  EXPECT_EQ(second.current_scale(), whole.current_scale());
  EXPECT_TRUE(second.statistics().state() == whole.statistics().state());
}

TYPED_TEST(MixedPrecisionTrainerTest, AForeignFileIsRefusedAndChangesNothing) {
  const std::string path = std::filesystem::path(testing::TempDir()) / "foreign.safetensors";
  auto trainer = this->Make({.loss_scale = {.initial = 256}});
  ASSERT_TRUE(trainer.TrainStep(this->x_, this->y_, Line<TypeParam>, 0.1).ok());
  const float before = trainer.Master(0)[0];
  auto other = MixedPrecisionTrainer<TypeParam>::Create({}).value();
  const Floats three = {1, 2, 3};
  ASSERT_TRUE(other.InitializeWeights({three, three}).ok());
  ASSERT_TRUE(other.Save(path).ok());
  const absl::Status sizes = trainer.Load(path);
  EXPECT_EQ(sizes.message(),
            path + ": master/0 is missing or is not 1 float32 numbers, as this trainer has them");
  auto adam = this->Make({.loss_scale = {.initial = 256}}, MakeAdam({}).value());
  ASSERT_TRUE(adam.TrainStep(this->x_, this->y_, Line<TypeParam>, 0.1).ok());
  ASSERT_TRUE(adam.Save(path).ok());
  const absl::Status optimizer = trainer.Load(path);
  EXPECT_NE(optimizer.message().find("is not expected"), std::string::npos) << optimizer;
  EXPECT_EQ(trainer.Master(0)[0], before);
  EXPECT_EQ(trainer.stats().total_steps, 1);
  ASSERT_TRUE(WriteFileAtomically(path, "nothing of the kind").ok());
  EXPECT_FALSE(trainer.Load(path).ok());
}

TYPED_TEST(MixedPrecisionTrainerTest, MisuseIsOneClearError) {
  using Trainer = MixedPrecisionTrainer<TypeParam>;
  auto trainer = Trainer::Create({}).value();
  EXPECT_EQ(trainer.TrainStep({}, {}, Line<TypeParam>, 0.1).status().message(),
            "the trainer has no weights: call InitializeWeights before TrainStep");
  EXPECT_EQ(trainer.Load("x").message(), "the trainer has no weights: call InitializeWeights before Load");
  EXPECT_EQ(trainer.InitializeWeights({}).message(), "InitializeWeights was given no weights");
  const Floats good = {1}, bad = {1, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_EQ(trainer.InitializeWeights({good, bad}).message(),
            "weight 1 of tensor 1 is nan, expected a finite number");
  ASSERT_TRUE(trainer.InitializeWeights({good}).ok());
  EXPECT_EQ(trainer.InitializeWeights({good}).message(),
            "the trainer has its weights already: call Reset before InitializeWeights");
  EXPECT_EQ(trainer.TrainStep({}, {}, Line<TypeParam>, -1).status().message(),
            "the learning rate is -1, expected a finite number, at least 0");
  EXPECT_FALSE(Trainer::Create({.max_norm = 1, .max_value = 1}).ok());
  EXPECT_FALSE(Trainer::Create({.loss_scale = {.floor_policy = FloorPolicy::kFallback}}).ok());
  EXPECT_FALSE(Trainer::Create({.loss_scale = {.growth_factor = 0.5}}).ok());

  // The function's own error is handed on, and the next step is as if this one had not been.
  const auto fail = [](const GradientCall<TypeParam>&) -> absl::StatusOr<double> {
    return absl::CancelledError("enough");
  };
  EXPECT_EQ(trainer.TrainStep({}, {}, fail, 0.1).status().message(), "enough");
  EXPECT_EQ(trainer.stats().total_steps, 0);
  const auto zero = [](const GradientCall<TypeParam>&) -> absl::StatusOr<double> { return 0.0; };
  EXPECT_TRUE(trainer.TrainStep({}, {}, zero, 0.1).ok());
  ASSERT_TRUE(trainer.Reset().ok());
  EXPECT_EQ(trainer.stats().total_steps, 0);
  EXPECT_TRUE(trainer.InitializeWeights({good}).ok());
}

TYPED_TEST(MixedPrecisionTrainerTest, TheFloorRaisesWhereAsked) {
  auto trainer =
      this->Make({.loss_scale = {.initial = 2, .floor_policy = FloorPolicy::kError, .floor_patience = 3}});
  const auto nan = [](const GradientCall<TypeParam>& call) -> absl::StatusOr<double> {
    call.gradients[1][0] = std::numeric_limits<TypeParam>::quiet_NaN();
    return 1.0;
  };
  absl::Status status;
  int steps = 0;
  for (; steps < 10 && status.ok(); ++steps)
    status = trainer.TrainStep(this->x_, this->y_, nan, 0.1).status();
  EXPECT_EQ(steps, 3);
  EXPECT_NE(status.message().find("3 steps in a row, to step 3, gave gradients that are not finite"),
            std::string::npos)
      << status;
}

TYPED_TEST(MixedPrecisionTrainerTest, TheCallersOwnUpdateReachesTheWorkingCopy) {
  auto trainer = this->Make({});
  trainer.MutableMaster(0)[0] = 7;
  EXPECT_EQ(static_cast<float>(trainer.Working(0)[0]), 7);
}

TYPED_TEST(MixedPrecisionTrainerTest, ClipsByValue) {
  auto trainer = this->Make({.loss_scale = {.enabled = false}, .max_value = 0.5});
  const auto steep = [](const GradientCall<TypeParam>& call) -> absl::StatusOr<double> {
    call.gradients[0][0] = TypeParam(-100.0f);
    call.gradients[1][0] = TypeParam(0.25f);
    return 0.0;
  };
  ASSERT_TRUE(trainer.TrainStep({}, {}, steep, 1).ok());
  EXPECT_EQ(trainer.Master(0)[0], 0.5);
  EXPECT_EQ(trainer.Master(1)[0], -0.25);
}

}  // namespace
}  // namespace halftone
