// In a training step the host waits for nothing that an accelerator does.

#include <memory>
#include <string>

#include "amp/recipe.h"
#include "datasets/batch.h"
#include "gtest/gtest.h"
#include "models/model.h"
#include "nn/optim/adam.h"
#include "testing/device.h"
#include "testing/tensors.h"
#include "train/recipe_options.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr int64_t kBatch = 4;

Batch SomeImages(Device& device, const models::ImageShape& image) {
  return {RandomTensor(device.host(), DType::kF32, {kBatch, image.height, image.width, image.channels}, 1),
          Tensor::Zeros(device.host(), DType::kI64, {kBatch})};
}

void ExpectNoWaits(Device& device, std::unique_ptr<nn::Module> model, const std::string& recipe_name,
                   const Batch& batch) {
  const amp::Recipe recipe = amp::FindRecipe(recipe_name).value();
  const absl::StatusOr<TrainerOptions> options = RecipeOptions(recipe, *model);
  ASSERT_TRUE(options.ok()) << options.status();
  Trainer trainer(device, std::move(model), MakeAdamW({}).value(), MakeConstantSchedule({}, 1e-3, 10).value(),
                  GradScaler::Create({.enabled = recipe.scales_loss}).value(), *options);
  // The first step makes working copies and the optimiser's memory, and quantisers look at their first
  // numbers.
  ASSERT_TRUE(trainer.Step(batch).ok());
  const int64_t before = device.accelerator()->waits();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(trainer.Enqueue(batch).ok());
  // A recording begins when all before it is done.
  EXPECT_LE(device.accelerator()->waits() - before, trainer.recorded() ? 1 : 0);
  ASSERT_TRUE(trainer.Finish().ok());
}

TEST(WaitsTest, NoImageModelMakesTheHostWait) {
  Device& device = TestDevice();
  for (const models::ModelRow& row : models::Models()) {
    if (row.vocabulary > 0 || row.for_inference || row.name == "bignet") continue;
    SCOPED_TRACE(row.name);
    const int64_t width = row.name == "vit" || row.name == "mixer" ? 24 : 8;
    const int64_t depth = row.name == "vit" || row.name == "mixer" ? 1 : 0;
    auto model = models::MakeModel(
        {.name = std::string(row.name), .width = width, .depth = depth, .image = row.image});
    ASSERT_TRUE(model.ok()) << model.status();
    ExpectNoWaits(device, *std::move(model), "amp_bf16", SomeImages(device, row.image));
  }
}

TEST(WaitsTest, NeitherDoesATextModel) {
  Device& device = TestDevice();
  constexpr int64_t kWords = 50, kLength = 12;
  auto model = models::MakeModel({.name = "bert",
                                  .width = 16,
                                  .depth = 1,
                                  .heads = 2,
                                  .vocabulary = kWords,
                                  .max_position = kLength,
                                  .num_classes = 1,
                                  .text = models::TextShape{.vocabulary = kWords, .max_length = kLength}});
  ASSERT_TRUE(model.ok()) << model.status();
  Batch batch = {Tensor::Zeros(device.host(), DType::kI64, {kBatch, 3, kLength}),
                 Tensor::Zeros(device.host(), DType::kI64, {kBatch})};
  for (int64_t i = 0; i < batch.input.elements(); ++i) {
    batch.input.data<int64_t>()[i] = i / kLength % 3 == 1;  // all tokens count
  }
  ExpectNoWaits(device, *std::move(model), "amp_bf16", batch);
}

TEST(WaitsTest, NoRecipeMakesTheHostWait) {
  Device& device = TestDevice();
  for (const char* recipe : {"fp32", "amp_fp16", "pure_bf16", "fp8_hybrid", "mxfp4", "int4", "fp2"}) {
    SCOPED_TRACE(recipe);
    ExpectNoWaits(device, models::MakeModel({.name = "cnn", .width = 8}).value(), recipe,
                  SomeImages(device, {}));
  }
}

}  // namespace
}  // namespace halftone
