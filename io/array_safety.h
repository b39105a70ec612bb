// What becomes of a file's arrays in narrower formats: fp16/safety.h over files of any size.
#ifndef HALFTONE_IO_ARRAY_SAFETY_H_
#define HALFTONE_IO_ARRAY_SAFETY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "fp16/format.h"
#include "fp16/safety.h"
#include "io/array_file.h"
#include "tensor/device.h"

namespace halftone {

// float64 and integers of 32 bits and more are checked as doubles (rounded to nearest even beyond 2^53), all
// others as floats, exactly.
struct ArraySafetyRequest {
  size_t index = 0;                  // into the file's arrays()
  std::vector<FloatFormat> formats;  // as SafetyCheck takes them
  std::vector<int> scale_exponents;
};

// Reads each array once, by pieces, on all threads where the file allows (ArrayFile::random_access), and
// calls done(request, check) in the requests' order, on the calling thread; an error of its ends the reading.
// read(bytes) is called now and then with how many more bytes have been read. The results are the same for
// any number of threads. With a device, that counts (tensor/ops/safety); the reading is then one thread's.
// Errors: the file's and done's.
absl::Status CheckArrays(const ArrayFile& file, absl::Span<const ArraySafetyRequest> requests,
                         absl::FunctionRef<absl::Status(size_t request, const SafetyCheck& check)> done,
                         absl::FunctionRef<void(uint64_t bytes)> read, Device* device = nullptr);

}  // namespace halftone

#endif  // HALFTONE_IO_ARRAY_SAFETY_H_
