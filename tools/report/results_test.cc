#include "tools/report/results.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/results/files.h"

namespace halftone::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kDetailsHeader[] =
    "model,activation,dataset,precision,epoch,seed,loss_scale,overflow_rate,weight_bits,activation_bits,"
    "emulated,"
    "status,reason,threads,hardware,version,run\n";

std::string Results(const std::string& rows) { return absl::StrCat(kResultsHeader, "\n", rows); }

class ResultsTest : public ::testing::Test {
 protected:
  ResultsTest()
      : folder_(absl::StrCat(::testing::TempDir(), "/",
                             ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(folder_);
    EXPECT_TRUE(MakeDirectories(folder_).ok());
  }

  void Write(const std::string& name, const std::string& text) {
    const std::string path = absl::StrCat(folder_, "/", name);
    ASSERT_TRUE(MakeDirectories(std::filesystem::path(path).parent_path()).ok());
    std::ofstream(path, std::ios::binary) << text;
  }
  SweepResults Read() {
    absl::StatusOr<SweepResults> results = ReadSweepResults(folder_);
    EXPECT_TRUE(results.ok()) << results.status();
    return results.ok() ? *std::move(results) : SweepResults();
  }
  std::string ErrorOf() { return std::string(ReadSweepResults(folder_).status().message()); }

  const std::string folder_;
};

TEST_F(ResultsTest, RunsWithoutDetails) {
  Write("final_results.csv", Results("cnn,relu,mnist,fp8,1,0.5,1.5,0.25,2,3.5,100,40\n"
                                     "cnn,relu,mnist,fp32,1,0.5,1.5,0.25,nan,3,100,90\n"
                                     "cnn,relu,mnist,fp8,2,0.6,1.25,0.75,,4,120,40\n"
                                     "cnn,relu,mnist,fp8,1,0.1,1.5,0.1,2,3,100,40\n"));
  const SweepResults results = Read();
  EXPECT_THAT(results.warnings,
              ElementsAre(HasSubstr("no run_details.csv"), HasSubstr("2 runs have fewer epochs")));
  EXPECT_THAT(results.precisions, ElementsAre("fp32", "fp8"));
  ASSERT_EQ(results.runs.size(), 3u);
  const SweepRun& run = results.runs[0];
  EXPECT_EQ(run.seed, "#1");
  ASSERT_EQ(run.epochs.size(), 2u);
  EXPECT_EQ(run.epochs[0].train_acc, 0.5);
  EXPECT_EQ(run.epochs[0].train_loss, 1.5);
  EXPECT_EQ(run.epochs[0].test_loss, 2);
  EXPECT_TRUE(std::isnan(run.epochs[1].test_loss));
  EXPECT_EQ(run.best_test_acc(), 0.75);
  EXPECT_EQ(run.best_epoch(), 2);
  EXPECT_EQ(run.median_time(), 3.75);
  EXPECT_EQ(run.peak_memory(), 120);
  EXPECT_EQ(run.estimated_memory(), 40);
  EXPECT_EQ(run.weight_bits(), 8);
  EXPECT_FALSE(run.unfinished());
  EXPECT_EQ(results.runs[2].seed, "#2");
  EXPECT_EQ(results.runs[2].epochs.size(), 1u);
}

// Two seeds whose rows are mixed, one of which failed; a third run that failed before its first epoch's end.
TEST_F(ResultsTest, DetailsTellSeedsAndFailures) {
  Write("final_results.csv", Results("cnn,relu,mnist,FP4,1,0.1,1,0.11,1,1,1,1\n"
                                     "cnn,relu,mnist,FP4,1,0.2,1,0.21,1,1,1,1\n"
                                     "cnn,relu,mnist,FP4,2,0.2,1,0.22,1,1,1,1\n"));
  Write("run_details.csv",
        absl::StrCat(kDetailsHeader, "cnn,relu,mnist,FP4,1,7,1024,0.5,4.5,4,yes,ok,,2,cpu,0.1,runs/a\n",
                     "cnn,relu,mnist,FP4,1,8,,,4.5,4,yes,ok,,2,cpu,0.1,../b\n",
                     "cnn,relu,mnist,FP4,2,7,,,,,,diverged,\"NaN, so \"\"it\"\" is\",,,,runs/a\n",
                     "cnn,relu,mnist,FP4,2,8,,,4.5,4,yes,ok,,2,cpu,0.1,../b\n",
                     "vit,relu,mnist,FP4,1,7,,,,,,failed,out of memory,,,,/etc\n"));
  Write("runs/a/config.textproto", "model {}\n");
  Write("sweep.textproto", "seed: [7, 8]\n");
  const SweepResults results = Read();
  EXPECT_THAT(results.warnings, IsEmpty());
  EXPECT_EQ(results.config, "seed: [7, 8]\n");
  EXPECT_THAT(results.models, ElementsAre("cnn", "vit"));
  ASSERT_EQ(results.runs.size(), 3u);
  const SweepRun &a = results.runs[0], &b = results.runs[1], &c = results.runs[2];
  EXPECT_EQ(a.seed, "7");
  ASSERT_EQ(a.epochs.size(), 1u);
  EXPECT_EQ(a.epochs[0].test_acc, 0.11);
  EXPECT_EQ(a.epochs[0].loss_scale, 1024);
  EXPECT_EQ(a.epochs[0].overflow_rate, 0.5);
  EXPECT_TRUE(a.unfinished());
  EXPECT_EQ(a.details.reason, "NaN, so \"it\" is");
  EXPECT_EQ(a.config, "model {}\n");
  EXPECT_EQ(b.seed, "8");
  EXPECT_EQ(b.best_test_acc(), 0.22);
  EXPECT_FALSE(b.unfinished());
  EXPECT_EQ(b.weight_bits(), 4.5);
  EXPECT_EQ(b.config, "");
  EXPECT_EQ(c.details.status, "failed");
  EXPECT_TRUE(c.epochs.empty());
  EXPECT_TRUE(std::isnan(c.best_test_acc()));
  EXPECT_EQ(c.best_epoch(), 0);
}

TEST_F(ResultsTest, DamagedRowsAreLeftOut) {
  Write("final_results.csv", Results("cnn,relu,mnist,fp32,1,0.5,1,0.5,1,1,1,1\n"
                                     "cnn,relu,mnist\n"
                                     "cnn,relu,mnist,fp32,two,0.5,1,0.5,1,1,1,1\n"
                                     "cnn,relu,mnist,fp32,2,0.5,1,half,1,1,1,1\n"
                                     "cnn,relu,mnist,fp32,2,0.6,1,0.5,1,1,1,12"));
  const SweepResults results = Read();
  EXPECT_THAT(
      results.warnings,
      ElementsAre("final_results.csv: 3 damaged rows left out; line 3: 3 fields, expected 12",
                  "final_results.csv: line 6 has no end, as if the writing was cut off; it is left out",
                  HasSubstr("no run_details.csv")));
  ASSERT_EQ(results.runs.size(), 1u);
  EXPECT_EQ(results.runs[0].epochs.size(), 1u);
}

TEST_F(ResultsTest, DetailsOfAnotherVersionAreAWarning) {
  Write("final_results.csv", Results("cnn,relu,mnist,fp32,1,0.5,1,0.5,1,1,1,1\n"));
  Write("run_details.csv", "model,activation\ncnn,relu\n");
  EXPECT_THAT(Read().warnings, ElementsAre("run_details.csv has no column \"dataset\"; it is left out"));
  Write("run_details.csv", "seed,epoch,precision,dataset,activation,model,new\n3,1,fp32,mnist,relu,cnn,?\n");
  const SweepResults results = Read();
  EXPECT_THAT(results.warnings, IsEmpty());
  EXPECT_EQ(results.runs[0].seed, "3");
}

TEST_F(ResultsTest, ErrorsAreOneLine) {
  EXPECT_THAT(ErrorOf(), HasSubstr("final_results.csv: No such file"));
  Write("final_results.csv", "");
  EXPECT_THAT(ErrorOf(), HasSubstr("final_results.csv is empty; expected the columns model,activation"));
  Write("final_results.csv", "model,activ");
  EXPECT_THAT(ErrorOf(), HasSubstr("has no whole line"));
  Write("final_results.csv", Results(""));
  EXPECT_THAT(ErrorOf(), HasSubstr("final_results.csv has no whole row; run the sweep first"));
  Write("final_results.csv", "a,b\n1,2\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("final_results.csv: the columns are \"a,b\"; expected model,activation"));
  EXPECT_THAT(std::string(ReadSweepResults(folder_ + "/none").status().message()),
              HasSubstr("is not a folder"));
}

// Whatever the files hold is read or refused.
TEST_F(ResultsTest, AnyBytes) {
  std::minstd_rand random(3);
  const std::string results =
      Results("cnn,relu,mnist,fp32,1,0.5,1,0.5,1,1,1,1\ncnn,relu,mnist,fp4,1,0.5,1,0.5,1,1,1,1\n");
  const std::string details =
      absl::StrCat(kDetailsHeader, "cnn,relu,mnist,fp32,1,7,1024,0.5,4.5,4,yes,ok,,2,cpu,0.1,runs/a\n");
  for (int trial = 0; trial < 200; ++trial) {
    std::string r = results, d = details;
    for (int i = 0; i < 4; ++i) {
      // Behind the header, or all would end there.
      r[sizeof(kResultsHeader) + random() % (r.size() - sizeof(kResultsHeader))] =
          static_cast<char>(random());
      d[random() % d.size()] = static_cast<char>(random());
    }
    Write("final_results.csv", r);
    Write("run_details.csv", d);
    const absl::StatusOr<SweepResults> read = ReadSweepResults(folder_);
    if (!read.ok()) continue;
    for (const SweepRun& run : read->runs) EXPECT_LE(run.epochs.size(), 2u);
  }
}

TEST(ResultsNamesTest, Bits) {
  EXPECT_EQ(BitsInName("fp32"), 32);
  EXPECT_EQ(BitsInName("amp_bf16"), 16);
  EXPECT_EQ(BitsInName("fp8_hybrid"), 8);
  EXPECT_EQ(BitsInName("float8_e4m3fn"), 8);
  EXPECT_EQ(BitsInName("mxfp4"), 4);
  EXPECT_TRUE(std::isnan(BitsInName("e4m3")));
  EXPECT_TRUE(std::isnan(BitsInName("")));
  EXPECT_TRUE(std::isnan(BitsInName("fp")));
  EXPECT_TRUE(std::isnan(BitsInName("x99999999999999999999")));
  EXPECT_TRUE(IsFloat32("FP32"));
  EXPECT_TRUE(IsFloat32("float32"));
  EXPECT_FALSE(IsFloat32("fp3"));
}

}  // namespace
}  // namespace halftone::report
