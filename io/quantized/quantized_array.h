// Quantised arrays in safetensors files: the codes without gaps, their scales beside them, and an entry of
// the file's metadata by which they are found again.
//
// The numbers of "w" are the arrays
//   w               their codes. Blocks and floats of 4 and 6 bits: F4, F6_E2M3, F6_E3M2, F8_E4M3, F8_E5M2 or
//                   I8, of the numbers' shape; so int8, I8. int4, int2 and codebooks: U8, one dimension of packed
//                   bytes (quant/pack.h: of two codes in a byte the first is the lower half)
//   w.scale         of blocks F8_E8M0 or F8_E4M3, a code a block: the shape of the rows, then a row's blocks;
//                   else F32, [] or, one for each slice of the first dimension, [that dimension]
//   w.tensor_scale  of nvfp4: F32, []
//   w.codebook      of a codebook: F32, its values in ascending order, [4] of fp2 to [256] of fp8
// and the entry "halftone.quantized.w" of the metadata, JSON:
//   {"format": "mxfp4", "block": 32, "row": 512, "dtype": "float32", "shape": [64, 512]}
// "dtype" and "shape" are those of the numbers before. "row": of how many consecutive numbers a row of blocks
// consists; without "block", how many have one scale.
#ifndef HALFTONE_IO_QUANTIZED_QUANTIZED_ARRAY_H_
#define HALFTONE_IO_QUANTIZED_QUANTIZED_ARRAY_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "io/array.h"
#include "io/array_file.h"
#include "io/element_type.h"
#include "quant/quant_format.h"

namespace halftone {

struct QuantizedArray {
  std::string name;
  QuantFormat format;  // one that FindStoredFormat gives
  ElementType type = ElementType::kF32;
  Shape shape;       // of at least one number
  uint64_t row = 1;  // divides the numbers; a multiple of the block

  uint64_t numbers() const { return static_cast<uint64_t>(shape.elements()); }
  uint64_t rows() const { return numbers() / row; }
  const BlockFormat* block() const { return std::get_if<BlockFormat>(&format); }  // null: F32 scales
  bool has_codebook() const { return IsCodebook(format); }
  bool has_tensor_scale() const { return block() != nullptr && block()->scale == BlockScale::kE4m3; }
  int code_bits() const;

  std::string scale_name() const { return name + ".scale"; }
  std::string tensor_scale_name() const { return name + ".tensor_scale"; }
  std::string codebook_name() const { return name + ".codebook"; }
  // What the file holds of it: codes, scales, of nvfp4 the tensor's scale, of codebooks the values.
  std::vector<FileArray> Stored() const;
  std::pair<std::string, std::string> Metadata() const;
};

// Whether a key of metadata is such an entry's.
bool IsQuantizedKey(absl::string_view key);

// The formats that are stored with scales: every block format, int8, int4 and int2, floats of fewer than 8
// bits, codebooks. InvalidArgument: another name; the message lists the valid ones.
absl::StatusOr<QuantFormat> FindStoredFormat(absl::string_view name);

// The float32 scale of a tensor of this amax (quant/scales.h): of nvfp4, as QuantizeBlocks computes it; 1 of
// other blocks.
float TensorScaleOf(const BlockFormat& format, float amax);

// How many consecutive numbers of an array have blocks of their own: the last dimension; of four dimensions
// and more (weights of convolutions, [out, in, height, width]) all numbers of an index of the first.
uint64_t BlockRow(const Shape& shape);

// An array of floats of at least one dimension and one number, to be stored so. `per_channel`: a scale for
// each index of the first dimension; not of blocks. InvalidArgument, a line that names the array: a row that
// is not a whole number of blocks, codes that end within a byte.
absl::StatusOr<QuantizedArray> PlanQuantized(const FileArray& array, const QuantFormat& format,
                                             bool per_channel);

// Those of a file, by name; none of most files. `path` is for messages. DataLoss: an entry of the metadata
// that is not understood, an array that is missing or not as the entry says.
absl::StatusOr<std::vector<QuantizedArray>> FindQuantized(absl::string_view path, const ArrayFile& file);

}  // namespace halftone

#endif  // HALFTONE_IO_QUANTIZED_QUANTIZED_ARRAY_H_
