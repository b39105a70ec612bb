// What a tensor loses in formats that have scales of their own: blocks, integers, codebooks.
#ifndef HALFTONE_TOOLS_FP16_CHECK_MEASURE_SCALED_H_
#define HALFTONE_TOOLS_FP16_CHECK_MEASURE_SCALED_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "fp16/safety.h"
#include "io/array_file.h"
#include "quant/quant_format.h"

namespace halftone {

struct ScaledStats {
  // Of finite numbers, all of which are measured: none overflows, and none is told to be subnormal.
  FormatStats stats;
  // Of blocks: numbers beyond the largest value times their block's scale. float64 beyond float's range,
  // which is not measured, in every format.
  uint64_t saturated = 0;
};

// How often MeasureScaled reads an array: once, or twice where affine integers want the range before.
int ReadingsFor(absl::Span<const QuantFormat> formats);

// One for each of the formats, none of them a FloatFormat. Numbers become what FakeQuantizeBlocks, with rows
// as convert has them (BlockRow of io/quantized/quantized_array.h; the last block of a row may be shorter;
// arrays in Fortran order have rows along the first dimension, which lie together), or FakeQuantize makes of
// them: integers with a scale for the tensor by amax, codebooks as MinifloatCodebook starts them, with such a
// scale. float64 is rounded to float32 first. `numbers` are those of the array. read(bytes) is called now and
// then. The results are the same for any number of threads. Errors: the file's.
absl::StatusOr<std::vector<ScaledStats>> MeasureScaled(const ArrayFile& file, size_t index,
                                                       absl::Span<const QuantFormat> formats,
                                                       const NumberStats& numbers,
                                                       absl::FunctionRef<void(uint64_t bytes)> read);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_MEASURE_SCALED_H_
