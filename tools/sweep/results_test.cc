#include "tools/sweep/results.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace halftone::sweep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ResultsTest : public ::testing::Test {
 protected:
  ResultsTest()
      : folder_(absl::StrCat(::testing::TempDir(), "/results_test_",
                             ::testing::UnitTest::GetInstance()->current_test_info()->name())),
        runs_({{.model = "cnn",
                .activation = "relu",
                .dataset = "cifar10",
                .precision = "FP4",
                .seed = 1,
                .id = "a"},
               {.model = "cnn",
                .activation = "relu",
                .dataset = "cifar10",
                .precision = "FP4",
                .seed = 2,
                .id = "b"}}) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    facts_.mutable_memory()->set_parameters(1.5);
    facts_.mutable_memory()->set_activations(2);
    facts_.set_weight_bits(4.25);
    facts_.set_activation_bits(32);
    facts_.set_emulated(true);
    facts_.set_threads(2);
    facts_.set_hardware("CPU, 2 cores");
    facts_.set_version("1.0");
  }

  static EpochRow Epoch(int64_t epoch) {
    return {.epoch = epoch,
            .train_accuracy = "0.5",
            .train_loss = "1.25",
            .test_accuracy = "0.25",
            .test_loss = "1.5",
            .seconds = "3.125",
            .loss_scale = "65536",
            .overflow_rate = 0.125,
            .peak_mebibytes = 8};
  }

  std::unique_ptr<ResultsWriter> Open() {
    const absl::StatusOr<Results> results = ReadResults(folder_, runs_);
    EXPECT_TRUE(results.ok()) << results.status();
    absl::StatusOr<std::unique_ptr<ResultsWriter>> writer = ResultsWriter::Open(folder_, *results);
    EXPECT_TRUE(writer.ok()) << writer.status();
    return *std::move(writer);
  }
  // Two epochs of the first run, a failure of the second after one, in turns.
  void WriteSome() {
    const std::unique_ptr<ResultsWriter> writer = Open();
    ASSERT_TRUE(writer->AddEpoch(0, runs_[0], Epoch(1), facts_).ok());
    ASSERT_TRUE(writer->AddEpoch(1, runs_[1], Epoch(1), facts_).ok());
    ASSERT_TRUE(writer->AddFailure(1, runs_[1], 2, "diverged", "loss, \"inf\"", facts_).ok());
    ASSERT_TRUE(writer->AddEpoch(0, runs_[0], Epoch(2), facts_).ok());
  }
  std::string Path(const char* name) { return absl::StrCat(folder_, "/", name); }
  std::string Text(const char* name) { return ReadFile(Path(name)).value(); }
  void Replace(const char* name, const std::string& text) { std::ofstream(Path(name)) << text; }
  std::string Error() {
    const absl::StatusOr<Results> results = ReadResults(folder_, runs_);
    EXPECT_FALSE(results.ok());
    return std::string(results.status().message());
  }

  const std::string folder_;
  const std::vector<sweep::Run> runs_;
  RunFacts facts_;
};

TEST_F(ResultsTest, WritesBothFiles) {
  WriteSome();
  EXPECT_EQ(Text(kResultsFile), absl::StrCat(kResultsHeader, "\n",
                                             "cnn,relu,cifar10,FP4,1,0.5,1.25,0.25,1.5,3.125,8.000,3.500\n"
                                             "cnn,relu,cifar10,FP4,1,0.5,1.25,0.25,1.5,3.125,8.000,3.500\n"
                                             "cnn,relu,cifar10,FP4,2,0.5,1.25,0.25,1.5,3.125,8.000,3.500\n"));
  EXPECT_EQ(
      Text(kDetailsFile),
      absl::StrCat(kDetailsHeader, "\n",
                   "cnn,relu,cifar10,FP4,1,1,65536,0.125,4.25,32,yes,ok,,2,\"CPU, 2 cores\",1.0,runs/a\n",
                   "cnn,relu,cifar10,FP4,1,2,65536,0.125,4.25,32,yes,ok,,2,\"CPU, 2 cores\",1.0,runs/b\n",
                   "cnn,relu,cifar10,FP4,2,2,,,4.25,32,yes,diverged,\"loss, \"\"inf\"\"\",2,\"CPU, 2 "
                   "cores\",1.0,runs/b\n",
                   "cnn,relu,cifar10,FP4,2,1,65536,0.125,4.25,32,yes,ok,,2,\"CPU, 2 cores\",1.0,runs/a\n"));
}

TEST_F(ResultsTest, AreReadAsTheyWereWritten) {
  WriteSome();
  const absl::StatusOr<Results> results = ReadResults(folder_, runs_);
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_THAT(results->notes, ElementsAre());
  ASSERT_EQ(results->rows.size(), 4u);
  EXPECT_EQ(results->rows[1].run, 1u);
  EXPECT_EQ(results->rows[3].run, 0u);
  EXPECT_EQ(results->rows[3].epoch, 2);
  EXPECT_EQ(results->rows[3].seconds(), 3.125);
  EXPECT_TRUE(results->rows[2].failed());
  EXPECT_EQ(results->rows[2].status(), "diverged");
  EXPECT_EQ(results->rows[2].reason(), "loss, \"inf\"");
}

// The sweep dies at whatever byte of either file: the next one cuts off what is half there, and the row that
// is taken again makes the files what they would have been.
TEST_F(ResultsTest, GoOnAfterACutAtAnyByte) {
  WriteSome();
  const std::string results = Text(kResultsFile), details = Text(kDetailsFile);
  const size_t last_result = results.rfind('\n', results.size() - 2) + 1;
  const size_t last_detail = details.rfind('\n', details.size() - 2) + 1;
  // Details are written first.
  std::vector<std::pair<size_t, size_t>> sizes;
  for (size_t d = last_detail; d < details.size(); ++d) sizes.emplace_back(last_result, d);
  for (size_t r = last_result; r < results.size(); ++r) sizes.emplace_back(r, details.size());
  for (const auto& [r, d] : sizes) {
    Replace(kResultsFile, results.substr(0, r));
    Replace(kDetailsFile, details.substr(0, d));
    const absl::StatusOr<Results> read = ReadResults(folder_, runs_);
    ASSERT_TRUE(read.ok()) << r << " " << d << ": " << read.status();
    EXPECT_EQ(read->rows.size(), 3u);
    EXPECT_EQ(read->notes.empty(), r == last_result && d == last_detail) << r << " " << d;
    ASSERT_TRUE(Open()->AddEpoch(0, runs_[0], Epoch(2), facts_).ok());
    EXPECT_EQ(Text(kResultsFile), results);
    EXPECT_EQ(Text(kDetailsFile), details);
  }
}

TEST_F(ResultsTest, RowsThatWereTakenOutByHandAreDoneAgain) {
  WriteSome();
  Replace(kResultsFile, absl::StrCat(kResultsHeader, "\n"));
  const absl::StatusOr<Results> read = ReadResults(folder_, runs_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->rows.empty());
  EXPECT_THAT(read->notes, ElementsAre(HasSubstr("4 row(s) more than final_results.csv")));
  Open();
  EXPECT_EQ(Text(kDetailsFile), absl::StrCat(kDetailsHeader, "\n"));
}

TEST_F(ResultsTest, RefuseWhatDoesNotFit) {
  WriteSome();
  const std::string results = Text(kResultsFile), details = Text(kDetailsFile);
  Replace(kResultsFile, absl::StrCat(results, "cnn,relu,cifar10,FP4,3,0,0,0,0,0,0,0\n"));
  EXPECT_THAT(Error(), HasSubstr("final_results.csv:5: has no row in run_details.csv"));
  Replace(kResultsFile, absl::StrCat(kResultsHeader, "\n", "vit,relu,cifar10,FP4,1,0,0,0,0,0,0,0\n"));
  EXPECT_THAT(Error(), HasSubstr("final_results.csv:2: not of the run and epoch of "));
  Replace(kResultsFile, results);
  Replace(kDetailsFile, absl::StrCat(details, "vit,relu,cifar10,FP4,1,1,,,,,,failed,x,,,,runs/c\n"));
  EXPECT_THAT(Error(), HasSubstr("run_details.csv:6: no run of this sweep is vit,relu,cifar10,FP4,1"));
  Replace(kDetailsFile, absl::StrCat(details, "cnn,relu,cifar10,FP4,4,1,,,,,,failed,x,,,,runs/a\n"));
  EXPECT_THAT(Error(), HasSubstr("run_details.csv:6: expected epoch 3, not 4"));
}

TEST_F(ResultsTest, MetricsAreReadByTheNamesOfTheirColumns) {
  Replace(
      "metrics.csv",
      "epoch,new,step,train_loss,train_acc,test_loss,test_acc,loss_scale,skipped_steps,seconds,peak_bytes\n"
      "1,x,4,2.5,0.125,nan,0.25,1024,1,1.5,1048576\n"
      "2,x,8,2,0.5,2.25,0.375,2048,0,1.25,2097152\n");
  const absl::StatusOr<std::vector<EpochRow>> rows = ReadMetrics(Path("metrics.csv"));
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].test_loss, "nan");
  EXPECT_EQ((*rows)[0].train_accuracy, "0.125");
  EXPECT_EQ((*rows)[0].overflow_rate, 0.25);
  EXPECT_EQ((*rows)[1].overflow_rate, 0);
  EXPECT_EQ((*rows)[1].peak_mebibytes, 2);
  EXPECT_TRUE(ReadMetrics(Path("none.csv"))->empty());
}

TEST_F(ResultsTest, MetricsWithoutAColumnOrOutOfOrderAreRefused) {
  Replace("metrics.csv", "epoch,step\n1,4\n");
  EXPECT_THAT(std::string(ReadMetrics(Path("metrics.csv")).status().message()),
              HasSubstr(":2: not the row of epoch 1"));
}

}  // namespace
}  // namespace halftone::sweep
