// What numbers can be quantised to: a name for each, whatever kind of format it is.
//
// The scalar formats (quant/formats.h) and integers (quant/integer_format.h) with a float32 scale a tensor or
// a channel; the block formats (quant/block_format.h), whose scales are part of them; codebooks of 4 to 256
// values (quant/codebook.h).
#ifndef HALFTONE_QUANT_QUANT_FORMAT_H_
#define HALFTONE_QUANT_QUANT_FORMAT_H_

#include <array>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "fp16/format.h"
#include "quant/block_format.h"
#include "quant/integer_format.h"

namespace halftone {

// 2^bits values, fixed or learned: quant/codebook.h.
struct CodebookFormat {
  std::string_view name;
  int bits;

  constexpr int size() const { return 1 << bits; }
};

inline constexpr std::array<CodebookFormat, 5> kCodebookFormats = {
    {{"fp2", 2}, {"fp3", 3}, {"fp4", 4}, {"fp6", 6}, {"fp8", 8}}};

using QuantFormat = std::variant<FloatFormat, IntegerFormat, BlockFormat, CodebookFormat>;

absl::string_view NameOf(const QuantFormat& format);
inline bool IsCodebook(const QuantFormat& format) { return std::holds_alternative<CodebookFormat>(format); }

// Of one number, with its share of a block's scale. What a tensor or a channel has but once does not count.
double BitsPerElement(const QuantFormat& format);

// Bytes that weights take, `rows` outputs of `row` inputs each, along which blocks run: their codes, without
// padding to whole bytes; the scales of blocks, the last of a row perhaps shorter; and but for MX, a float32
// for each of `scales`, a tensor's or its channels', affine ones with a zero point, and for each value of a
// codebook.
double StoredBytes(const QuantFormat& format, int64_t rows, int64_t row, int64_t scales);

// Every format of at most 8 bits an element that can be trained through.
std::vector<QuantFormat> QuantFormats();

// By its name, or an alias that FindFloatFormat or FindBlockFormat knows. InvalidArgument: another name, or a
// format that is for scales alone; the message lists the valid ones.
absl::StatusOr<QuantFormat> FindQuantFormat(absl::string_view name);

}  // namespace halftone

#endif  // HALFTONE_QUANT_QUANT_FORMAT_H_
