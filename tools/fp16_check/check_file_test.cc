#include "tools/fp16_check/check_file.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/quant_format.h"
#include "tools/fp16_check/sample_report.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

FileResult Check(const MemoryFile& file, const CheckOptions& options) {
  absl::StatusOr<FileResult> result = CheckFile(file, options, [](uint64_t, uint64_t) {});
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

FormatResult CheckFloats(const std::vector<float>& values,
                         const CheckOptions& options = {.formats = {kFloat16}}) {
  return Check(MemoryFile({MakeEntry("t", ElementType::kF32, values)}), options).tensors[0].formats[0];
}

std::vector<int> Tried(const FormatResult& result) {
  std::vector<int> exponents;
  for (const ScaledResult& s : result.scaled) exponents.push_back(s.exponent);
  return exponents;
}

TEST(CheckFileTest, SafeAsItIs) {
  const FormatResult result = CheckFloats({1, 2, -0.5f, 0});
  EXPECT_EQ(result.outcome(), Outcome::kSafe);
  EXPECT_EQ(result.stats.exact, 4u);
  EXPECT_THAT(result.scaled, IsEmpty());
}

TEST(CheckFileTest, OverflowIsScaledDown) {
  const FormatResult result = CheckFloats({0x1p17f, 1, 3});
  EXPECT_EQ(result.outcome(), Outcome::kSafeWithScale);
  EXPECT_EQ(result.scale_exponent(), -2);
  EXPECT_EQ(result.stats.overflows, 1u);  // without the scale
  EXPECT_EQ(result.scaled[0].stats.overflows, 0u);
  EXPECT_EQ(result.scaled[0].stats.exact, 3u);
}

TEST(CheckFileTest, UnderflowIsScaledUpUntilEveryNumberIsNormal) {
  // 1.5 2^-26 becomes 0. With 2 it becomes 0.75 2^-24, rounded to 2^-24, an SQNR of 20 log10(3) dB; with 2^12
  // it is normal.
  const FormatResult result = CheckFloats({0x1.8p-26f});
  EXPECT_EQ(result.stats.underflows, 1u);
  EXPECT_THAT(Tried(result), ElementsAre(1, 12));
  EXPECT_FALSE(result.scaled[0].verdict.safe());
  EXPECT_NEAR(result.scaled[0].stats.sqnr_db(), 20 * std::log10(3), 1e-4);
  EXPECT_EQ(result.scale_exponent(), 12);
}

TEST(CheckFileTest, LowAccuracyWithoutUnderflowIsScaledUp) {
  const FormatResult result = CheckFloats({0x1.8p-24f});  // halfway between 2^-24 and 2^-23
  EXPECT_EQ(result.stats.underflows, 0u);
  EXPECT_TRUE(result.verdict.sqnr);
  EXPECT_THAT(Tried(result), ElementsAre(10));
  EXPECT_EQ(result.outcome(), Outcome::kSafeWithScale);
}

TEST(CheckFileTest, NoScaleIsClaimedThatWasNotMeasuredSafe) {
  const FormatResult result = CheckFloats({0x1p100f, 0x1p-100f});
  EXPECT_EQ(result.outcome(), Outcome::kUnsafe);
  ASSERT_EQ(result.scaled.size(), 1u);
  EXPECT_EQ(result.scaled[0].exponent, -85);
  EXPECT_EQ(result.scaled[0].stats.overflows, 0u);
  EXPECT_EQ(result.scaled[0].stats.underflows, 1u);
}

TEST(CheckFileTest, NansAndInfinitiesAreNotScaled) {
  for (const float bad : {NAN, INFINITY}) {
    const FormatResult result = CheckFloats({bad, 0x1p17f});
    EXPECT_EQ(result.outcome(), Outcome::kUnsafe);
    EXPECT_THAT(result.scaled, IsEmpty());
  }
  // Allowed infinities are no hindrance; a NaN stays one.
  const CheckOptions allow = {.formats = {kFloat16}, .limits = {.allow_infinities = true}};
  EXPECT_EQ(CheckFloats({INFINITY, 1}, allow).outcome(), Outcome::kSafe);
  EXPECT_EQ(CheckFloats({INFINITY, 0x1p17f}, allow).outcome(), Outcome::kSafeWithScale);
  EXPECT_EQ(CheckFloats({NAN, 1}, allow).outcome(), Outcome::kUnsafe);
}

TEST(CheckFileTest, LimitsAreTheCallers) {
  EXPECT_EQ(CheckFloats({0x1p17f, 1}, {.formats = {kFloat16}, .limits = {.max_overflows = 1}}).outcome(),
            Outcome::kSafe);
  EXPECT_EQ(CheckFloats({0x1p-30f, 1}).outcome(), Outcome::kSafeWithScale);
  EXPECT_EQ(CheckFloats({0x1p-30f, 1}, {.formats = {kFloat16}, .limits = {.max_underflow_fraction = 0.5}})
                .outcome(),
            Outcome::kSafe);
  EXPECT_EQ(CheckFloats({1 + 0x1p-11f}, {.formats = {kFloat16}, .limits = {.min_sqnr_db = 66.3}}).outcome(),
            Outcome::kUnsafe);
  EXPECT_EQ(CheckFloats({1 + 0x1p-11f}, {.formats = {kFloat16}, .limits = {.min_sqnr_db = 66.2}}).outcome(),
            Outcome::kSafe);
}

TEST(CheckFileTest, IntegersAreCheckedWhereThereIsNothingElseOrOnDemand) {
  const auto make = [](bool floats) {
    std::vector<MemoryFile::Entry> entries = {MakeEntry<int64_t>("ids", ElementType::kI64, {1, 70000})};
    if (floats) entries.push_back(MakeEntry<float>("w", ElementType::kF32, {1}));
    return MemoryFile(std::move(entries));
  };
  CheckOptions options = {.formats = {kFloat16}};
  FileResult result = Check(make(true), options);
  EXPECT_FALSE(result.tensors[0].checked);
  EXPECT_TRUE(result.tensors[1].checked);
  options.integers = true;
  result = Check(make(true), options);
  EXPECT_TRUE(result.tensors[0].checked);
  EXPECT_EQ(result.tensors[0].formats[0].stats.overflows, 1u);
  options.integers = false;
  result = Check(make(false), options);
  EXPECT_TRUE(result.tensors[0].checked);
}

TEST(CheckFileTest, ChoosesByName) {
  const MemoryFile file({MakeEntry<float>("a.weight", ElementType::kF32, {1}),
                         MakeEntry<float>("a.bias", ElementType::kF32, {1}),
                         MakeEntry<float>("b.weight", ElementType::kF32, {2})});
  CheckOptions options = {.formats = {kFloat16}};
  options.names = *NameFilter::Create("weight$", "^b");
  const FileResult result = Check(file, options);
  ASSERT_EQ(result.tensors.size(), 1u);
  EXPECT_EQ(result.tensors[0].name, "a.weight");
  options.names = *NameFilter::Create("none", "");
  EXPECT_THAT(Check(file, options).tensors, IsEmpty());
}

TEST(CheckFileTest, ResultsBelongToTheirTensorsAndFormats) {
  const Report report = SampleReport();
  const std::vector<TensorResult>& tensors = report.files[0].tensors;
  std::vector<std::string> half, bfloat;
  for (const TensorResult& t : tensors) {
    if (!t.checked) continue;
    half.push_back(t.name + " " + VerdictText(t.numbers, t.formats[0]));
    bfloat.push_back(t.name + " " + VerdictText(t.numbers, t.formats[1]));
  }
  EXPECT_THAT(half, ElementsAre("fine safe", "large safe with scale 2^-2", "broken unsafe: 1 NaN, 1 Inf",
                                "wide unsafe: 1 overflow, 50% underflow, SQNR 0 dB", "tie safe"));
  EXPECT_THAT(bfloat,
              ElementsAre("fine safe", "large safe", "broken unsafe: 1 NaN, 1 Inf", "wide safe", "tie safe"));
}

// The order of the formats is the caller's; saturated numbers break no limit, NaNs do.
TEST(CheckFileTest, FormatsWithScales) {
  std::vector<float> values(32, 6);
  values[0] = 7.5f;
  CheckOptions options = {.formats = {*FindQuantFormat("mxfp4"), kFloat16, *FindQuantFormat("int8_affine")}};
  const TensorResult result =
      Check(MemoryFile({MakeEntry("t", ElementType::kF32, values)}), options).tensors[0];
  ASSERT_EQ(result.formats.size(), 3u);
  EXPECT_EQ(result.formats[0].saturated, 1u);
  EXPECT_EQ(result.formats[0].stats.overflows, 0u);
  EXPECT_EQ(result.formats[0].stats.exact, 31u);
  EXPECT_NEAR(result.formats[0].stats.max_relative_error, 0.2, 1e-12);
  EXPECT_EQ(result.formats[0].outcome(), Outcome::kSafe);
  EXPECT_EQ(result.formats[1].stats.exact, 32u);
  EXPECT_EQ(result.formats[1].saturated, 0u);
  EXPECT_EQ(result.formats[2].stats.measured, 32u);
  EXPECT_EQ(result.formats[2].saturated, 0u);
  EXPECT_THAT(result.formats[2].scaled, IsEmpty());

  values[1] = NAN;
  options.limits.allow_infinities = true;
  EXPECT_EQ(
      VerdictText(
          NumberStats{.nans = 1},
          Check(MemoryFile({MakeEntry("t", ElementType::kF32, values)}), options).tensors[0].formats[0]),
      "unsafe: 1 NaN");
  values[1] = INFINITY;
  EXPECT_EQ(
      Check(MemoryFile({MakeEntry("t", ElementType::kF32, values)}), options).tensors[0].formats[0].outcome(),
      Outcome::kUnsafe);
}

TEST(CheckFileTest, ProgressEndsWithAllBytesOfBothReadings) {
  const MemoryFile file({MakeEntry<float>("a", ElementType::kF32, {0x1p17f}),
                         MakeEntry<float>("b", ElementType::kF32, {1, 2})});
  uint64_t last_done = 0, last_all = 0;
  ASSERT_TRUE(CheckFile(file, {.formats = {kFloat16}}, [&](uint64_t done, uint64_t all) {
                EXPECT_LE(last_done, done);
                EXPECT_LE(done, all);
                last_done = done;
                last_all = all;
              }).ok());
  EXPECT_EQ(last_all, 12u + 4u);  // "a" is read again
  EXPECT_EQ(last_done, last_all);

  last_done = 0;
  ASSERT_TRUE(CheckFile(file, {.formats = {*FindQuantFormat("int8"), *FindQuantFormat("int8_affine")}},
                        [&](uint64_t done, uint64_t all) {
                          last_done = done;
                          last_all = all;
                        })
                  .ok());
  EXPECT_EQ(last_all, 3 * 12u);
  EXPECT_EQ(last_done, last_all);
}

}  // namespace
}  // namespace halftone
