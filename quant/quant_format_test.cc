#include "quant/quant_format.h"

#include "gtest/gtest.h"

namespace halftone {
namespace {

double Bytes(const char* format, int64_t rows, int64_t row, int64_t scales = 1) {
  return StoredBytes(FindQuantFormat(format).value(), rows, row, scales);
}

TEST(QuantFormatTest, EveryNameFindsItsFormat) {
  for (const QuantFormat& format : QuantFormats()) {
    EXPECT_EQ(NameOf(FindQuantFormat(NameOf(format)).value()), NameOf(format));
  }
  EXPECT_FALSE(FindQuantFormat("float8_e8m0fnu").ok());  // for scales alone
}

TEST(QuantFormatTest, BytesAreCodesScalesAndValues) {
  EXPECT_EQ(Bytes("float8_e4m3fn", 3, 5), 15 + 4);
  EXPECT_EQ(Bytes("int4", 8, 10, 8), 40 + 8 * 4);
  EXPECT_EQ(Bytes("int8_affine", 8, 10, 8), 80 + 8 * (4 + 1));
  EXPECT_EQ(Bytes("fp3", 8, 10), 30 + 8 * 4 + 4);
  // The last block of a row is shorter, and its scale as large as any.
  EXPECT_EQ(Bytes("mxfp4", 64, 9), 64 * (4.5 + 1));
  EXPECT_EQ(Bytes("mxfp4", 2, 64), 64 + 4);
  EXPECT_EQ(Bytes("nvfp4", 2, 64), 64 + 8 + 4);
}

}  // namespace
}  // namespace halftone
