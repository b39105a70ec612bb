// The slow, obvious twin of conversion: the value of a code by its definition, the code of a value by search.
#ifndef HALFTONE_FP16_CONVERT_REFERENCE_H_
#define HALFTONE_FP16_CONVERT_REFERENCE_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace halftone::reference {

// T is half or bfloat16; what is known of them here are the widths of their fields.
template <typename T>
class Converter {
 public:
  Converter() {
    for (uint32_t code = 0; code <= kInfinity; ++code) {
      const int exponent = static_cast<int>(code >> kMantissaBits);
      const int mantissa = static_cast<int>(code & ((1 << kMantissaBits) - 1));
      // Infinity's code stands for the value that would follow the largest finite one: from half-way to there
      // IEEE 754 overflows.
      magnitudes_.push_back(
          exponent == 0 ? std::ldexp(mantissa, 1 - kBias - kMantissaBits)
                        : std::ldexp(mantissa + (1 << kMantissaBits), exponent - kBias - kMantissaBits));
    }
  }

  // The value of a code. All NaNs are one here, but for the sign.
  double Decode(uint16_t code) const {
    const uint32_t magnitude = code & 0x7fff;
    const double value = magnitude < kInfinity    ? magnitudes_[magnitude]
                         : magnitude == kInfinity ? std::numeric_limits<double>::infinity()
                                                  : std::numeric_limits<double>::quiet_NaN();
    return std::copysign(value, code & 0x8000 ? -1.0 : 1.0);
  }

  // The nearest code; of two equally near the even one. x is not NaN.
  uint16_t Encode(double x) const {
    uint16_t low = 0, high = kInfinity;  // the nearest is one of low..high
    while (low < high) {
      const uint16_t middle = (low + high) / 2;
      if (RoundsAbove(std::fabs(x), middle)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return (std::signbit(x) ? 0x8000 : 0) | low;
  }

  // Any float: a NaN keeps its sign and its leading payload bits and becomes quiet.
  uint16_t Encode(float x) const {
    if (!std::isnan(x)) return Encode(static_cast<double>(x));
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const uint32_t payload = (bits & 0x7fffff) >> (23 - kMantissaBits);
    return (bits >> 31) << 15 | kInfinity | 1 << (kMantissaBits - 1) | payload;
  }

  // Whether a magnitude rounds to something above this code (at most infinity): it lies beyond the middle
  // between code and code + 1, or at the middle where code is odd. Middles are exact in double.
  bool RoundsAbove(double magnitude, uint16_t code) const {
    if (code >= kInfinity) return false;
    const double middle = (magnitudes_[code] + magnitudes_[code + 1]) / 2;
    return magnitude > middle || (magnitude == middle && code % 2 == 1);
  }

  static constexpr int kMantissaBits = std::numeric_limits<T>::digits - 1;
  static constexpr int kBias = (1 << (14 - kMantissaBits)) - 1;
  static constexpr uint16_t kInfinity = 0x8000 - (1 << kMantissaBits);

 private:
  std::vector<double> magnitudes_;  // by code
};

}  // namespace halftone::reference

#endif  // HALFTONE_FP16_CONVERT_REFERENCE_H_
