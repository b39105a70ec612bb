// The floating-point formats that Halftone knows, one row each. All that iterates over formats iterates over
// kFloatFormats; a new format is a row here.
//
// The names are those of the Python package ml_dtypes: eXmY has X bits of exponent and Y of mantissa, and
// 754's codes unless more letters follow; fn: no infinities; uz: one zero, the other's code being the NaN;
// bN: the bias N; u: no sign.
//
// Sources, by the letters at the rows:
//   OFP8  Open Compute Project, OCP 8-bit Floating Point Specification (OFP8), revision 1.0, 2023.
//   MX    Open Compute Project, OCP Microscaling Formats (MX) Specification, version 1.0, 2023.
//   FNUZ  Noune et al., "8-bit Numerical Formats for Deep Neural Networks", 2022.
//   APF   LLVM, class APFloat, where ml_dtypes takes those from that no paper or standard defines.
#ifndef HALFTONE_QUANT_FORMATS_H_
#define HALFTONE_QUANT_FORMATS_H_

#include <algorithm>
#include <array>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "fp16/format.h"

namespace halftone {

// OFP8's E4M3: no infinities, one NaN a sign (S.1111.111), and so 448 as its largest value rather than 240.
inline constexpr FloatFormat kFloat8E4m3fn = {.name = "float8_e4m3fn",
                                              .exponent_bits = 4,
                                              .mantissa_bits = 3,
                                              .bias = 7,
                                              .has_sign = true,
                                              .has_infinity = false,
                                              .nan_codes = NanCodes::kAllOnes};

// OFP8's E5M2: the upper byte of binary16.
inline constexpr FloatFormat kFloat8E5m2 = {.name = "float8_e5m2",
                                            .exponent_bits = 5,
                                            .mantissa_bits = 2,
                                            .bias = 15,
                                            .has_sign = true,
                                            .has_infinity = true,
                                            .nan_codes = NanCodes::kIeee};

// With 754's codes, unlike OFP8's E4M3 (kFloat8E4m3fn), and so 240 as its largest value. APF.
inline constexpr FloatFormat kFloat8E4m3 = {.name = "float8_e4m3",
                                            .exponent_bits = 4,
                                            .mantissa_bits = 3,
                                            .bias = 7,
                                            .has_sign = true,
                                            .has_infinity = true,
                                            .nan_codes = NanCodes::kIeee};

// With 754's codes. APF.
inline constexpr FloatFormat kFloat8E3m4 = {.name = "float8_e3m4",
                                            .exponent_bits = 3,
                                            .mantissa_bits = 4,
                                            .bias = 3,
                                            .has_sign = true,
                                            .has_infinity = true,
                                            .nan_codes = NanCodes::kIeee};

// For what is small: no value is larger than 30. APF.
inline constexpr FloatFormat kFloat8E4m3b11fnuz = {.name = "float8_e4m3b11fnuz",
                                                   .exponent_bits = 4,
                                                   .mantissa_bits = 3,
                                                   .bias = 11,
                                                   .has_sign = true,
                                                   .has_infinity = false,
                                                   .nan_codes = NanCodes::kNegativeZero};

// The two of FNUZ, each with one more than 754's bias.
inline constexpr FloatFormat kFloat8E4m3fnuz = {.name = "float8_e4m3fnuz",
                                                .exponent_bits = 4,
                                                .mantissa_bits = 3,
                                                .bias = 8,
                                                .has_sign = true,
                                                .has_infinity = false,
                                                .nan_codes = NanCodes::kNegativeZero};
inline constexpr FloatFormat kFloat8E5m2fnuz = {.name = "float8_e5m2fnuz",
                                                .exponent_bits = 5,
                                                .mantissa_bits = 2,
                                                .bias = 16,
                                                .has_sign = true,
                                                .has_infinity = false,
                                                .nan_codes = NanCodes::kNegativeZero};

// MX's elements of 6 and 4 bits, section 5.3: every code is a number.
inline constexpr FloatFormat kFloat6E2m3fn = {.name = "float6_e2m3fn",
                                              .exponent_bits = 2,
                                              .mantissa_bits = 3,
                                              .bias = 1,
                                              .has_sign = true,
                                              .has_infinity = false,
                                              .nan_codes = NanCodes::kNone};
inline constexpr FloatFormat kFloat6E3m2fn = {.name = "float6_e3m2fn",
                                              .exponent_bits = 3,
                                              .mantissa_bits = 2,
                                              .bias = 3,
                                              .has_sign = true,
                                              .has_infinity = false,
                                              .nan_codes = NanCodes::kNone};
inline constexpr FloatFormat kFloat4E2m1fn = {.name = "float4_e2m1fn",
                                              .exponent_bits = 2,
                                              .mantissa_bits = 1,
                                              .bias = 1,
                                              .has_sign = true,
                                              .has_infinity = false,
                                              .nan_codes = NanCodes::kNone};

// MX's scales, section 5.4: the powers of two from 2^-127 to 2^127, and a NaN.
inline constexpr FloatFormat kFloat8E8m0fnu = {.name = "float8_e8m0fnu",
                                               .exponent_bits = 8,
                                               .mantissa_bits = 0,
                                               .bias = 127,
                                               .has_sign = false,
                                               .has_infinity = false,
                                               .nan_codes = NanCodes::kAllOnes};

inline constexpr std::array kFloatFormats = {
    kFloat16,      kBfloat16,          kFloat8E4m3fn,   kFloat8E5m2,     kFloat8E4m3,
    kFloat8E3m4,   kFloat8E4m3b11fnuz, kFloat8E4m3fnuz, kFloat8E5m2fnuz, kFloat6E2m3fn,
    kFloat6E3m2fn, kFloat4E2m1fn,      kFloat8E8m0fnu,
};

static_assert(std::ranges::all_of(kFloatFormats, &FloatFormat::valid));

// The format of a name as people write it: that of a row, or a short one: "half", "fp16", "f16", "bf16",
// "e5m2", "fp8_e5m2", "e2m1", "fp4_e2m1", "e8m0", ... "e4m3" and "fp8_e4m3" are OFP8's, float8_e4m3fn, as
// nearly everybody means; "float8_e4m3" is the row of that name.
// InvalidArgument: another name; the message lists the known ones.
absl::StatusOr<FloatFormat> FindFloatFormat(absl::string_view name);

}  // namespace halftone

#endif  // HALFTONE_QUANT_FORMATS_H_
