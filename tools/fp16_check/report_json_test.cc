#include "tools/fp16_check/report_json.h"

#include <cmath>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "quant/quant_format.h"
#include "tools/fp16_check/sample_report.h"

namespace halftone {
namespace {

using nlohmann::json;

class ReportJsonTest : public ::testing::Test {
 protected:
  const json report_ = json::parse(ReportJson(SampleReport()));
  const json& tensor(size_t i) { return report_["files"][0]["tensors"][i]; }
};

TEST_F(ReportJsonTest, SaysWhatItIs) {
  EXPECT_EQ(report_["schema"], "halftone.fp16_check");
  EXPECT_EQ(report_["version"], 1);
  EXPECT_EQ(report_["limits"], json::parse(R"({"max_overflow": 0, "max_underflow_fraction": 0.01,
                                              "min_sqnr_db": 20.0, "allow_infinities": false})"));
  ASSERT_EQ(report_["formats"].size(), 2u);
  EXPECT_EQ(report_["formats"][0]["name"], "float16");
  EXPECT_EQ(report_["formats"][0]["largest_finite"], 65504);
  EXPECT_EQ(report_["formats"][1]["mantissa_bits"], 7);
}

TEST_F(ReportJsonTest, HoldsEveryCount) {
  const json& large = tensor(1);
  EXPECT_EQ(large["name"], "large");
  EXPECT_EQ(large["dtype"], "float32");
  EXPECT_EQ(large["shape"], json::array({4}));
  EXPECT_EQ(large["elements"], 4);
  EXPECT_EQ(large["max_magnitude"], 131072);
  EXPECT_EQ(large["min_magnitude"], 1);
  EXPECT_EQ(large["max_index"], 0);
  EXPECT_EQ(large["first_nonfinite_index"], nullptr);
  EXPECT_EQ(large["exponents"], json::parse(R"({"0": 1, "1": 1, "2": 1, "17": 1})"));
  const json& half = large["formats"][0];
  EXPECT_EQ(half["format"], "float16");
  EXPECT_EQ(half["outcome"], "safe_with_scale");
  EXPECT_EQ(half["verdict"], "safe with scale 2^-2");
  EXPECT_EQ(half["broken_limits"], json::array({"overflow"}));
  EXPECT_EQ(half["scale_exponent"], -2);
  EXPECT_EQ(half["overflows"], 1);
  EXPECT_EQ(half["measured"], 3);
  EXPECT_EQ(half["exact"], 3);
  EXPECT_EQ(half["max_error_index"], nullptr);
  EXPECT_EQ(half["sqnr_db"], "Infinity");
  EXPECT_EQ(half["scale_range"]["highest"], -2);
  ASSERT_EQ(half["scales_tried"].size(), 1u);
  EXPECT_EQ(half["scales_tried"][0]["exponent"], -2);
  EXPECT_EQ(half["scales_tried"][0]["broken_limits"], json::array());
  EXPECT_EQ(half["scales_tried"][0]["exact"], 4);
  EXPECT_EQ(large["formats"][1]["outcome"], "safe");
  EXPECT_EQ(large["formats"][1]["scale_exponent"], nullptr);

  const json& tie = tensor(4)["formats"][0];
  EXPECT_NEAR(tie["sqnr_db"].get<double>(), 20 * std::log10(2049), 1e-4);
  EXPECT_NEAR(tie["max_relative_error"].get<double>(), 1.0 / 2049, 1e-9);
  EXPECT_NEAR(tie["rms_error"].get<double>(), 0x1p-11, 1e-9);
  EXPECT_EQ(tie["max_error_index"], 0);
}

TEST_F(ReportJsonTest, NansAndInfinities) {
  const json& broken = tensor(2);
  EXPECT_EQ(broken["nans"], 1);
  EXPECT_EQ(broken["infinities"], 1);
  EXPECT_EQ(broken["first_nonfinite_index"], 0);
  EXPECT_EQ(broken["formats"][0]["broken_limits"], json::array({"nan", "infinity"}));
  EXPECT_EQ(broken["formats"][0]["outcome"], "unsafe");
}

TEST_F(ReportJsonTest, UncheckedTensorsAndFilesAreListed) {
  EXPECT_EQ(tensor(5), json::parse(R"({"name": "ids", "dtype": "int64", "shape": [3], "checked": false})"));
  EXPECT_EQ(report_["files"][0]["error"], nullptr);
  EXPECT_EQ(report_["files"][1]["path"], "gone");
  EXPECT_EQ(report_["files"][1]["error"], "cannot open gone: No such file");
  EXPECT_EQ(report_["files"][1]["tensors"], json::array());
}

TEST_F(ReportJsonTest, Totals) {
  for (const json& totals : {report_["totals"][0], report_["files"][0]["totals"][0]}) {
    EXPECT_EQ(totals["format"], "float16");
    EXPECT_EQ(totals["safe"], 2);
    EXPECT_EQ(totals["unsafe"], 2);
    EXPECT_EQ(totals["elements"], 14);
    EXPECT_EQ(totals["overflows"], 2);
    EXPECT_FALSE(totals.contains("max_index"));
  }
  EXPECT_EQ(report_["files"][1]["totals"][0]["min_magnitude"], nullptr);
}

TEST(ReportJson, FormatsWithScales) {
  Report report = SampleReport();
  report.formats = {kFloat16, *FindQuantFormat("mxfp4")};
  report.files[0].tensors.resize(1);
  FormatResult& mxfp4 = report.files[0].tensors[0].formats[1];
  mxfp4 = {};
  mxfp4.saturated = 3;
  const json parsed = json::parse(ReportJson(report));
  EXPECT_EQ(parsed["formats"][0]["kind"], "float");
  EXPECT_EQ(
      parsed["formats"][1],
      json::parse(R"({"name": "mxfp4", "bits": 4.25, "kind": "block", "block": 32, "largest_finite": 6.0})"));
  const json& results = parsed["files"][0]["tensors"][0]["formats"];
  EXPECT_EQ(results[0]["saturated"], 0);
  EXPECT_EQ(results[1]["saturated"], 3);
  EXPECT_EQ(results[1]["scale_range"], nullptr);
  EXPECT_EQ(parsed["totals"][1]["saturated"], 3);
  report.formats = {*FindQuantFormat("int4_affine"), *FindQuantFormat("fp4")};
  const json others = json::parse(ReportJson(report))["formats"];
  EXPECT_EQ(
      others[0],
      json::parse(R"({"name": "int4_affine", "bits": 4, "kind": "integer", "lowest": -8, "highest": 7})"));
  EXPECT_EQ(others[1], json::parse(R"({"name": "fp4", "bits": 4, "kind": "codebook", "values": 16})"));
}

TEST(ReportJson, NamesThatAreNotUtf8) {
  const json report = json::parse(ReportJson(SampleReportNamed("a\xff\"\n")));
  EXPECT_EQ(report["files"][0]["tensors"][0]["name"], "a\xef\xbf\xbd\"\n");
}

}  // namespace
}  // namespace halftone
