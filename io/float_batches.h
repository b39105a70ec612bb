// An array of a file as floats, so many at a time that arrays of any size need little memory.
#ifndef HALFTONE_IO_FLOAT_BATCHES_H_
#define HALFTONE_IO_FLOAT_BATCHES_H_

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "io/array_file.h"

namespace halftone {

inline constexpr size_t kFloatBatch = 1 << 20;  // the most floats at a time

// Calls f(first, floats) with the array's elements first, first + 1, ... in the file's order, on the calling
// thread; reading and converting (ConvertElements of io/element_type.h) use all threads where the file
// allows. A batch is whole rows of `row` (> 0) elements, or, where a row has more than kFloatBatch, a part of
// one row that begins at a multiple of kFloatBatch in it. The array has a whole number of rows. Errors: the
// file's and f's.
absl::Status ReadFloatBatches(
    const ArrayFile& file, size_t index, uint64_t row,
    absl::FunctionRef<absl::Status(uint64_t first, absl::Span<const float> floats)> f);

}  // namespace halftone

#endif  // HALFTONE_IO_FLOAT_BATCHES_H_
