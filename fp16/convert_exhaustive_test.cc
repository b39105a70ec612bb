// All 2^32 floats to half and to bfloat16, by the value types and by bulk conversion on every instruction
// set.
//
//   ./bazelw test //fp16:convert_exhaustive_test --test_output=all
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <vector>

#include "base/parallel.h"
#include "fp16/bfloat16.h"
#include "fp16/convert.h"
#include "fp16/convert_reference.h"
#include "fp16/half.h"
#include "gtest/gtest.h"
#include "testing/variations.h"

namespace halftone {
namespace {

constexpr uint32_t kFirstNan = 0x7f800001;
constexpr size_t kBlock = size_t{1} << 16;

// The codes of the magnitudes first, first + 1, ...: they never fall, so the code is stepped, not searched.
template <typename T>
void ExpectedCodes(const reference::Converter<T>& reference, uint32_t first, std::vector<uint16_t>& codes) {
  uint16_t code = first < kFirstNan ? reference.Encode(std::bit_cast<float>(first)) : 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    const float x = std::bit_cast<float>(first + static_cast<uint32_t>(i));
    if (first + i < kFirstNan) {
      while (reference.RoundsAbove(x, code)) ++code;
      codes[i] = code;
    } else {
      codes[i] = reference.Encode(x);
    }
  }
}

template <typename T>
class ExhaustiveConvertTest : public ::testing::Test {};

using Types = ::testing::Types<half, bfloat16>;
TYPED_TEST_SUITE(ExhaustiveConvertTest, Types);

TYPED_TEST(ExhaustiveConvertTest, EveryFloat) {
  const reference::Converter<TypeParam> reference;
  // Returns how many floats `convert` gets wrong.
  const auto count_wrong = [&](auto convert) {
    std::atomic<uint64_t> wrong = 0;
    ParallelForBlocks(size_t{1} << 31, kBlock, [&](size_t, size_t begin, size_t end) {
      std::vector<uint16_t> expected(end - begin);
      ExpectedCodes(reference, static_cast<uint32_t>(begin), expected);
      std::vector<float> from(end - begin);
      std::vector<TypeParam> to(end - begin);
      for (const uint32_t sign : {0u, 1u}) {
        for (size_t i = 0; i < from.size(); ++i) {
          from[i] = std::bit_cast<float>(sign << 31 | static_cast<uint32_t>(begin + i));
        }
        convert(from, to);
        uint64_t here = 0;
        for (size_t i = 0; i < to.size(); ++i) here += to[i].bits() != (expected[i] | sign << 15);
        wrong += here;
      }
    });
    return wrong.load();
  };

  ForEachTarget([&](int64_t) {
    EXPECT_EQ(count_wrong([](const std::vector<float>& from, std::vector<TypeParam>& to) {
                Convert(from.data(), to.data(), from.size());
              }),
              0u);
  });

  EXPECT_EQ(count_wrong([](const std::vector<float>& from, std::vector<TypeParam>& to) {
              std::transform(from.begin(), from.end(), to.begin(), [](float x) { return TypeParam(x); });
            }),
            0u)
      << "the value type, from float";
  EXPECT_EQ(count_wrong([](const std::vector<float>& from, std::vector<TypeParam>& to) {
              std::transform(from.begin(), from.end(), to.begin(),
                             [](float x) { return TypeParam(static_cast<double>(x)); });
            }),
            0u)
      << "the value type, from double";
}

}  // namespace
}  // namespace halftone
