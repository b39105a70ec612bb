// Checks a file's tensors: what they lose in every format, and whether a scale would help.
#ifndef HALFTONE_TOOLS_FP16_CHECK_CHECK_FILE_H_
#define HALFTONE_TOOLS_FP16_CHECK_CHECK_FILE_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "fp16/safety.h"
#include "io/array_file.h"
#include "quant/quant_format.h"
#include "tensor/device.h"
#include "tools/fp16_check/report.h"
#include "tools/name_filter.h"

namespace halftone {

struct CheckOptions {
  std::vector<QuantFormat> formats;
  SafetyLimits limits;
  NameFilter names;
  // Check integers and bools too. A conversion leaves them alone, so that otherwise they are only listed,
  // unless the chosen tensors hold nothing else (images of a data set).
  bool integers = false;
  Device* device = nullptr;  // counts in place of the host's threads; not in formats with scales of their own
};

// Tensors that options.names does not choose are left out; there may be none. Reads the others once, and a
// second time those that break a limit in some format which a scale might keep. Tried are
//   scales.nearest_to_one(): what changes the numbers the least among the scales under which nothing
//     overflows and the fewest underflow;
//   where that does not do, the one under which every number becomes normal, or the range's highest if that
//     is lower. A higher scale would change no rounding but bring overflows: a tensor that is unsafe under
//     this one is unsafe under every scale of the range.
// Formats with scales of their own (HasScales) are measured with these (measure_scaled.h), in one more
// reading for all of them, affine integers in another one before; saturated numbers break no limit, their
// errors do. progress(done, all) is told now and then how many bytes of how many have been read. Errors: the
// file's. The result's path is left empty.
absl::StatusOr<FileResult> CheckFile(const ArrayFile& file, const CheckOptions& options,
                                     absl::FunctionRef<void(uint64_t done, uint64_t all)> progress);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_CHECK_FILE_H_
