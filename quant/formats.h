// The floating-point formats that Halftone knows, one row each. All that iterates over formats iterates over
// kFloatFormats; a new format is a row here.
//
// Source of the 8-bit ones: Open Compute Project, OCP 8-bit Floating Point Specification (OFP8),
// revision 1.0, 2023.
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

inline constexpr std::array kFloatFormats = {kFloat16, kBfloat16, kFloat8E4m3fn, kFloat8E5m2};

static_assert(std::ranges::all_of(kFloatFormats, &FloatFormat::valid));

// The format of a name as people write it: that of a row, or "half", "fp16", "f16" (float16), "bf16"
// (bfloat16), "fp8_e4m3", "e4m3" (float8_e4m3fn), "fp8_e5m2", "e5m2" (float8_e5m2).
// InvalidArgument: another name; the message lists the known ones.
absl::StatusOr<FloatFormat> FindFloatFormat(absl::string_view name);

}  // namespace halftone

#endif  // HALFTONE_QUANT_FORMATS_H_
