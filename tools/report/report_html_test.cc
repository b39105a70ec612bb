#include "tools/report/report_html.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tools/report/page_data.h"
#include "tools/report/sample_results.h"

namespace halftone::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

constexpr char kEvil[] = "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>";

size_t Count(absl::string_view text, absl::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != absl::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::string Html(const SweepResults& results, const std::vector<std::string>& notices = {}) {
  const SweepSummary summary = Summarize(results);
  const std::vector<Plot> plots = MakePlots(results, summary);
  std::vector<std::string> svgs(plots.size());
  svgs[0] = "<svg/>";
  return ReportHtml(results, summary, plots, svgs, notices);
}

// Every text that comes from files.
SweepResults EvilResults() {
  SweepResults results = SampleResults();
  const std::string evil = kEvil;
  results.models = results.activations = results.datasets = {evil};
  for (SweepRun& run : results.runs) {
    run.point.model = run.point.activation = run.point.dataset = run.seed = run.config = evil;
    run.details = {.status = evil,
                   .reason = evil,
                   .emulated = evil,
                   .threads = evil,
                   .hardware = evil,
                   .version = evil,
                   .run = evil};
  }
  for (std::string& precision : results.precisions) precision += evil;
  for (SweepRun& run : results.runs) run.point.precision += evil;
  results.config = evil;
  return results;
}

TEST(ReportHtmlTest, HasAllParts) {
  const std::string html = Html(SampleResults(), {"a row was cut off"});
  for (const char* part :
       {"<h1>Precisions compared</h1>", "Best on cifar10: 71.00 % by cnn with relu in fp32.",
        "a row was cut off", "6 runs: 2 models", "<td>71.00</td>",
        "src=\"data:image/svg+xml;base64,PHN2Zy8+\"", "the loss is NaN", "a CPU",
        "weights and activations in learned codebooks of 16 values", "epochs: 2", "id=\"runs\"",
        "id=\"epochs\""}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_EQ(Count(html, "<figure>"), 1u);
}

TEST(ReportHtmlTest, NeedsNothingFromOutside) {
  const std::string html = Html(SampleResults());
  for (const char* outside : {"http:", "https:", "//cdn", "@import", "url("})
    EXPECT_THAT(html, Not(HasSubstr(outside)));
}

TEST(ReportHtmlTest, TextOfFilesIsText) {
  const std::string html = Html(EvilResults(), {kEvil});
  EXPECT_THAT(html, Not(HasSubstr("<img src=x")));
  EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
  EXPECT_EQ(Count(html, "<script"), 2u);  // the data's and the page's own
  EXPECT_EQ(Count(html, "</script"), 2u);
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)"));
}

TEST(PageDataTest, IsJsonWithoutTags) {
  const SweepResults results = EvilResults();
  const std::string text = PageData(results, Summarize(results));
  EXPECT_FALSE(absl::StrContains(text, '<'));
  const Json data = Json::parse(text);
  EXPECT_EQ(data["runs"][0]["values"], Json::array({kEvil}));
  EXPECT_EQ(data["lines"], Json::array({kEvil}));
}

TEST(PageDataTest, Tables) {
  SweepResults results = SampleResults();
  results.runs[0].config = "model {\n\tname: \"cnn\"\n}\n";
  results.runs[1].config = "model {\n}\n";
  const Json data = Json::parse(PageData(results, Summarize(results)));
  const auto column = [&](const char* table, const char* id) {
    for (const Json& c : data[table]) {
      if (c["id"] == id) return c;
    }
    return Json();
  };
  EXPECT_EQ(column("runs", "precision")["values"], Json::array({"fp32", "fp4"}));
  EXPECT_EQ(column("runs", "precision")["rows"], Json::array({0, 0, 1, 0, 1, 1}));
  EXPECT_EQ(column("runs", "best")["rows"], Json::array({0.70, 0.72, 0.60, 0.68, 0.66, 0.99}));
  EXPECT_EQ(column("runs", "at")["rows"], Json::array({1, 2, 2, 1, 1, 1}));
  EXPECT_EQ(column("runs", "drop")["rows"][5], Json());
  EXPECT_EQ(column("epochs", "epoch")["rows"], Json::array({1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1}));
  EXPECT_EQ(column("epochs", "time")["rows"][10], 20);
  EXPECT_EQ(column("epochs", "scale")["rows"][0], Json());
  EXPECT_EQ(data["lines"], Json::array({"model {", "  name: \"cnn\"", "}", "model {}"}));
  EXPECT_EQ(data["configs"], Json::array({Json::array({0, 1, 2}), Json::array({0, 2}), Json::array(),
                                          Json::array(), Json::array(), Json::array({3})}));
}

TEST(PageDataTest, BytesThatAreNotUtf8) {
  SweepResults results = SampleResults();
  results.runs[0].seed = "\xff\xfe\x00z";
  EXPECT_NO_FATAL_FAILURE(Json::parse(PageData(results, Summarize(results))));
}

}  // namespace
}  // namespace halftone::report
