// Vectors of other libraries: of every code its value, of some 100000 floats a format their codes in every
// deterministic rounding mode (middles and their neighbours, overflow, underflow, NaNs, random bits); of
// float8_e8m0fnu to nearest even alone.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "fp16/format.h"
#include "gtest/gtest.h"
#include "quant/formats.h"
#include "testing/vectors/npy.h"

namespace halftone {
namespace {

class FormatVectorsTest : public testing::TestWithParam<FloatFormat> {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("HALFTONE_SHARED");
    if (shared == nullptr) GTEST_SKIP() << "HALFTONE_SHARED is not set";
    folder_ = std::string(shared) + "/vectors/";
  }

  std::string CodeType() const { return GetParam().bits() > 8 ? "<u2" : "|u1"; }

  // Compares all codes of a file; of NaNs that they are NaNs, and the sign if wanted (gfloat keeps none).
  void ExpectCodes(const std::string& suffix, Rounding rounding, Overflow overflow, bool nan_signs) const {
    const FloatFormat& format = GetParam();
    if (!format.has_zero() && !suffix.empty()) GTEST_SKIP() << "no vectors of " << suffix;
    const std::string start = folder_ + "enc_" + std::string(format.name);
    const Npy in = ReadNpy(start + "_in.npy", "<f4"),
              codes = ReadNpy(start + "_code" + suffix + ".npy", CodeType());
    ASSERT_GE(in.count, 50000u);
    ASSERT_EQ(in.count, codes.count);
    const uint32_t sign = nan_signs ? format.sign_mask() : 0;
    size_t compared = 0;
    for (size_t i = 0; i < in.count; ++i) {
      const float x = in.Float(i);
      if (std::isnan(x) && !format.has_nan()) continue;  // ml_dtypes and we differ: fp16/format.h
      const uint32_t expected = codes.Code(i), code = Encode(format, x, rounding, overflow);
      if (IsNan(format, expected)) {
        ASSERT_TRUE(IsNan(format, code)) << std::hexfloat << x << suffix << ": " << code;
        ASSERT_EQ(code & sign, expected & sign) << std::hexfloat << x << suffix;
      } else {
        ASSERT_EQ(code, expected) << std::hexfloat << x << suffix;
      }
      ++compared;
    }
    EXPECT_GT(compared, in.count / 2);
  }

  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
};

TEST_P(FormatVectorsTest, Decode) {
  const FloatFormat& format = GetParam();
  const Npy values = ReadNpy(folder() + "dec_" + std::string(format.name) + ".npy", "<f4");
  ASSERT_EQ(values.count, size_t{1} << format.bits());
  for (uint32_t code = 0; code < values.count; ++code) {
    const double expected = values.Float(code), value = Decode(format, code);
    ASSERT_TRUE(value == expected || (std::isnan(value) && std::isnan(expected))) << code << ": " << value;
    if (value == 0) {
      ASSERT_EQ(std::signbit(value), std::signbit(expected)) << code;
    }
  }
}

TEST_P(FormatVectorsTest, NearestEven) { ExpectCodes("", Rounding::kNearestEven, Overflow::kInfinity, true); }

TEST_P(FormatVectorsTest, NearestEvenSaturating) {
  ExpectCodes("_sat", Rounding::kNearestEven, Overflow::kSaturate, false);
}

TEST_P(FormatVectorsTest, NearestAway) {
  ExpectCodes("_rna", Rounding::kNearestAway, Overflow::kInfinity, false);
}

TEST_P(FormatVectorsTest, TowardZero) {
  ExpectCodes("_rz", Rounding::kTowardZero, Overflow::kInfinity, false);
}

TEST_P(FormatVectorsTest, Up) { ExpectCodes("_ru", Rounding::kUp, Overflow::kInfinity, false); }

TEST_P(FormatVectorsTest, Down) { ExpectCodes("_rd", Rounding::kDown, Overflow::kInfinity, false); }

std::string Name(const testing::TestParamInfo<FloatFormat>& info) { return std::string(info.param.name); }

INSTANTIATE_TEST_SUITE_P(Formats, FormatVectorsTest, testing::ValuesIn(kFloatFormats), Name);

}  // namespace
}  // namespace halftone
