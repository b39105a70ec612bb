// Tests of the bulk codec that any format must pass: its bits are those of Encode and Decode, one by one, on
// every instruction set.
#ifndef HALFTONE_FP16_CODEC_TESTING_H_
#define HALFTONE_FP16_CODEC_TESTING_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "fp16/codec.h"
#include "fp16/format.h"
#include "fp16/format_reference.h"
#include "gtest/gtest.h"
#include "testing/variations.h"

namespace halftone::reference {

inline std::vector<float> FloatsOfBits(const std::vector<uint32_t>& bits) {
  std::vector<float> floats;
  for (const uint32_t b : bits) floats.push_back(std::bit_cast<float>(b));
  return floats;
}

// Of either sign: what lies around every code and every middle; the first and last floats of every exponent,
// infinities and NaNs of all kinds among them; and random floats.
inline std::vector<float> FloatsAround(const FloatFormat& format) {
  std::vector<uint32_t> bits;
  const auto add = [&bits](uint32_t magnitude) {
    bits.push_back(magnitude);
    bits.push_back(magnitude | 0x80000000u);
  };
  const std::vector<double> values = FormatCodec(format).magnitudes();
  const size_t last = values.size() - 1;
  for (size_t i = 0; i < last; ++i) {
    // Of 16-bit formats some: the exhaustive test sees them all.
    if (i % 97 != 0 && i > 256 && i + 256 < last) continue;
    for (const double fraction : {0.0, 0.25, 0.5, 0.8125}) {
      const auto middle = static_cast<float>(values[i] + (values[i + 1] - values[i]) * fraction);
      const uint32_t at = std::bit_cast<uint32_t>(middle);
      add(at - (at != 0));
      add(at);
      add(std::min(at + 1, 0x7f800000u));
    }
  }
  for (uint32_t exponent = 0; exponent < 256; ++exponent) {
    for (const uint32_t mantissa :
         {0u, 1u, 2u, 0x1fffffu, 0x200000u, 0x3fffffu, 0x400000u, 0x400001u, 0x5a5a5au, 0x7fffffu}) {
      add(exponent << 23 | mantissa);
    }
  }
  const Rng rng = Rng(1).Stream(HashStream("floats"));
  for (uint64_t i = 0; i < 5000; ++i) bits.push_back(rng.Bits(i));
  return FloatsOfBits(bits);
}

// Random bits for stochastic rounding, the ones next to where it decides among them: a normal result's
// discarded fraction is the float's lower bits.
inline std::vector<uint32_t> BitsFor(const FloatFormat& format, const std::vector<float>& values) {
  const Rng rng = Rng(1).Stream(HashStream("rounding"));
  std::vector<uint32_t> result;
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t fraction = std::bit_cast<uint32_t>(values[i]) << (9 + format.mantissa_bits);
    const uint32_t choices[] = {rng.Bits(i), 0, 1, ~0u, fraction - 1, fraction, fraction + 1};
    result.push_back(choices[i / 2 % std::size(choices)]);
  }
  return result;
}

template <typename Code>
void ExpectEncodesLikeScalar(const FloatFormat& format, const std::vector<float>& values) {
  const std::vector<uint32_t> random = BitsFor(format, values);
  for (const Rounding rounding : kRoundings) {
    for (const Overflow overflow : kOverflows) {
      std::vector<Code> expected;
      std::vector<float> rounded;
      for (size_t i = 0; i < values.size(); ++i) {
        const uint32_t code = Encode(format, values[i], rounding, overflow, random[i]);
        expected.push_back(static_cast<Code>(code));
        rounded.push_back(static_cast<float>(Decode(format, code)));
      }
      const RandomBits bits =
          rounding == Rounding::kStochastic ? RandomBits(absl::MakeConstSpan(random)) : RandomBits();
      ForEachTarget([&](int64_t) {
        std::vector<Code> codes(values.size());
        EncodeAll(format, values, rounding, overflow, absl::MakeSpan(codes), bits);
        std::vector<float> result(values);
        RoundAll(format, result, rounding, overflow, absl::MakeSpan(result), bits);  // in place
        for (size_t i = 0; i < values.size(); ++i) {
          ASSERT_EQ(codes[i], expected[i])
              << std::hexfloat << values[i] << " bits " << std::bit_cast<uint32_t>(values[i]) << " rounding "
              << static_cast<int>(rounding) << " overflow " << static_cast<int>(overflow) << " random "
              << random[i];
          ASSERT_EQ(std::bit_cast<uint32_t>(result[i]), std::bit_cast<uint32_t>(rounded[i]))
              << std::hexfloat << values[i] << " rounding " << static_cast<int>(rounding) << " overflow "
              << static_cast<int>(overflow) << " random " << random[i];
        }
      });
    }
  }
}

template <typename Code>
void ExpectDecodesLikeScalar(const FloatFormat& format) {
  std::vector<Code> codes;
  for (uint32_t code = 0; code < 1u << format.bits(); ++code) codes.push_back(static_cast<Code>(code));
  ForEachTarget([&](int64_t) {
    std::vector<float> values(codes.size());
    DecodeAll(format, codes, absl::MakeSpan(values));
    for (size_t i = 0; i < codes.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(values[i]),
                std::bit_cast<uint32_t>(static_cast<float>(Decode(format, codes[i]))))
          << i;
    }
  });
}

// Doubles between floats, too: rounding twice would show.
template <typename Code>
void ExpectDoublesLikeScalar(const FloatFormat& format) {
  std::vector<double> values;
  const std::vector<double> magnitudes = FormatCodec(format).magnitudes();
  for (size_t i = 0; i + 1 < magnitudes.size(); i += 1 + magnitudes.size() / 300) {
    for (const double x : Between(magnitudes[i], magnitudes[i + 1])) values.insert(values.end(), {x, -x});
  }
  const std::vector<uint32_t> random = BitsFor(format, std::vector<float>(values.begin(), values.end()));
  for (const Rounding rounding : kRoundings) {
    for (const Overflow overflow : kOverflows) {
      std::vector<Code> codes(values.size());
      EncodeAll(format, values, rounding, overflow, absl::MakeSpan(codes), RandomBits(random));
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(codes[i], Encode(format, values[i], rounding, overflow, random[i]))
            << std::hexfloat << values[i] << " rounding " << static_cast<int>(rounding);
      }
    }
  }
}

inline void ExpectCodecLikeScalar(const FloatFormat& format) {
  SCOPED_TRACE(format.name);
  const std::vector<float> values = FloatsAround(format);
  ExpectEncodesLikeScalar<uint16_t>(format, values);
  ExpectDecodesLikeScalar<uint16_t>(format);
  ExpectDoublesLikeScalar<uint16_t>(format);
  if (format.bits() <= 8) {
    ExpectEncodesLikeScalar<uint8_t>(format, values);
    ExpectDecodesLikeScalar<uint8_t>(format);
    ExpectDoublesLikeScalar<uint8_t>(format);
  }
}

}  // namespace halftone::reference

#endif  // HALFTONE_FP16_CODEC_TESTING_H_
