#include "tools/fp16_check/report_html.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/quant_format.h"
#include "tools/fp16_check/exponent_chart.h"
#include "tools/fp16_check/sample_report.h"

namespace halftone {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

TEST(ReportHtmlTest, OneTableAFileAndOneBodyATensor) {
  const std::string html = ReportHtml(SampleReport());
  EXPECT_EQ(Count(html, "<table>"), 1u);
  EXPECT_EQ(Count(html, "<tbody class=\"tensor\""), 5u);
  EXPECT_EQ(Count(html, "<tbody class=\"tensor skipped\""), 1u);
  EXPECT_EQ(Count(html, "<svg class=\"spark\""), 10u);
  EXPECT_EQ(Count(html, "<svg class=\"chart\""), 5u);
  EXPECT_THAT(html, HasSubstr("Not checked: cannot open gone: No such file"));
  EXPECT_THAT(html, HasSubstr("&#8597; safe with scale 2<sup>-2</sup>"));
  EXPECT_THAT(html, HasSubstr("&#10007; unsafe: 1 NaN, 1 Inf"));
  EXPECT_THAT(html, HasSubstr("the first NaN or infinity is at index 0"));
}

TEST(ReportHtmlTest, ElementsAreClosed) {
  const std::string html = ReportHtml(SampleReport());
  for (const std::string tag : {"table", "tbody", "tr", "td", "th", "svg", "details", "div", "p", "span", "g",
                                "text", "script", "style", "title", "sup", "button"}) {
    EXPECT_EQ(Count(html, "<" + tag + ">") + Count(html, "<" + tag + " "), Count(html, "</" + tag + ">"))
        << tag;
  }
}

TEST(ReportHtmlTest, NamesAreOnlyText) {
  const std::string html =
      ReportHtml(SampleReportNamed("<script>alert('x')</script>\"><img src=x onerror=y>\xff"));
  EXPECT_EQ(Count(html, "<script"), 1u);
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&gt;&lt;img"));
  Report report = SampleReport();
  report.files[0].path = "<b>/\"'";
  report.files[1].error = "<i>";
  const std::string paths = ReportHtml(report);
  EXPECT_THAT(paths, Not(HasSubstr("<b>/")));
  EXPECT_THAT(paths, HasSubstr("Not checked: &lt;i&gt;"));
}

TEST(ReportHtmlTest, NeedsNothingElse) {
  const std::string html = ReportHtml(SampleReport());
  for (const char* outside : {"http:", "https:", "//cdn", "src=", "@import", "url(", "fetch("}) {
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  }
}

TEST(ReportHtmlTest, SortKeysAreTheWorstOfTheFormats) {
  // Elements, |min|, |max|, NaN, Inf, overflow, underflow, subnormal, error, SQNR, outcome.
  EXPECT_THAT(ReportHtml(SampleReport()), HasSubstr("data-s=\"4 1 131072 0 0 1 0 0 0 Infinity 1\""));
}

// They have no zones, and no lane in the chart.
TEST(ReportHtmlTest, FormatsWithScales) {
  Report report = SampleReport();
  report.formats[1] = *FindQuantFormat("nvfp4");
  const std::string html = ReportHtml(report);
  EXPECT_THAT(html, HasSubstr("<g id=\"z1\"></g>"));
  EXPECT_THAT(html, HasSubstr("nvfp4: with scales of its own."));
  EXPECT_EQ(Count(html, "<svg class=\"chart\""), 5u);
  EXPECT_EQ(Count(html, "<title>nvfp4:"), 0u);
  EXPECT_GT(Count(html, "<title>float16:"), 0u);
}

TEST(ReportHtmlTest, AReportOfNothing) {
  EXPECT_THAT(ReportHtml({.formats = {kFloat16}, .files = {{.path = "f"}}}),
              HasSubstr("No tensor was chosen."));
}

ExponentHistogram Histogram(const std::vector<std::pair<int, uint64_t>>& bins) {
  ExponentHistogram histogram;
  for (const auto& [exponent, count] : bins) histogram.Add(exponent, count);
  return histogram;
}

TEST(ExponentChartTest, RangeHoldsNumbersAndNearLimits) {
  const ExponentHistogram one = Histogram({{0, 1}});
  const ExponentRange half = ChartRange({&one}, {kFloat16});
  EXPECT_EQ(half.lowest, -24);  // 24 below the numbers; 2^-25 is beyond
  EXPECT_EQ(half.highest, 16);  // 65504 is below 2^16
  const ExponentHistogram extremes = Histogram({{-149, 1}, {127, 1}});
  EXPECT_EQ(ChartRange({&extremes}, {kFloat16}).bins(), 277);
  const ExponentHistogram none;
  EXPECT_GT(ChartRange({&none}, {kFloat16}).bins(), 0);
}

TEST(ExponentChartTest, SparkHeightsAreLogarithms) {
  EXPECT_EQ(SparkPath(Histogram({{2, 7}}), {0, 4}), "M2 24V2h1V24z");
  // log(1 + 7) is three times log(1 + 1): 22 / 3 of height.
  EXPECT_EQ(SparkPath(Histogram({{0, 1}, {4, 7}}), {0, 4}), "M0 24V16.67h1V24zM4 24V2h1V24z");
}

TEST(ExponentChartTest, ZonesLieWhereTheFormatChanges) {
  // float16: to 0 up to 2^-25, subnormal up to 2^-14, normal up to 65504.
  const std::string zones = SparkZones(kFloat16, {-30, 19});
  EXPECT_THAT(zones, HasSubstr("zone-zero\" x=\"0\" y=\"0\" width=\"5\""));
  EXPECT_THAT(zones, HasSubstr("zone-subnormal\" x=\"5\" y=\"0\" width=\"11\""));
  EXPECT_THAT(zones, HasSubstr("zone-normal\" x=\"16\" y=\"0\" width=\"30\""));
  EXPECT_THAT(zones, HasSubstr("zone-overflow\" x=\"46\" y=\"0\" width=\"4"));
  EXPECT_THAT(SparkZones(kBfloat16, {-10, 10}), Not(HasSubstr("overflow")));
}

TEST(ExponentChartTest, TellsCounts) {
  const Report report = SampleReport();
  const std::string chart = ExponentChart(report.files[0].tensors[1], report.formats);  // 2^17, 1, 2, 4
  EXPECT_EQ(Count(chart, "class=\"bar\""), 4u);
  EXPECT_THAT(chart, HasSubstr("<title>2^17 to 2^18: 1 (25%)</title>"));
  EXPECT_THAT(chart, HasSubstr("<title>float16: 1 overflow</title>"));
  EXPECT_THAT(chart, HasSubstr("<title>float16: 3 normal</title>"));
  EXPECT_THAT(chart, HasSubstr("2<tspan dy=\"-5\">0</tspan>"));
}

}  // namespace
}  // namespace halftone
