// Every model of images learns sixteen images by heart, in float32 and in mixed precision.

#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "amp/recipe.h"
#include "base/parallel.h"
#include "gtest/gtest.h"
#include "models/model.h"
#include "nn/optim/adam.h"
#include "testing/device.h"
#include "testing/tensors.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr int64_t kBatch = 16, kClasses = 4, kWidth = 12;
constexpr int kSteps = 200;
constexpr double kLoss = 0.1;  // it begins at about log(10) = 2.3

// Noise on a colour of the image's class.
Batch ColouredBatch(Device& device, const models::ImageShape& image) {
  Batch batch = {RandomTensor(device, DType::kF32, {kBatch, image.height, image.width, image.channels}, 1),
                 Tensor::Empty(device, DType::kI64, {kBatch})};
  const Tensor colours = RandomTensor(device, DType::kF32, {kClasses, image.channels}, 2);
  const int64_t values = batch.input.elements() / kBatch;
  for (int64_t i = 0; i < kBatch; ++i) {
    const int64_t label = batch.labels.data<int64_t>()[i] = i % kClasses;
    for (int64_t j = 0; j < values; ++j) {
      float& v = batch.input.data<float>()[i * values + j];
      v = 0.5f * v + colours.data<float>()[label * image.channels + j % image.channels];
    }
  }
  return batch;
}

class OverfitTest : public ::testing::TestWithParam<std::tuple<models::ModelRow, const char*>> {};

TEST_P(OverfitTest, LearnsOneBatchByHeart) {
  SetNumThreads(1);  // such small networks gain nothing by more
  const auto& [row, recipe_name] = GetParam();
  models::ModelOptions options = {.name = std::string(row.name), .width = kWidth, .image = row.image};
  if (row.depth > 0) options.depth = 2;
  if (row.keeps_width) options.image = {.channels = kWidth, .height = 1, .width = 1};
  auto model = models::MakeModel(options);
  ASSERT_TRUE(model.ok()) << model.status();
  const amp::Recipe recipe = amp::FindRecipe(recipe_name).value();
  Device& device = TestDevice();
  Trainer trainer(
      device, *std::move(model), MakeAdam({}).value(), MakeConstantSchedule({}, 3e-3, kSteps).value(),
      GradScaler::Create({.enabled = recipe.scales_loss}).value(), {.policy = amp::MakePolicy(recipe)});
  const Batch batch = ColouredBatch(device, options.image);
  double loss = std::numeric_limits<double>::infinity();
  int step = 0;
  for (; step < kSteps && loss > kLoss; ++step) {
    const absl::StatusOr<StepResult> result = trainer.Step(batch);
    ASSERT_TRUE(result.ok()) << result.status();
    if (!result->skipped) loss = result->loss;
  }
  EXPECT_LE(loss, kLoss);
  RecordProperty("steps", step);
}

std::vector<models::ModelRow> ImageModels() {
  std::vector<models::ModelRow> rows;
  for (const models::ModelRow& row : models::Models()) {
    if (row.vocabulary == 0 && !row.for_inference) rows.push_back(row);
  }
  return rows;
}

INSTANTIATE_TEST_SUITE_P(Models, OverfitTest,
                         ::testing::Combine(::testing::ValuesIn(ImageModels()),
                                            ::testing::Values("fp32", "amp_bf16", "amp_fp16")),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param);
                         });

}  // namespace
}  // namespace halftone
