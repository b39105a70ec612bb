#include "tools/sweep/grid.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "train/config.h"

namespace halftone::sweep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kBase[] = R"(
  base { data { root: "datasets/sample/cifar10" } optimizer { sgd { learning_rate: 0.1 } } })";
constexpr char kGrid[] = R"(
  model { name: "cnn" width: 8 } model { name: "vit" width: 48 }
  activation: ["relu", "gelu"] dataset { name: "cifar10" } precision: ["FP32", "fp4"])";

SweepConfig Parse(const std::string& text) {
  SweepConfig config;
  const absl::Status status = MergeText(text, "test", config);
  EXPECT_TRUE(status.ok()) << status;
  return config;
}

absl::StatusOr<Grid> Make(const std::string& text) { return MakeGrid(Parse(absl::StrCat(kBase, text))); }

std::vector<std::string> Ids(const Grid& grid) {
  std::vector<std::string> ids;
  for (const sweep::Run& run : grid.runs) ids.push_back(run.id);
  return ids;
}

// One line that says `what`.
void Refuses(const std::string& text, const std::string& what) {
  const absl::StatusOr<Grid> grid = Make(text);
  ASSERT_FALSE(grid.ok()) << text;
  EXPECT_THAT(std::string(grid.status().message()), HasSubstr(what));
  EXPECT_FALSE(absl::StrContains(grid.status().message(), "\n"));
}

TEST(Grid, IsEveryCombinationModelsOutermost) {
  const absl::StatusOr<Grid> grid = Make(kGrid);
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_THAT(Ids(*grid),
              ElementsAre("cnn-relu-cifar10-FP32", "cnn-relu-cifar10-fp4", "cnn-gelu-cifar10-FP32",
                          "cnn-gelu-cifar10-fp4", "vit-relu-cifar10-FP32", "vit-relu-cifar10-fp4",
                          "vit-gelu-cifar10-FP32", "vit-gelu-cifar10-fp4"));
  EXPECT_TRUE(grid->warnings.empty());
}

TEST(Grid, RunsHaveWholeConfigs) {
  const absl::StatusOr<Grid> grid =
      Make(absl::StrCat(kGrid, "epochs: 3 limit: 100 seed: [5, 6] base { data { batch_size: 25 } }"));
  ASSERT_TRUE(grid.ok()) << grid.status();
  ASSERT_EQ(grid->runs.size(), 16u);
  const sweep::Run& run = grid->runs[3];
  EXPECT_EQ(run.id, "cnn-relu-cifar10-fp4-seed6");
  EXPECT_EQ(run.config.model().name(), "cnn");
  EXPECT_EQ(run.config.model().width(), 8);
  EXPECT_EQ(run.config.model().activation(), "relu");
  EXPECT_EQ(run.config.data().batch_size(), 25);
  EXPECT_EQ(run.config.data().limit(), 100);
  EXPECT_EQ(run.config.data().root(), "datasets/sample/cifar10");
  EXPECT_EQ(run.config.precision().recipe(), "fp4");
  EXPECT_EQ(run.config.run().epochs(), 3);
  EXPECT_EQ(run.config.run().seed(), 6u);
  EXPECT_TRUE(run.config.loss_scale().has_growth_factor());  // resolved
}

TEST(Grid, PapersSpellingOfAPrecisionIsKeptForTheCsv) {
  const absl::StatusOr<Grid> grid = Make(kGrid);
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_EQ(grid->runs[0].precision, "FP32");
  EXPECT_EQ(grid->runs[0].config.precision().recipe(), "fp32");
}

TEST(Grid, WithoutActivationsEveryModelHasItsOwn) {
  const absl::StatusOr<Grid> grid =
      Make(R"(model { name: "mobilenetv2" } model { name: "vit" activation: "mish" } model { name: "mixer" }
              dataset { name: "cifar10" } precision: "fp32")");
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_THAT(Ids(*grid), ElementsAre("mobilenetv2-relu6-cifar10-fp32", "vit-mish-cifar10-fp32",
                                      "mixer-gelu-cifar10-fp32"));
}

TEST(Grid, ADataSetsOwnLimitCounts) {
  const absl::StatusOr<Grid> grid = Make(R"(model { name: "cnn" } dataset { name: "cifar10" limit: 7 }
      dataset { name: "cifar100" } precision: "fp32" limit: 50)");
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_EQ(grid->runs[0].config.data().limit(), 7);
  EXPECT_EQ(grid->runs[1].config.data().limit(), 50);
}

TEST(Grid, IncludeAndExclude) {
  const absl::StatusOr<Grid> grid = Make(absl::StrCat(kGrid, R"(
      include { model: "cnn" } include { activation: "gelu" precision: "fp*" }
      exclude { model: "c*" precision: "FP4" })"));
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_THAT(Ids(*grid), ElementsAre("cnn-relu-cifar10-FP32", "cnn-gelu-cifar10-FP32",
                                      "vit-gelu-cifar10-FP32", "vit-gelu-cifar10-fp4"));
}

TEST(Grid, PatternsThatMatchNothingAreWarnedOf) {
  const absl::StatusOr<Grid> grid = Make(absl::StrCat(kGrid, R"(exclude { model: "vti" }
      change { precision: "fp2" config { model { width: 4 } } })"));
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_THAT(grid->warnings, ElementsAre(HasSubstr("exclude { model: \"vti\" } matches no run"),
                                          HasSubstr("change { precision: \"fp2\"")));
}

TEST(Grid, ChangesAreMergedInOrder) {
  const absl::StatusOr<Grid> grid = Make(absl::StrCat(kGrid, R"(
      change { model: "vit" config { optimizer { adamw { learning_rate: 0.5 } } model { width: 96 } } }
      change { model: "vit" precision: "fp4"
               config { optimizer { adamw { learning_rate: 0.25 } } run { epochs: 2 } } })"));
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_TRUE(grid->runs[0].config.optimizer().has_sgd());
  EXPECT_EQ(grid->runs[4].config.optimizer().adamw().learning_rate(), 0.5);
  EXPECT_EQ(grid->runs[5].config.optimizer().adamw().learning_rate(), 0.25);
  EXPECT_EQ(grid->runs[5].config.model().width(), 96);
  EXPECT_EQ(grid->runs[5].config.run().epochs(), 2);
  EXPECT_EQ(grid->runs[4].config.run().epochs(), 10);
}

TEST(Grid, AFilledGridMakesItselfAgain) {
  const absl::StatusOr<Grid> grid = Make(absl::StrCat(kGrid, "epochs: 3 out: \"somewhere\""));
  ASSERT_TRUE(grid.ok()) << grid.status();
  const absl::StatusOr<Grid> again = MakeGrid(Parse(PrintConfig(grid->config)));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(FirstDifference(grid->config, again->config), "");
  ASSERT_EQ(grid->runs.size(), again->runs.size());
  for (size_t i = 0; i < grid->runs.size(); ++i) {
    EXPECT_EQ(FirstDifference(grid->runs[i].config, again->runs[i].config), "");
  }
}

TEST(Grid, IdentityIsNotAboutPlaces) {
  const SweepConfig a = Identity(Make(absl::StrCat(kGrid, "out: \"a\""))->config);
  const SweepConfig b = Identity(
      Make(absl::StrCat(kGrid, "out: \"b\" base { run { threads: 2 } data { root: \"elsewhere\" } }"))
          ->config);
  EXPECT_EQ(FirstDifference(a, b), "");
  const SweepConfig moved = Identity(
      Make(absl::StrCat(kGrid, "change { dataset: \"cifar10\" config { data { root: \"x\" } } }"))->config);
  EXPECT_EQ(FirstDifference(a, moved), "");
  const SweepConfig c = Identity(Make(absl::StrCat(kGrid, "base { run { epochs: 11 } }"))->config);
  EXPECT_THAT(FirstDifference(a, c), HasSubstr("epochs"));
}

TEST(Grid, Refuses) {
  Refuses("", "the grid is empty: no model");
  Refuses("model { name: \"cnn\" }", "the grid is empty: no dataset");
  Refuses("model { name: \"cnn\" } dataset { name: \"cifar10\" }", "the grid is empty: no precision");
  Refuses(absl::StrCat(kGrid, "exclude {}"),
          "the grid is empty: include and exclude leave none of its 8 runs");
  Refuses(absl::StrCat(kGrid, "model { name: \"resnet\" }"), "unknown model \"resnet\"; valid: mlp, cnn, ");
  Refuses(absl::StrCat(kGrid, "activation: \"rleu\""), "unknown activation \"rleu\"; valid: ");
  Refuses(absl::StrCat(kGrid, "dataset { name: \"cifar\" }"),
          "unknown data set \"cifar\"; valid: cifar10, cifar100");
  Refuses(absl::StrCat(kGrid, "precision: \"FP5\""), "unknown recipe \"FP5\"; valid: fp32, ");
  Refuses(absl::StrCat(kGrid, "precision: \"FP4\""), "precision FP4 is there twice");
  Refuses(absl::StrCat(kGrid, "model { name: \"cnn\" width: 4 }"), "model cnn is there twice");
  Refuses(absl::StrCat(kGrid, "seed: [1, 1]"), "seed 1 is there twice");
  Refuses(absl::StrCat(kGrid, "model { name: \"mlp\" activation: \"relu\" }"), "model mlp has an activation");
  Refuses(absl::StrCat(kGrid, "change { config { precision { recipe: \"fp8\" } } }"),
          "change sets precision.recipe");
  Refuses(absl::StrCat(kGrid, "epochs: 0"), "cnn-relu-cifar10-FP32: run.epochs is 0");
  Refuses(absl::StrCat(kGrid, "out: \"\""), "out is empty");
  Refuses(absl::StrCat(kGrid, "base { data { root: \"\" } }"), "cnn-relu-cifar10-FP32: data.root is empty");
}

TEST(Grid, MissesTheFolderOfADataSet) {
  const absl::StatusOr<Grid> grid = Make(absl::StrCat(kGrid, "base { data { root: \"/no/such\" } }"));
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_THAT(std::string(CheckDataFolders(*grid).message()),
              HasSubstr("cnn-relu-cifar10-FP32: no folder /no/such; expected the folder of the cifar10 "
                        "files: --set='change"));
}

TEST(Shard, PartsTheRunsEvenly) {
  int seen[10] = {};
  for (const char* text : {"1/3", "2/3", "3/3"}) {
    const absl::StatusOr<Shard> shard = ParseShard(text);
    ASSERT_TRUE(shard.ok());
    for (size_t run = 0; run < 10; ++run) seen[run] += shard->Has(run);
  }
  for (const int times : seen) EXPECT_EQ(times, 1);
}

TEST(Shard, TellsTheThreadsOfItsRuns) {
  Grid grid;
  for (const int threads : {0, 3, 1, 3}) grid.runs.emplace_back().config.mutable_run()->set_threads(threads);
  EXPECT_EQ(ThreadsText(grid, {}, 2), "1 to 3 threads");
  EXPECT_EQ(ThreadsText(grid, {.index = 1, .count = 2}, 1), "1 thread");
  EXPECT_EQ(ThreadsText(grid, {.index = 2, .count = 2}, 8), "3 threads");
  EXPECT_EQ(ThreadsText(grid, {.index = 5, .count = 5}, 8), "8 threads");
}

TEST(Shard, RefusesWhatIsNone) {
  for (const char* text : {"", "1", "0/3", "4/3", "1/0", "1/2/3", "a/b", "-1/3"}) {
    EXPECT_FALSE(ParseShard(text).ok()) << text;
  }
}

}  // namespace
}  // namespace halftone::sweep
