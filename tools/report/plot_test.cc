#include "tools/report/plot.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/report/plot_script.h"
#include "tools/report/sample_results.h"

namespace halftone::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(PlotScriptTest, NothingInATextRuns) {
  EXPECT_EQ(Quoted("it's"), "'it''s'");
  EXPECT_EQ(Quoted("`id`"), "'?id?'");
  EXPECT_EQ(Quoted("a\nquit\n"), "'a\xef\xbf\xbdquit\xef\xbf\xbd'");
  EXPECT_EQ(Quoted("\\\"$x@y{/*"), "'\\\"$x@y{/*'");
  EXPECT_EQ(QuotedArray({"a", "b", "c"}, 2), "['a', 'b']");
  EXPECT_EQ(QuotedTics({"a_name_longer_than_its_room"}), "['a_name..._room']");
}

TEST(PlotScriptTest, Numbers) {
  EXPECT_EQ(DataNumber(0.25), "0.25");
  EXPECT_EQ(DataNumber(NAN), "?");
  EXPECT_EQ(DataNumber(INFINITY), "?");
  EXPECT_EQ(NumberArray({1, 2.5}), "[1, 2.5]");
}

TEST(PlotScriptTest, PercentScale) {
  EXPECT_EQ(PercentScale({0.42, 0.61}), std::pair(40.0, 65.0));
  EXPECT_EQ(PercentScale({0.5}), std::pair(50.0, 55.0));
  EXPECT_EQ(PercentScale({}), std::pair(0.0, 100.0));
}

TEST(PlotScriptTest, Panels) {
  SweepResults results = SampleResults();
  size_t left_out = 7;
  EXPECT_THAT(PanelsOf(results, left_out), ElementsAre(Panel("cifar10", "cnn"), Panel("cifar10", "vit")));
  EXPECT_EQ(left_out, 0u);
  for (int i = 0; i < 30; ++i) {
    results.models.push_back(absl::StrCat("m", i));
    results.runs.push_back(results.runs[0]);
    results.runs.back().point.model = results.models.back();
  }
  EXPECT_EQ(PanelsOf(results, left_out).size(), kMaxPanels);
  EXPECT_EQ(left_out, 8u);
  EXPECT_EQ(LeftOutText(8), "; 8 panels more are left out");
  EXPECT_EQ(LeftOutText(0), "");
}

TEST(PlotTest, AccuracyIsTheMeanOfFinishedRuns) {
  const Plot plot = AccuracyPlot(SampleResults());
  // fp32: 0.7, 0.5, 0.68; fp4: 0.55, 0.66. ViT has no run that finished: what there is is drawn.
  EXPECT_EQ(plot.data,
            "# 'cnn', 'cifar10'\n1 0.626667 0.605\n2 0.666667 0.63\n\n\n# 'vit', 'cifar10'\n1 ? 0.99\n\n\n");
  EXPECT_THAT(plot.script,
              HasSubstr("array panel = ['cnn, cifar10', 'vit, cifar10']\narray precision = ['fp32', 'fp4']"));
  EXPECT_THAT(plot.script, HasSubstr("array low = [60, 60]\narray high = [100, 100]"));
}

TEST(PlotTest, Bits) {
  const Plot plot = BitsPlot(SampleResults(), Summarize(SampleResults()));
  EXPECT_THAT(plot.data, HasSubstr("32 0.71\n4.25 0.66\n?\n\n\n4.25 0.66\n32 0.71\n?\n"));
  EXPECT_THAT(plot.script, HasSubstr("set xtics (4, 32)"));
}

TEST(PlotTest, Activations) {
  const Plot plot = ActivationsPlot(SampleResults(), Summarize(SampleResults()));
  EXPECT_THAT(plot.data, HasSubstr("# 'cnn', 'cifar10'\n1 1 0.71\n2 1 0.6\n1 2 0.68\n2 2 0.66\n"));
  EXPECT_THAT(plot.data, HasSubstr("# 'vit', 'cifar10'\n1 1 ?\n"));
}

TEST(PlotTest, Costs) {
  const SweepSummary summary = Summarize(SampleResults());
  EXPECT_THAT(MemoryPlot(SampleResults(), summary).data,
              HasSubstr("# 'cifar10', 'fp32'\n0 100 80\n?\n\n\n# 'cifar10', 'fp4'\n1 50 20\n"));
  EXPECT_THAT(TimePlot(SampleResults(), summary).data, HasSubstr("1 50 ?\n"));
  EXPECT_THAT(EstimatePlot(SampleResults()).data,
              HasSubstr("# 'cifar10', 'fp4'\n20 50 1\n20 50 1\n20 50 2\n"));
}

// Ranges that no axis could have are avoided: gnuplot refuses empty ones.
TEST(PlotTest, NothingToShow) {
  SweepResults results = SampleResults();
  for (SweepRun& run : results.runs) {
    for (Epoch& epoch : run.epochs) epoch = {.epoch = epoch.epoch};
  }
  const std::vector<Plot> plots = MakePlots(results, Summarize(results));
  EXPECT_EQ(plots.size(), 7u);
  for (const Plot& plot : plots) {
    for (const char* wrong : {"nan", "inf"}) {
      EXPECT_THAT(plot.script, Not(HasSubstr(wrong))) << plot.name;
      EXPECT_THAT(plot.data, Not(HasSubstr(wrong))) << plot.name;
    }
  }
}

}  // namespace
}  // namespace halftone::report
