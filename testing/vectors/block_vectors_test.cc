// Vectors of torchao, gfloat and ml_dtypes for block formats: 128 blocks of MX (normal, wide, with ties, all
// zero, at the elements' largest values, at float's smallest and largest numbers) in four rules of scaling,
// blocks with NaNs and infinities, and 256 blocks of NVFP4 with and without a scale of the tensor.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "quant/block_format.h"
#include "quant/integer_format.h"
#include "quant/scaled.h"
#include "testing/vectors/npy.h"

namespace halftone {
namespace {

class BlockVectorsTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("HALFTONE_SHARED");
    if (shared == nullptr) GTEST_SKIP() << "HALFTONE_SHARED is not set";
    folder_ = std::string(shared) + "/vectors/";
  }

  std::vector<float> Floats(const std::string& name) const {
    const Npy npy = ReadNpy(folder_ + name + ".npy", "<f4");
    std::vector<float> result(npy.count);
    for (size_t i = 0; i < npy.count; ++i) result[i] = npy.Float(i);
    return result;
  }
  std::vector<uint8_t> Codes(const std::string& name) const {
    const Npy npy = ReadNpy(folder_ + name + ".npy", "|u1");
    return std::vector<uint8_t>(npy.bytes.begin(), npy.bytes.end());
  }

 private:
  std::string folder_;
};

struct Mx {
  const char* name;     // of the vectors
  const char* element;  // of the row
};
constexpr Mx kMx[] = {{"e4m3", "mxfp8"},      {"e5m2", "mxfp8_e5m2"}, {"e2m3", "mxfp6"},
                      {"e3m2", "mxfp6_e3m2"}, {"e2m1", "mxfp4"},      {"int8", "mxint8"}};

struct Coded {
  std::vector<uint8_t> codes, scales;
  float tensor_scale = 0;
  std::vector<float> values, fake;
};

Coded Code(const BlockFormat& format, const std::vector<float>& x, const BlockOptions& options) {
  Coded result;
  result.codes.resize(x.size());
  result.scales.resize(x.size() / static_cast<size_t>(format.block));
  result.values.resize(x.size());
  result.fake.resize(x.size());
  QuantizeBlocks(format, x, x.size(), options, absl::MakeSpan(result.codes), absl::MakeSpan(result.scales),
                 &result.tensor_scale);
  DequantizeBlocks(format, result.codes, result.scales, result.tensor_scale, x.size(),
                   absl::MakeSpan(result.values));
  FakeQuantizeBlocks(format, x, x.size(), options, absl::MakeSpan(result.fake));
  return result;
}

TEST_F(BlockVectorsTest, Mx) {
  const std::vector<float> x = Floats("mx_in");
  ASSERT_EQ(x.size(), 4096u);
  for (const Mx& mx : kMx) {
    SCOPED_TRACE(mx.name);
    const std::string start = std::string("mx_") + mx.name;
    const Coded coded = Code(*FindBlockFormat(mx.element), x, {});
    EXPECT_EQ(coded.scales, Codes(start + "_scale"));
    EXPECT_EQ(coded.codes, Codes(start + "_code"));
    EXPECT_EQ(coded.values, Floats(start + "_deq"));
    EXPECT_EQ(coded.fake, coded.values);
  }
}

// int8 without the lowest code, at the scales of the blocks.
TEST_F(BlockVectorsTest, SymmetricInt8) {
  const std::vector<float> x = Floats("mx_in");
  const std::vector<uint8_t> scale_codes = Codes("mx_int8_scale"), expected = Codes("mx_int8_code_symmetric");
  const IntegerFormat int8 = {.name = "int8", .bits = 8};
  size_t compared = 0;
  for (size_t block = 0; block < scale_codes.size(); ++block) {
    const float scale = std::ldexp(1.0f, scale_codes[block] - 127 - 6);  // of code / 64
    if (!std::isnormal(scale)) continue;                                 // which a scale has to be
    std::vector<uint8_t> codes(32);
    Quantize(int8, absl::MakeConstSpan(x).subspan(32 * block, 32), {scale}, {}, Rounding::kNearestEven,
             absl::MakeSpan(codes));
    EXPECT_EQ(absl::MakeConstSpan(codes), absl::MakeConstSpan(expected).subspan(32 * block, 32)) << block;
    ++compared;
  }
  EXPECT_GT(compared, 100u);
}

// torchao divides by 2^-126 (by 1 in its RCEIL) in blocks whose scale it writes down as 2^-127: those codes
// do not count.
TEST_F(BlockVectorsTest, MxRules) {
  const std::vector<float> x = Floats("mx_in");
  const struct {
    const char* suffix;
    BlockScaleRule rule;
  } rules[] = {
      {"_ceil", BlockScaleRule::kCeil}, {"_even", BlockScaleRule::kEven}, {"_rceil", BlockScaleRule::kRceil}};
  for (const Mx& mx : kMx) {
    if (std::string(mx.name) == "int8") continue;  // torchao has none
    for (const auto& [suffix, rule] : rules) {
      SCOPED_TRACE(std::string(mx.name) + suffix);
      const Coded coded = Code(*FindBlockFormat(mx.element), x, {.rule = rule});
      const std::string start = std::string("mx_") + mx.name;
      ASSERT_EQ(coded.scales, Codes(start + "_scale" + suffix));
      const std::vector<uint8_t> expected = Codes(start + "_code" + suffix);
      ASSERT_EQ(expected.size(), coded.codes.size());
      size_t compared = 0;
      for (size_t i = 0; i < expected.size(); ++i) {
        if (coded.scales[i / 32] == 0) continue;
        ASSERT_EQ(coded.codes[i], expected[i]) << std::hexfloat << x[i] << " at " << i;
        ++compared;
      }
      EXPECT_GT(compared, 110u * 32);
    }
  }
}

// Blocks with a NaN, +infinity, -infinity, and with both.
TEST_F(BlockVectorsTest, MxSpecials) {
  const std::vector<float> x = Floats("mx_special_in");
  ASSERT_EQ(x.size(), 128u);
  for (const Mx& mx : kMx) {
    if (std::string(mx.name) == "int8") continue;
    SCOPED_TRACE(mx.name);
    const Coded coded = Code(*FindBlockFormat(mx.element), x, {});
    const std::string start = std::string("mx_special_") + mx.name;
    EXPECT_EQ(coded.scales, Codes(start + "_scale_torchao"));
    const std::vector<uint8_t> expected = Codes(start + "_code_torchao");
    ASSERT_EQ(expected.size(), 128u);
    for (size_t i = 0; i < 128; ++i) {
      const bool nan_block = coded.scales[i / 32] == 0xff;
      // The codes of NaNs and, next to them, of infinities mean nothing.
      if (!nan_block || std::isfinite(x[i])) {
        EXPECT_EQ(coded.codes[i], expected[i]) << i;
      }
      EXPECT_EQ(std::isnan(coded.values[i]), nan_block) << i;
      if (!nan_block && std::isinf(x[i])) {
        EXPECT_EQ(coded.values[i], x[i]) << i;
      }
    }
  }
}

TEST_F(BlockVectorsTest, Nvfp4) {
  const std::vector<float> x = Floats("nvfp4_in"), global = Floats("nvfp4_global");
  ASSERT_EQ(x.size(), 4096u);
  ASSERT_EQ(global.size(), 1u);
  const BlockFormat nvfp4 = *FindBlockFormat("nvfp4");
  const Coded two = Code(nvfp4, x, {});
  EXPECT_EQ(two.tensor_scale, global[0]);
  EXPECT_EQ(two.scales, Codes("nvfp4_two_level_scale"));
  EXPECT_EQ(two.codes, Codes("nvfp4_two_level_code"));
  EXPECT_EQ(two.codes, Codes("nvfp4_two_level_code_exactdiv"));
  EXPECT_EQ(two.fake, two.values);
  const Coded one = Code(nvfp4, x, {.tensor_scale = 1});
  EXPECT_EQ(one.scales, Codes("nvfp4_one_level_scale"));
  EXPECT_EQ(one.codes, Codes("nvfp4_one_level_code"));
  EXPECT_EQ(one.codes, Codes("nvfp4_one_level_code_exactdiv"));
  EXPECT_EQ(one.fake, one.values);
}

}  // namespace
}  // namespace halftone
