// Quantises the floats of a file's arrays, and writes codes and scales to another file
// (io/quantized/quantized_array.h).
#ifndef HALFTONE_TOOLS_CONVERT_CONVERT_QUANTIZED_H_
#define HALFTONE_TOOLS_CONVERT_CONVERT_QUANTIZED_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "fp16/format.h"
#include "io/array_file.h"
#include "quant/quant_format.h"
#include "tools/convert/convert_file.h"
#include "tools/name_filter.h"

namespace halftone {

struct QuantizeOptions {
  QuantFormat to;            // one that FindStoredFormat gives (io/quantized/quantized_array.h)
  bool per_channel = false;  // a scale for each index of the first dimension; not of block formats
  Rounding rounding = Rounding::kNearestEven;  // of elements; not of codebooks
  uint64_t seed = 0;                           // as ConvertOptions::seed
  // Arrays of floats with two dimensions and more that it matches are quantised; all others are copied,
  // biases and the numbers of norms among them.
  NameFilter names;
  bool allow_unsafe = false;  // quantise NaNs and infinities, too (quant/block_format.h, quant/scaled.h)
  const std::atomic<bool>* stop = nullptr;  // as ConvertOptions::stop
};

struct QuantizeSummary {
  ConvertSummary all;
  uint64_t numbers = 0;  // that were quantised
  uint64_t bits_before = 0;
  uint64_t bits = 0;  // of their codes and scales
};

// The codes are those of QuantizeBlocks, or of Quantize with scales by amax (quant/scales.h). The values of a
// codebook for the array W are those of "W_quantizer.codebook" where the file has as many: what training has
// learned, in units of the largest magnitude; else the quantiles of a sample of the array. Writes all of
// the file's arrays and its metadata to `path`, a .safetensors file, which may be that of the file itself.
// Reads once to MX formats, twice to others, whose scales come of the largest magnitude; memory is what a few
// million numbers take, and a byte for each block of an array. float64 is rounded to float32 first. The
// result is the same for any number of threads.
//
// Errors, after which nothing has been written: FailedPrecondition (NaNs or infinities, and nothing else),
// Cancelled (by stop), InvalidArgument (no array to quantise; an array that the format does not fit; an array
// in Fortran order; what ArrayWriter refuses), the file's and the file system's.
absl::StatusOr<QuantizeSummary> QuantizeFile(const ArrayFile& file, const std::string& path,
                                             const QuantizeOptions& options, ConvertProgress progress);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_CONVERT_CONVERT_QUANTIZED_H_
