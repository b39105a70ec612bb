#include "train/recipe_speed.h"

#include <cmath>

#include "gtest/gtest.h"
#include "train/config.h"

namespace halftone {
namespace {

// How long anything takes is for benchmarks; here, that there is an answer for each recipe, and none for
// nonsense.
TEST(RecipeSpeedTest, MeasuresEachRecipeAndHandsErrorsOn) {
  ImageDataset dataset;
  dataset.name = "noise";
  dataset.channels = 3;
  dataset.height = dataset.width = 32;
  dataset.num_classes = 10;
  TrainConfig config;
  ASSERT_TRUE(MergeText(R"(model { name: "cnn" width: 4 } data { root: "none" batch_size: 4 }
                           optimizer { sgd {} })",
                        "test", config)
                  .ok());
  ASSERT_TRUE(ResolveTrainConfig(config).ok());
  for (const char* recipe : {"amp_bf16", "amp_fp16"}) {
    config.mutable_precision()->set_recipe(recipe);
    const absl::StatusOr<double> ratio = StepTimeOverFp32(config, dataset);
    ASSERT_TRUE(ratio.ok()) << ratio.status();
    EXPECT_TRUE(std::isfinite(*ratio) && *ratio > 0) << *ratio;
  }
  config.mutable_precision()->set_recipe("fp61");
  EXPECT_FALSE(StepTimeOverFp32(config, dataset).ok());
}

}  // namespace
}  // namespace halftone
