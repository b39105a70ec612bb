#include "train/trainer.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "amp/quantization.h"
#include "amp/recipe.h"
#include "gtest/gtest.h"
#include "models/model.h"
#include "nn/functional.h"
#include "nn/layers.h"
#include "nn/optim/sgd.h"
#include "nn/quantizer.h"
#include "tensor/ops/elementwise/elementwise.h"
#include "testing/device.h"
#include "testing/tensors.h"
#include "train/checkpoint/checkpoint.h"
#include "train/checkpoint/numerics_state.h"
#include "train/checkpoint/state_dict.h"
#include "train/config.h"
#include "train/recipe_options.h"

namespace halftone {
namespace {

constexpr const char* kRecipes[] = {"fp32", "amp_bf16", "amp_fp16", "pure_bf16", "pure_fp16"};

// Images of noise around a mean of their class: easy, but not trivial.
Batch ClassBatch(Device& device, int64_t size, uint64_t seed) {
  Tensor images = RandomTensor(device, DType::kF32, {size, 32, 32, 3}, seed);
  const Tensor means = RandomTensor(device, DType::kF32, {10, 32, 32, 3}, 99);
  Tensor labels = Tensor::Empty(device, DType::kI64, {size});
  const int64_t pixels = 32 * 32 * 3;
  for (int64_t i = 0; i < size; ++i) {
    const int64_t label = Rng(seed).Stream(7).Below(i, 10);
    labels.span<int64_t>()[i] = label;
    for (int64_t j = 0; j < pixels; ++j) {
      images.span<float>()[i * pixels + j] += 0.5f * means.span<float>()[label * pixels + j];
    }
  }
  return {images, labels};
}

std::unique_ptr<Trainer> MakeTrainer(Device& device, std::unique_ptr<nn::Module> model,
                                     const std::string& recipe_name, LossScaleOptions scaling = {},
                                     double rate = 0.05, TrainerOptions options = {}) {
  const amp::Recipe recipe = amp::FindRecipe(recipe_name).value();
  scaling.enabled = scaling.enabled && recipe.scales_loss;
  options.policy = amp::MakePolicy(recipe);
  if (recipe.pure) options.weights16 = recipe.lower;
  return std::make_unique<Trainer>(
      device, std::move(model), MakeSgd({.momentum = 0.9, .weight_decay = 5e-4}).value(),
      MakeConstantSchedule({}, rate, 1000).value(), GradScaler::Create(scaling).value(), options);
}

std::unique_ptr<nn::Module> SmallCnn() { return models::MakeModel({.name = "cnn", .width = 8}).value(); }

std::vector<Tensor> Snapshot(Trainer& trainer) {
  std::vector<Tensor> all;
  for (const NamedTensor& t : StateDict(trainer.model())) all.push_back(t.tensor.Clone());
  for (const StateTensor& t : trainer.optimizer().State().tensors) {
    all.push_back(Tensor::From<float>(trainer.device(), {static_cast<int64_t>(t.value.size())}, t.value));
  }
  return all;
}

bool Same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!SameBits(a[i], b[i])) return false;
  }
  return true;
}

class RecipeTest : public ::testing::TestWithParam<const char*> {
 protected:
  Device& device_ = TestDevice();
};

TEST_P(RecipeTest, OverfitsOneBatch) {
  auto trainer = MakeTrainer(device_, SmallCnn(), GetParam());
  const Batch batch = ClassBatch(device_, 32, 1);
  double first = 0, last = 0;
  for (int i = 0; i < 30; ++i) {
    const absl::StatusOr<StepResult> result = trainer->Step(batch);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->skipped);
    (i == 0 ? first : last) = result->loss;
  }
  EXPECT_GT(first, 2);
  EXPECT_LT(last, 0.1);
}

TEST_P(RecipeTest, TheSameSeedGivesTheSameBits) {
  std::vector<Tensor> runs[2];
  for (std::vector<Tensor>& run : runs) {
    auto trainer = MakeTrainer(device_, SmallCnn(), GetParam());
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(trainer->Step(ClassBatch(device_, 16, i)).ok());
    run = Snapshot(*trainer);
  }
  EXPECT_TRUE(Same(runs[0], runs[1]));
}

TEST_P(RecipeTest, ASteadyStateStepTakesNothingFromTheSystem) {
  auto trainer = MakeTrainer(device_, SmallCnn(), GetParam());
  const Batch batch = ClassBatch(device_, 16, 1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(trainer->Step(batch).ok());
  const int64_t before = device_.allocator().stats().system_allocations;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(trainer->Step(batch).ok());
  EXPECT_EQ(device_.allocator().stats().system_allocations, before);
}

TEST_P(RecipeTest, GradientNormIsThatOfTheUnscaledGradients) {
  auto trainer = MakeTrainer(device_, SmallCnn(), GetParam()),
       reference = MakeTrainer(device_, SmallCnn(), "fp32");
  const Batch batch = ClassBatch(device_, 16, 1);
  const double expected = reference->Step(batch)->grad_norm;
  EXPECT_NEAR(trainer->Step(batch)->grad_norm / expected, 1, 0.05);
}

INSTANTIATE_TEST_SUITE_P(Recipes, RecipeTest, ::testing::ValuesIn(kRecipes),
                         [](const auto& info) { return std::string(info.param); });

// Without batch norm, which sees each micro-batch alone.
class OneLayer : public nn::Module {
 public:
  OneLayer() : fc_({.in = 32 * 32 * 3, .out = 10}) {}
  nn::Variable Forward(const nn::Variable& x) override { return fc_(nn::Flatten(x)); }
  void Visit(nn::Visitor& v) override { v("fc", fc_); }

 private:
  nn::Linear fc_;
};

TEST(TrainerTest, MicroBatchesAddUpToTheBatch) {
  Device& device = TestDevice();
  auto whole = MakeTrainer(device, std::make_unique<OneLayer>(), "fp32"),
       parts = MakeTrainer(device, std::make_unique<OneLayer>(), "fp32", {}, 0.05, {.micro_batches = 4});
  for (int i = 0; i < 5; ++i) {
    const Batch batch = ClassBatch(device, 32, i);
    const StepResult a = whole->Step(batch).value(), b = parts->Step(batch).value();
    EXPECT_NEAR(a.loss, b.loss, 1e-5);
    EXPECT_NEAR(a.grad_norm, b.grad_norm, 1e-4 * a.grad_norm);
    EXPECT_EQ(a.correct, b.correct);
  }
  const std::vector<Tensor> a = Snapshot(*whole), b = Snapshot(*parts);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_LT(Distance(ToDoubles(a[i]), ToDoubles(b[i])), 1e-4);
}

TEST(TrainerTest, AnOverflowInAnyMicroBatchSkipsTheStep) {
  Device& device = TestDevice();
  auto trainer =
      MakeTrainer(device, SmallCnn(), "amp_fp16", {}, 0.05, {.micro_batches = 4, .explain_overflows = -1});
  Batch batch = ClassBatch(device, 16, 1);
  batch.input.span<float>()[9 * 32 * 32 * 3 + 5] = 1e30f;  // of the third part
  const std::vector<Tensor> before = Snapshot(*trainer);
  const StepResult result = trainer->Step(batch).value();
  EXPECT_TRUE(result.skipped);
  ASSERT_TRUE(result.overflow.has_value());
  EXPECT_EQ(result.overflow->index[0], 1);
}

TEST(TrainerTest, ASkippedStepSaysWhereTheFirstInfinityArose) {
  Device& device = TestDevice();
  auto silent = MakeTrainer(device, SmallCnn(), "amp_fp16"),
       telling = MakeTrainer(device, SmallCnn(), "amp_fp16", {}, 0.05, {.explain_overflows = 1});
  const Batch good = ClassBatch(device, 16, 1);
  Batch bad = ClassBatch(device, 16, 2);
  bad.input.span<float>()[32 * 32 * 3 + 4] = -7e4f;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(silent->Step(bad).value().skipped);
    const StepResult result = telling->Step(bad).value();
    ASSERT_TRUE(result.skipped);
    ASSERT_EQ(result.overflow.has_value(), i == 0);
    if (i > 0) continue;
    const OverflowReport& report = *result.overflow;
    EXPECT_EQ(report.OneLine(), "forward cast of conv1, output (float16): -inf at [1, 0, 1, 1]");
    EXPECT_EQ(report.nonfinite, 1);
    EXPECT_NE(report.ToString().find("amax"), std::string::npos);
  }
  // Looking changes nothing.
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(silent->Step(good).ok());
    ASSERT_TRUE(telling->Step(good).ok());
  }
  EXPECT_TRUE(Same(Snapshot(*silent), Snapshot(*telling)));
}

TEST(TrainerTest, StatisticsGoOnFromACheckpoint) {
  Device& device = TestDevice();
  const std::string folder = testing::TempDir() + "/statistics";
  auto first = MakeTrainer(device, SmallCnn(), "amp_fp16"),
       second = MakeTrainer(device, SmallCnn(), "amp_fp16");
  Batch bad = ClassBatch(device, 16, 2);
  bad.input.span<float>()[0] = 1e30f;
  ASSERT_TRUE(first->Step(bad).ok());
  ASSERT_TRUE(first->Step(ClassBatch(device, 16, 1)).ok());
  ASSERT_TRUE(SaveCheckpoint(folder, *first, {}).ok());
  const CheckpointState state = ReadCheckpointState(folder).value();
  const absl::Status loaded = LoadCheckpoint(folder, state, *second);
  ASSERT_TRUE(loaded.ok()) << loaded;
  // As text, where NaN equals NaN.
  EXPECT_EQ(PrintConfig(ToProto(second->statistics().state())),
            PrintConfig(ToProto(first->statistics().state())));
  EXPECT_EQ(second->statistics().totals().skipped(), 1);
}

TEST(TrainerTest, ALayerMayKeepFloat32) {
  Device& device = TestDevice();
  const nn::CastPolicy wide = amp::MakePartPolicy(amp::FindRecipe("fp32").value());
  TrainerOptions options;
  options.overrides = {{"*", wide}};
  auto all_wide = MakeTrainer(device, SmallCnn(), "amp_bf16", {}, 0.05, options),
       fp32 = MakeTrainer(device, SmallCnn(), "fp32");
  const Batch batch = ClassBatch(device, 16, 1);
  EXPECT_EQ(all_wide->Step(batch)->loss, fp32->Step(batch)->loss);
  EXPECT_TRUE(Same(Snapshot(*all_wide), Snapshot(*fp32)));
}

TEST(TrainerTest, ZeroGradientsAreWarnedOf) {
  Device& device = TestDevice();
  auto trainer = MakeTrainer(device, SmallCnn(), "fp32", {}, 0.05,
                             {.statistics = {.max_zero_share = 0.9}, .count_zeros_every = 1});
  Batch batch = ClassBatch(device, 16, 1);
  for (float& x : batch.input.span<float>()) x = 0;  // the first layer's weights get no gradient
  const StepResult result = trainer->Step(batch).value();
  ASSERT_FALSE(result.warnings.empty());
  EXPECT_NE(result.warnings[0].find("conv1.weight"), std::string::npos) << result.warnings[0];
}

TEST(TrainerTest, AnInfinityInTheGradientsSkipsExactlyThatStep) {
  Device& device = TestDevice();
  auto trainer = MakeTrainer(device, SmallCnn(), "amp_fp16");
  const Batch good = ClassBatch(device, 16, 1);
  Batch bad = ClassBatch(device, 16, 2);
  bad.input.span<float>()[100] = std::numeric_limits<float>::infinity();
  for (int i = 0; i < 2; ++i) ASSERT_FALSE(trainer->Step(good)->skipped);
  const std::vector<Tensor> before = Snapshot(*trainer);
  const float scale = trainer->scaler().scale();

  const absl::StatusOr<StepResult> result = trainer->Step(bad);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->skipped);
  EXPECT_EQ(trainer->scaler().scale(), scale / 2);
  EXPECT_TRUE(Same(Snapshot(*trainer), before));
  EXPECT_EQ(trainer->optimizer().steps(), 2);

  EXPECT_FALSE(trainer->Step(good)->skipped);
  EXPECT_EQ(trainer->scaler().scale(), scale / 2);
  EXPECT_FALSE(Same(Snapshot(*trainer), before));
}

// A linear classifier under a softmax of temperature 2^20: its logits' gradients are far below float16's
// smallest number.
class HotClassifier : public nn::Module {
 public:
  nn::Variable Forward(const nn::Variable& x) override {
    constexpr double kCoolness = 0x1p-20;
    const nn::Variable y = fc_(nn::Flatten(x));
    return y.graph().Record("scale", ops::Scale(y.value(), kCoolness), {y},
                            [](nn::BackwardContext& c) { c.Give(0, ops::Scale(c.dy(), kCoolness)); });
  }
  void Visit(nn::Visitor& v) override { v("fc", fc_); }

 private:
  nn::Linear fc_{{.in = 32 * 32 * 3, .out = 10}};
};

TEST(TrainerTest, GradientsThatVanishInFloat16TrainWithLossScalingAlone) {
  Device& device = TestDevice();
  const Batch batch = ClassBatch(device, 64, 1);
  const auto accuracy_after = [&](bool scaling) {
    auto trainer = MakeTrainer(device, std::make_unique<HotClassifier>(), "amp_fp16", {.enabled = scaling},
                               /*rate=*/0x1p12);
    int64_t correct = 0;
    for (int i = 0; i < 40; ++i) correct = trainer->Step(batch)->correct;
    return static_cast<double>(correct) / 64;
  };
  EXPECT_GT(accuracy_after(true), 0.8);
  EXPECT_LT(accuracy_after(false), 0.3);
}

TEST(TrainerTest, WithoutLossScalingWhatIsNotFiniteStopsAndSaysWhere) {
  Device& device = TestDevice();
  auto trainer = MakeTrainer(device, SmallCnn(), "fp32");
  ASSERT_TRUE(trainer->Step(ClassBatch(device, 16, 1)).ok());
  Batch bad = ClassBatch(device, 16, 2);
  bad.input.span<float>()[7] = std::numeric_limits<float>::quiet_NaN();
  const absl::Status in_input = trainer->Step(bad).status();
  EXPECT_NE(in_input.message().find("the loss became nan in step 2: first in the input"), std::string::npos)
      << in_input;

  nn::ForEachParameter(trainer->model(), [](const std::string& path, nn::Parameter& p) {
    if (path == "conv2.weight") p.mutable_master().span<float>()[0] = std::numeric_limits<float>::infinity();
  });
  const absl::Status in_weights = trainer->Step(ClassBatch(device, 16, 1)).status();
  EXPECT_NE(in_weights.message().find("first in the weights of conv2.weight"), std::string::npos)
      << in_weights;

  // Weights of 1e18 and more: whether the loss or the gradients overflow first, the step after is the last.
  auto diverged = MakeTrainer(device, SmallCnn(), "fp32", {}, /*rate=*/1e20);
  ASSERT_TRUE(diverged->Step(ClassBatch(device, 16, 1)).ok());
  const absl::Status in_gradients = diverged->Step(ClassBatch(device, 16, 1)).status();
  EXPECT_NE(in_gradients.message().find("in step 2: first in"), std::string::npos) << in_gradients;
}

TEST(TrainerTest, EndlessSkippingStopsAtTheFloorOfTheScale) {
  Device& device = TestDevice();
  auto trainer = MakeTrainer(device, SmallCnn(), "amp_fp16", {.floor_policy = FloorPolicy::kError});
  Batch bad = ClassBatch(device, 4, 2);
  bad.input.span<float>()[7] = std::numeric_limits<float>::infinity();
  absl::Status status;
  int steps = 0;
  while (status.ok() && steps < 100) status = trainer->Step(bad).status(), ++steps;
  EXPECT_EQ(steps, 20);  // 16 halvings to a scale of 1, and then some
  EXPECT_NE(status.message().find("20 steps in a row, to step 20"), std::string::npos) << status;
}

TEST(TrainerTest, AtTheFloorItMayTrainInTheFallbackPrecisionForAWhile) {
  Device& device = TestDevice();
  auto trainer = MakeTrainer(
      device, SmallCnn(), "amp_fp16",
      {.initial = 1, .floor_policy = FloorPolicy::kFallback, .floor_patience = 1, .fallback_steps = 1});
  auto fp32 = MakeTrainer(device, SmallCnn(), "fp32"), fp16 = MakeTrainer(device, SmallCnn(), "amp_fp16");
  const Batch good = ClassBatch(device, 16, 1);
  Batch bad = good;
  bad.input = good.input.Clone();
  bad.input.span<float>()[7] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(trainer->Step(bad)->update.action, FloorAction::kEnterFallback);
  EXPECT_TRUE(trainer->scaler().loss_scale().in_fallback());

  const StepResult fallback = trainer->Step(good).value();
  EXPECT_EQ(fallback.update.action, FloorAction::kLeaveFallback);
  const double loss = fp32->Step(good)->loss;
  EXPECT_EQ(fallback.loss, loss);
  EXPECT_NE(fp16->Step(good)->loss, loss);
  EXPECT_NE(trainer->Step(good)->loss, fp32->Step(good)->loss);
}

TEST(TrainerTest, ClippingBoundsTheStep) {
  Device& device = TestDevice();
  const Batch batch = ClassBatch(device, 16, 1);
  const auto length_of_step = [&](double max_norm) {
    auto trainer = std::make_unique<Trainer>(
        device, SmallCnn(), MakeSgd({}).value(), MakeConstantSchedule({}, 1, 10).value(),
        GradScaler::Create({.enabled = false}).value(), TrainerOptions{.max_norm = max_norm});
    const std::vector<Tensor> before = Snapshot(*trainer);
    EXPECT_TRUE(trainer->Step(batch).ok());
    double squares = 0;
    const std::vector<Tensor> after = Snapshot(*trainer);
    // StateDict lists the parameters first.
    for (size_t k = 0; k < nn::Parameters(trainer->model()).size(); ++k) {
      for (int64_t j = 0; j < after[k].elements(); ++j) {
        const double d = after[k].span<float>()[j] - before[k].span<float>()[j];
        squares += d * d;
      }
    }
    return std::sqrt(squares);
  };
  EXPECT_GT(length_of_step(0), 0.5);
  EXPECT_NEAR(length_of_step(0.25), 0.25, 1e-3);
}

// On the CPU Enqueue is Step; on an accelerator it reads later, and replays what it recorded.
TEST(TrainerTest, StepsThatNobodyWaitsForHaveTheSameBits) {
  Device& device = TestDevice();
  const auto same = [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  for (const char* recipe : {"fp32", "amp_fp16"}) {
    auto one_by_one = MakeTrainer(device, SmallCnn(), recipe, {}, 0.05, {.record = false}),
         enqueued = MakeTrainer(device, SmallCnn(), recipe, {}, 0.05, {.read_every = 3});
    std::vector<StepResult> expected, actual;
    for (int i = 0; i < 8; ++i) {
      // The last one is of another size: no recording fits it.
      Batch batch = ClassBatch(device, i == 7 ? 8 : 16, i);
      if (i == 5) batch.input.span<float>()[7] = 1e30f;  // an overflow
      const auto a = one_by_one->Step(batch);
      const auto b = enqueued->Enqueue(batch);
      if (!a.ok()) {
        EXPECT_EQ(std::string(recipe), "fp32");
        EXPECT_FALSE(b.ok());  // the sixth: read with the fourth and the fifth
        break;
      }
      ASSERT_TRUE(b.ok()) << b.status();
      expected.push_back(*a);
      actual.insert(actual.end(), b->begin(), b->end());
    }
    if (std::string(recipe) == "fp32") continue;
    const auto rest = enqueued->Finish();
    ASSERT_TRUE(rest.ok()) << rest.status();
    EXPECT_EQ(enqueued->recorded(), device.accelerator() != nullptr);
    EXPECT_FALSE(one_by_one->recorded());
    actual.insert(actual.end(), rest->begin(), rest->end());
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(actual[i].step, static_cast<int64_t>(i) + 1);
      EXPECT_TRUE(same(actual[i].loss, expected[i].loss)) << i;
      EXPECT_EQ(actual[i].correct, expected[i].correct) << i;
      EXPECT_TRUE(same(actual[i].grad_norm, expected[i].grad_norm)) << i;
      EXPECT_EQ(actual[i].scale, expected[i].scale) << i;
      EXPECT_EQ(actual[i].skipped, expected[i].skipped) << i;
    }
    EXPECT_TRUE(actual[5].skipped);
    EXPECT_EQ(enqueued->scaler().loss_scale().state(), one_by_one->scaler().loss_scale().state());
    const std::vector<Tensor> a = Snapshot(*enqueued), b = Snapshot(*one_by_one);
    for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(SameBits(a[i], b[i])) << i;
  }
}

// One batch again and again.
class OneBatch : public BatchSource {
 public:
  explicit OneBatch(Batch batch) : batch_(std::move(batch)) {}
  Batch Next() override { return batch_; }
  LoaderPosition position() const override { return {}; }
  int64_t batches_per_epoch() const override { return 1; }

 private:
  const Batch batch_;
};

// What stands between the steps of a training run, evaluations and checkpoints, sees the weights as they are,
// and changes nothing, whether steps are recorded or not.
TEST(TrainerTest, WhatStandsBetweenRecordedStepsChangesNothing) {
  Device& device = TestDevice();
  for (const char* recipe : {"amp_bf16", "pure_bf16", "pure_fp16", "fp2", "fp8_hybrid"}) {
    SCOPED_TRACE(recipe);
    std::vector<double> losses[2];
    std::vector<Tensor> weights[2];
    for (const bool record : {false, true}) {
      auto model = SmallCnn();
      auto options = RecipeOptions(amp::FindRecipe(recipe).value(), *model);
      ASSERT_TRUE(options.ok()) << options.status();
      options->record = record;
      options->read_every = 2;
      auto trainer = std::make_unique<Trainer>(device, std::move(model), MakeSgd({.momentum = 0.9}).value(),
                                               MakeConstantSchedule({}, 0.02, 100).value(),
                                               GradScaler::Create({.enabled = false}).value(), *options);
      OneBatch test(ClassBatch(device.host(), 8, 77));
      for (int i = 0; i < 9; ++i) {
        ASSERT_TRUE(trainer->Enqueue(ClassBatch(device.host(), 8, i)).ok());
        if (i < 3 || i % 3 == 0) {
          const auto evaluation = trainer->Evaluate(test);
          ASSERT_TRUE(evaluation.ok()) << evaluation.status();
          losses[record].push_back(evaluation->loss);
        }
        if (i < 4) (void)StateDict(trainer->model());  // as a checkpoint looks
      }
      ASSERT_TRUE(trainer->Finish().ok());
      EXPECT_EQ(trainer->recorded(), record && device.accelerator() != nullptr);
      weights[record] = Snapshot(*trainer);
    }
    EXPECT_EQ(losses[0], losses[1]);
    EXPECT_TRUE(Same(weights[0], weights[1]));
  }
}

// What quantisers learn stays float32 where weights have 16 bits and no masters.
TEST(TrainerTest, QuantisersLearnBesideWeightsOf16Bits) {
  for (const char* format : {"fp4", "int4"}) {
    SCOPED_TRACE(format);
    auto model = SmallCnn();
    ASSERT_TRUE(amp::Quantize({.rules = {{.format = format}}}, *model).ok());
    auto trainer = MakeTrainer(TestDevice(), std::move(model), "pure_bf16");
    double first = 0, last = 0;
    const Batch batch = ClassBatch(TestDevice(), 32, 1);
    for (int i = 0; i < 20; ++i) {
      const absl::StatusOr<StepResult> result = trainer->Step(batch);
      ASSERT_TRUE(result.ok()) << result.status();
      (i == 0 ? first : last) = result->loss;
    }
    EXPECT_LT(last, first / 2);
    int learned = 0;
    for (const NamedTensor& t : StateDict(trainer->model())) {
      const bool of_quantiser = nn::BelongsToQuantizer(t.name);
      if (!IsFloat(t.tensor.dtype())) continue;
      if (!of_quantiser) continue;
      EXPECT_EQ(t.tensor.dtype(), DType::kF32) << t.name;
      ++learned;
    }
    EXPECT_GT(learned, 0);
  }
}

// A recording keeps a step's memory. Where there is not as much again, steps that are not replayed take that.
TEST(TrainerTest, RecordsNothingThatItHasNoMemoryFor) {
  Device& device = TestDevice();
  for (const int limited_from : {1, 3}) {
    SCOPED_TRACE(limited_from);
    std::vector<Tensor> weights[2];
    for (const bool record : {false, true}) {
      auto trainer = MakeTrainer(device, SmallCnn(), "fp32", {}, 0.02,
                                 {.count_zeros_every = 4, .read_every = 4, .record = record});
      device.allocator().ReleaseCached();
      for (int i = 0; i < 10; ++i) {
        const Batch batch = ClassBatch(device.host(), 8, i);
        if (record && i == limited_from && !LimitMemory(0)) GTEST_SKIP() << "memory has no limit here";
        const auto results = trainer->Enqueue(batch);
        ASSERT_TRUE(results.ok()) << results.status();
      }
      ASSERT_TRUE(trainer->Finish().ok());
      LimitMemory(size_t{1} << 40);
      weights[record] = Snapshot(*trainer);
    }
    EXPECT_TRUE(Same(weights[0], weights[1]));
  }
}

}  // namespace
}  // namespace halftone
