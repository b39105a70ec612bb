#include "train/records/metrics.h"

#include <cstdio>
#include <string>

#include "base/file.h"
#include "gtest/gtest.h"
#include "train/records/progress.h"

namespace halftone {
namespace {

TEST(MetricsCsvTest, IsWholeAfterEveryRowAndKeepsRowsForResuming) {
  const std::string path = ::testing::TempDir() + "/metrics.csv";
  MetricsCsv first(path);
  ASSERT_TRUE(first.Append({.epoch = 1, .step = 10, .train_loss = 0.5, .test_accuracy = 0.25}).ok());
  ASSERT_TRUE(first.Append({.epoch = 2, .step = 20, .train_loss = 0.1}).ok());
  const std::string both = ReadFile(path).value();
  EXPECT_EQ(
      both.find("epoch,step,train_loss,train_acc,test_loss,test_acc,learning_rate,loss_scale,skipped_steps,"),
      0u);
  EXPECT_NE(both.find("\n1,10,0.5,0.000000,0,0.250000,"), std::string::npos) << both;

  // A run resumed after epoch 1 writes epoch 2 anew.
  MetricsCsv second(path);
  ASSERT_TRUE(second.KeepEpochs(1).ok());
  ASSERT_TRUE(second.Append({.epoch = 2, .step = 20, .train_loss = 0.1}).ok());
  EXPECT_EQ(ReadFile(path).value(), both);
  EXPECT_FALSE(MetricsCsv(path).KeepEpochs(3).ok());
}

TEST(MetricsCsvTest, AForeignFileIsNotTakenForOurs) {
  const std::string path = ::testing::TempDir() + "/foreign.csv";
  ASSERT_TRUE(WriteFileAtomically(path, "a,b\n1,2\n").ok());
  MetricsCsv csv(path);
  EXPECT_EQ(csv.KeepEpochs(1).code(), absl::StatusCode::kDataLoss);
}

TEST(ProgressTest, ALogGetsLinesAndNoControlCharacters) {
  const std::string path = ::testing::TempDir() + "/log";
  std::FILE* file = std::fopen(path.c_str(), "w");
  {
    Progress progress(file, /*log_seconds=*/0);
    progress.Update([] { return std::string("half"); });
    progress.Line("done");
  }
  std::fclose(file);
  EXPECT_EQ(ReadFile(path).value(), "half\ndone\n");
}

TEST(ProgressTest, ALogIsNotFloodedWithUpdates) {
  const std::string path = ::testing::TempDir() + "/log";
  std::FILE* file = std::fopen(path.c_str(), "w");
  {
    Progress progress(file, /*log_seconds=*/3600);
    for (int i = 0; i < 1000; ++i) progress.Update([] { return std::string("no"); });
  }
  std::fclose(file);
  EXPECT_EQ(ReadFile(path).value(), "");
}

TEST(HumanSecondsTest, ReadsAsPeopleSayIt) {
  EXPECT_EQ(HumanSeconds(12.4), "12 s");
  EXPECT_EQ(HumanSeconds(200), "3 min 20 s");
  EXPECT_EQ(HumanSeconds(7500), "2 h 5 min");
  EXPECT_EQ(HumanSeconds(-1), "0 s");
}

}  // namespace
}  // namespace halftone
