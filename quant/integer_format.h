// Integers of 2 to 8 bits as quantised numbers: code * scale, or (code - zero_point) * scale.
//
// Sources: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
// Inference", 2018 (affine); the restricted range of the symmetric ones, without the lowest code, is that of
// TensorRT and of the OCP Microscaling Formats specification 1.0, 2023, section 5.3.4.
#ifndef HALFTONE_QUANT_INTEGER_FORMAT_H_
#define HALFTONE_QUANT_INTEGER_FORMAT_H_

#include <algorithm>
#include <array>
#include <string_view>

namespace halftone {

// In two's complement.
struct IntegerFormat {
  std::string_view name;
  int bits;     // 2 to 8
  bool affine;  // with a zero point, and all codes; symmetric around 0 without the lowest code otherwise

  constexpr int highest() const { return (1 << (bits - 1)) - 1; }
  constexpr int lowest() const { return affine ? -highest() - 1 : -highest(); }
  constexpr bool valid() const { return bits >= 2 && bits <= 8; }
};

inline constexpr std::array<IntegerFormat, 6> kIntegerFormats = {{{"int8", 8, false},
                                                                  {"int4", 4, false},
                                                                  {"int2", 2, false},
                                                                  {"int8_affine", 8, true},
                                                                  {"int4_affine", 4, true},
                                                                  {"int2_affine", 2, true}}};

static_assert(std::ranges::all_of(kIntegerFormats, &IntegerFormat::valid));

}  // namespace halftone

#endif  // HALFTONE_QUANT_INTEGER_FORMAT_H_
