#include "tools/fp16_check/report.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/quant_format.h"
#include "tools/fp16_check/report_table.h"
#include "tools/fp16_check/sample_report.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A tensor with these stats of 100 numbers.
TensorResult Make(std::string name, FormatStats stats, uint64_t nans = 0) {
  TensorResult tensor = {.name = std::move(name)};
  tensor.numbers.elements = 100 + nans;
  tensor.numbers.nans = nans;
  stats.measured = 100 - stats.overflows;
  stats.squares = 1;
  FormatResult result = {.stats = stats, .verdict = Judge(tensor.numbers, stats, kFloat16, SafetyLimits())};
  tensor.formats.push_back(std::move(result));
  return tensor;
}

TEST(ReportTest, WorstFirst) {
  TensorResult scaled = Make("scaled", {.overflows = 50});
  scaled.formats[0].scaled.push_back({.exponent = -1});
  TensorResult skipped = {.name = "integers", .checked = false};
  const FileResult file = {.tensors = {
                               skipped,
                               Make("safe", {.squared_errors = 1e-7}),
                               Make("safe, less accurate", {.squared_errors = 1e-6}),
                               scaled,
                               Make("SQNR", {.squared_errors = 0.5}),
                               Make("SQNR again", {.squared_errors = 0.5}),
                               Make("underflow", {.underflows = 10}),
                               Make("more underflow", {.underflows = 20}),
                               Make("a NaN", {}, 1),
                               Make("more NaNs", {}, 2),
                               Make("overflow", {.overflows = 1}),
                               Make("more overflow", {.overflows = 2}),
                           }};
  std::vector<std::string> names;
  for (const size_t i : WorstFirst(file, 0)) names.push_back(file.tensors[i].name);
  EXPECT_THAT(names, ElementsAre("more overflow", "overflow", "more NaNs", "a NaN", "more underflow",
                                 "underflow", "SQNR", "SQNR again", "scaled", "safe, less accurate", "safe"));
}

TEST(ReportTest, BrokenLimitsAreToldWithTheirSizes) {
  const auto text = [](const TensorResult& tensor) { return VerdictText(tensor.numbers, tensor.formats[0]); };
  EXPECT_EQ(text(Make("", {})), "safe");
  EXPECT_EQ(text(Make("", {.underflows = 100})), "unsafe: 100% underflow");
  EXPECT_EQ(text(Make("", {.overflows = 1234567, .squared_errors = 0.1}, 2)),
            "unsafe: 2 NaN, 1.23e+06 overflow, SQNR 10 dB");
  TensorResult scaled = Make("", {.overflows = 1});
  scaled.formats[0].scaled = {{.exponent = -1, .verdict = {.sqnr = true}}, {.exponent = -2}};
  EXPECT_EQ(text(scaled), "safe with scale 2^-2");
}

TEST(ReportTest, Totals) {
  const Report report = SampleReport();
  const Totals totals = TotalsOf(report, 0);
  EXPECT_EQ(totals.safe, 2u);
  EXPECT_EQ(totals.safe_with_scale, 1u);
  EXPECT_EQ(totals.unsafe, 2u);
  EXPECT_EQ(totals.not_checked, 1u);
  EXPECT_EQ(totals.numbers.elements, 14u);
  EXPECT_EQ(totals.numbers.nans, 1u);
  EXPECT_EQ(totals.numbers.infinities, 1u);
  EXPECT_EQ(totals.numbers.zeros, 1u);
  EXPECT_EQ(totals.numbers.max_magnitude, 0x1p100);
  EXPECT_EQ(totals.numbers.min_magnitude, 0x1p-100);
  EXPECT_EQ(totals.numbers.exponents[0], 4u);
  EXPECT_EQ(totals.stats.overflows, 2u);
  EXPECT_EQ(totals.stats.underflows, 1u);
  EXPECT_EQ(totals.stats.measured, 10u);
  EXPECT_EQ(totals.Text(), "2 safe, 1 with scale, 2 unsafe, 1 not converted");
  EXPECT_EQ(totals.worst(), Outcome::kUnsafe);
}

TEST(ReportTest, ConclusionNamesFormatsAndFailures) {
  Report report = SampleReport();
  EXPECT_EQ(
      Conclusion(report),
      "unsafe in float16 (3 of 5 tensors, 1 of them safe with a scale); unsafe in bfloat16 (1 of 5 tensors); "
      "1 file could not be checked");
  report.files.resize(1);
  std::erase_if(report.files[0].tensors,
                [](const TensorResult& t) { return t.name == "broken" || t.name == "wide"; });
  EXPECT_EQ(Conclusion(report), "unsafe in float16 (1 of 3 tensors, safe with a scale); safe in bfloat16");
  report.files.clear();
  EXPECT_EQ(Conclusion(report), "nothing was checked");
}

TEST(ReportTableTest, OneRowATensorAndFormat) {
  const std::string table = ReportTable(SampleReport(), {});
  EXPECT_THAT(table,
              HasSubstr("sample (memory) in float16\n"
                        "tensor  dtype    shape          |min|     |max|  NaN  Inf  overflow  underflow  "
                        "subnormal  max rel err  SQNR dB  verdict\n"
                        "fine    float32  [4]              0.5         2    0    0         0          0  "
                        "        0            0      inf  safe\n"
                        "large   float32  [4]                1  1.31e+05    0    0         1          0  "
                        "        0            0      inf  safe with scale 2^-2\n"));
  EXPECT_THAT(table,
              HasSubstr("tie     float32  [1]                1         1    0    0         0          0  "
                        "        0     0.000488     66.2  safe\n"));
  EXPECT_THAT(table, HasSubstr("ids     int64    [3]   "));
  EXPECT_THAT(table, HasSubstr("  not converted\n"));
  EXPECT_THAT(table, HasSubstr("sample (memory) in bfloat16\n"));
  EXPECT_THAT(table,
              HasSubstr("total            14 numbers  7.89e-31  1.27e+30    1    1         2          1"));
  EXPECT_THAT(table, HasSubstr("\nConclusion: unsafe in float16 (3 of 5"));
  EXPECT_THAT(table, Not(HasSubstr("\033")));
}

TEST(ReportTableTest, FormatsWithScalesSaturate) {
  const Report report = {
      .formats = {*FindQuantFormat("mxfp4")},
      .files = {{.path = "f",
                 .kind = "memory",
                 .tensors = {{.name = "t", .numbers = {.elements = 40}, .formats = {{.saturated = 7}}}}}}};
  const std::string table = ReportTable(report, {});
  EXPECT_THAT(table, HasSubstr("f (memory) in mxfp4\n"));
  EXPECT_THAT(table, HasSubstr("saturated"));
  EXPECT_THAT(table, Not(HasSubstr("overflow")));
  EXPECT_THAT(table, HasSubstr("7"));
  EXPECT_EQ(TotalsOf(report, 0).saturated, 7u);
}

TEST(ReportTableTest, TopShowsTheWorst) {
  const std::string table = ReportTable(SampleReport(), {.top = 2});
  const size_t wide = table.find("\nwide "), broken = table.find("\nbroken ");
  EXPECT_LT(wide, broken);
  EXPECT_THAT(table, Not(HasSubstr("\nlarge ")));
  EXPECT_THAT(
      table,
      HasSubstr("2 safe, 1 with scale, 2 unsafe, 1 not converted. Shown are the worst 2 of 5 tensors.\n"));
}

TEST(ReportTableTest, HostileNamesDoNotSteerTheTerminal) {
  EXPECT_THAT(ReportTable(SampleReportNamed("\x1b[2Jevil\n"), {}), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace halftone
