#include "tools/report/summary.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/report/sample_results.h"
#include "tools/report/summary_tables.h"

namespace halftone::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SummaryTest, Points) {
  const SweepSummary summary = Summarize(SampleResults());
  // Two seeds: 0.70 and 0.72.
  const PointSummary& base = summary.points.at({"cnn", "relu", "cifar10", "fp32"});
  EXPECT_EQ(base.runs, 2u);
  EXPECT_NEAR(base.best_acc, 0.71, 1e-12);
  EXPECT_NEAR(base.final_acc, 0.70, 1e-12);  // 0.68 and 0.72
  EXPECT_EQ(base.time, 10);
  EXPECT_EQ(base.drop, 0);
  const PointSummary& low = summary.points.at({"cnn", "relu", "cifar10", "fp4"});
  EXPECT_NEAR(low.drop, 0.11, 1e-12);
  EXPECT_EQ(low.time_ratio, 2);
  EXPECT_EQ(low.memory_ratio, 0.5);
  EXPECT_EQ(low.estimated_ratio, 0.25);
  EXPECT_EQ(low.weight_bits, 4.5);
  EXPECT_TRUE(summary.compared);
  EXPECT_TRUE(summary.emulated);
}

TEST(SummaryTest, Groups) {
  const SweepSummary summary = Summarize(SampleResults());
  const GroupSummary& low = summary.by_precision.at({"cifar10", "fp4"});
  EXPECT_EQ(low.runs, 3u);
  EXPECT_EQ(low.unfinished, 1u);  // its accuracy of 0.99 does not count
  EXPECT_NEAR(low.best_acc, 0.66, 1e-12);
  EXPECT_EQ(low.best.activation, "gelu");
  EXPECT_EQ(low.compared, 2u);
  EXPECT_NEAR(low.mean_drop, (0.11 + 0.02) / 2, 1e-12);
  EXPECT_NEAR(low.worst_drop, 0.11, 1e-12);
  EXPECT_NEAR(low.drop, 0.71 - 0.66, 1e-12);
  EXPECT_NEAR(low.time_ratio, 4, 1e-12);  // of 2 and 8
  EXPECT_NEAR(low.memory_ratio, 0.5, 1e-12);
  EXPECT_NEAR(low.time, (20 + 80) / 2.0, 1e-12);
  const GroupSummary& vit = summary.by_model.at({{"cifar10", "vit"}, "fp4"});
  EXPECT_EQ(vit.unfinished, 1u);
  EXPECT_TRUE(std::isnan(vit.best_acc));
  EXPECT_TRUE(std::isnan(vit.drop));
}

TEST(SummaryTest, Emulated) {
  for (const char* no : {"", "0", "no", "False", "native"}) EXPECT_FALSE(IsEmulated({.emulated = no})) << no;
  for (const char* yes : {"1", "yes", "weights"}) EXPECT_TRUE(IsEmulated({.emulated = yes})) << yes;
}

TEST(SummaryTablesTest, Rows) {
  const SweepResults results = SampleResults();
  const std::vector<SummaryTable> tables = SummaryTables(results, Summarize(results));
  ASSERT_EQ(tables.size(), 6u);
  EXPECT_THAT(tables[0].rows, ElementsAre(ElementsAre("fp32", "32", "3", "0", "71.00", "cnn, relu", "", "",
                                                      "1.00", "1.00", "1.00"),
                                          ElementsAre("fp4", "4.333", "3", "1", "66.00", "cnn, gelu", "6.50",
                                                      "11.00", "4.00", "0.50", "0.25")));
  EXPECT_EQ(tables[1].title, "Best accuracy, %");
  EXPECT_THAT(tables[1].header, ElementsAre("model", "fp32", "fp4"));
  EXPECT_THAT(tables[1].rows, ElementsAre(ElementsAre("cnn", "71.00", "66.00"), ElementsAre("vit", "", "")));
  EXPECT_THAT(tables[2].rows[0], ElementsAre("cnn", "", "5.00"));
  EXPECT_THAT(tables[3].rows[0], ElementsAre("cnn", "1.00", "4.00"));
  EXPECT_EQ(CountsText(results),
            "6 runs: 2 models, 2 activations, 1 data set, 2 precisions; 1 did not finish");
  EXPECT_THAT(BestTexts(results, Summarize(results)),
              ElementsAre("Best on cifar10: 71.00 % by cnn with relu in fp32"));
}

TEST(SummaryTablesTest, WithoutFloat32) {
  SweepResults results = SampleResults();
  std::erase_if(results.runs, [](const SweepRun& run) { return IsFloat32(run.point.precision); });
  results.precisions = {"fp4"};
  const std::vector<SummaryTable> tables = SummaryTables(results, Summarize(results));
  ASSERT_EQ(tables.size(), 4u);
  EXPECT_EQ(tables[0].header.size(), 6u);
  EXPECT_EQ(tables[2].title, "Seconds an epoch");
  EXPECT_THAT(tables[2].rows[0], ElementsAre("cnn", "50.0"));
  EXPECT_THAT(tables[3].rows[0], ElementsAre("cnn", "50.0"));
}

TEST(SummaryTablesTest, Texts) {
  EXPECT_EQ(PercentText(0.93254), "93.25");
  EXPECT_EQ(PercentText(-0.00001), "0.00");
  EXPECT_EQ(PercentText(NAN), "");
  EXPECT_EQ(RatioText(1.006), "1.01");
}

TEST(SummaryTablesTest, MarkdownHasNoMarkupOfNames) {
  SweepResults results = SampleResults();
  for (SweepRun& run : results.runs) run.point.model = "a|b<script>`x`[y](z)\n*";
  results.models = {results.runs[0].point.model};
  const std::string text = SummaryMarkdown(results, Summarize(results));
  EXPECT_THAT(text, HasSubstr("a\\|b&lt;script&gt;&#96;x&#96;\\[y\\](z)\xef\xbf\xbd\\*"));
  EXPECT_THAT(text, Not(HasSubstr("<script>")));
}

}  // namespace
}  // namespace halftone::report
