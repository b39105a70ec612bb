// All 2^32 floats to float16 and bfloat16 in every rounding mode: by Encode, and by the bulk codec on every
// instruction set, against the twin.
//
// The twin is slow, but rounding never makes the smaller of two magnitudes of one sign the larger (a
// stochastic one neither while its random bits stay the same). So where the twin gives two floats one code,
// every float between them has that code, and the places at which the code changes are found by bisection.
//
//   ./bazelw test //fp16:codec_exhaustive_test --test_output=all
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "absl/types/span.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "fp16/codec.h"
#include "fp16/codec_testing.h"
#include "fp16/format.h"
#include "fp16/format_reference.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

using reference::FormatCodec;
using reference::kRoundings;

constexpr uint32_t kInfinity = 0x7f800000;
constexpr size_t kBlock = size_t{1} << 13;  // stays in the first-level cache
constexpr size_t kBlocks = (size_t{1} << 32) / kBlock;

struct Mode {
  Rounding rounding;
  Overflow overflow;
  uint32_t random_bits;
};

// The codes of the floats of bits first, first + 1, ..., none of them NaN.
void FillCodes(const FormatCodec& twin, const Mode& mode, uint32_t first, absl::Span<uint16_t> codes) {
  if (codes.empty()) return;
  const auto code_at = [&](size_t i) {
    const float x = std::bit_cast<float>(first + static_cast<uint32_t>(i));
    return static_cast<uint16_t>(twin.Encode(x, mode.rounding, mode.overflow, mode.random_bits));
  };
  const uint16_t code = code_at(0);
  if (code == code_at(codes.size() - 1)) {
    std::fill(codes.begin(), codes.end(), code);
    return;
  }
  const size_t half = codes.size() / 2;
  FillCodes(twin, mode, first, codes.first(half));
  FillCodes(twin, mode, first + static_cast<uint32_t>(half), codes.subspan(half));
}

// Of kBlock floats, which have one exponent and one sign.
void ExpectedCodes(const FloatFormat& format, const FormatCodec& twin, const Mode& mode, uint32_t first,
                   std::vector<uint16_t>& codes) {
  const uint32_t magnitude = first & 0x7fffffff;
  const size_t numbers = magnitude < kInfinity ? codes.size() : magnitude == kInfinity ? 1 : 0;
  FillCodes(twin, mode, first, absl::MakeSpan(codes).first(numbers));
  for (size_t i = numbers; i < codes.size(); ++i) {  // quiet NaNs with the top of their payload
    const uint32_t payload = ((magnitude + i) >> (23 - format.mantissa_bits)) & format.mantissa_mask();
    codes[i] = static_cast<uint16_t>((first >> 31) << 15 | format.nan_code() | payload);
  }
}

// How many floats `encode` gets wrong.
template <class EncodeFunction>
uint64_t CountWrong(const FloatFormat& format, const FormatCodec& twin, Rounding rounding, Overflow overflow,
                    EncodeFunction encode) {
  const Rng rng(5);
  std::atomic<uint64_t> wrong = 0;
  ParallelForBlocks(kBlocks, 1, [&](size_t block, size_t, size_t) {
    const Mode mode = {rounding, overflow, rng.Bits(block)};
    const uint32_t first = static_cast<uint32_t>(block * kBlock);
    std::vector<uint16_t> expected(kBlock), codes(kBlock);
    ExpectedCodes(format, twin, mode, first, expected);
    std::vector<float> values(kBlock);
    for (size_t i = 0; i < kBlock; ++i) values[i] = std::bit_cast<float>(first + static_cast<uint32_t>(i));
    encode(mode, values, codes);
    uint64_t here = 0;
    for (size_t i = 0; i < kBlock; ++i) here += codes[i] != expected[i];
    wrong += here;
  });
  return wrong;
}

class CodecExhaustiveTest : public testing::TestWithParam<std::tuple<FloatFormat, Rounding>> {};

TEST_P(CodecExhaustiveTest, EveryFloat) {
  const FloatFormat format = std::get<0>(GetParam());
  const Rounding rounding = std::get<1>(GetParam());
  const FormatCodec twin(format);
  // Saturating, for the bulk codec leaves rounding to nearest even with infinities to fp16/convert.h: see
  // convert_exhaustive_test.cc.
  ForEachTarget([&](int64_t) {
    const auto encode = [&](const Mode& mode, const std::vector<float>& values,
                            std::vector<uint16_t>& codes) {
      const std::vector<uint32_t> random(values.size(), mode.random_bits);
      EncodeAll(format, values, rounding, mode.overflow, absl::MakeSpan(codes), RandomBits(random));
    };
    EXPECT_EQ(CountWrong(format, twin, rounding, Overflow::kSaturate, encode), 0u);
  });
  const auto encode = [&](const Mode& mode, const std::vector<float>& values, std::vector<uint16_t>& codes) {
    std::transform(values.begin(), values.end(), codes.begin(), [&](float x) {
      return static_cast<uint16_t>(Encode(format, x, rounding, mode.overflow, mode.random_bits));
    });
  };
  EXPECT_EQ(CountWrong(format, twin, rounding, Overflow::kInfinity, encode), 0u) << "Encode";
}

std::string Name(const testing::TestParamInfo<std::tuple<FloatFormat, Rounding>>& info) {
  const auto& [format, rounding] = info.param;
  return std::string(format.name) + "Rounding" + std::to_string(static_cast<int>(rounding));
}

INSTANTIATE_TEST_SUITE_P(Modes, CodecExhaustiveTest,
                         testing::Combine(testing::Values(kFloat16, kBfloat16),
                                          testing::ValuesIn(kRoundings)),
                         Name);

}  // namespace
}  // namespace halftone
