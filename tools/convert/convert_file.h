// Converts the floats of a file's arrays to another type, and writes them to another file.
#ifndef HALFTONE_TOOLS_CONVERT_CONVERT_FILE_H_
#define HALFTONE_TOOLS_CONVERT_CONVERT_FILE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "fp16/format.h"
#include "fp16/safety.h"
#include "io/array_file.h"
#include "io/element_type.h"
#include "tools/name_filter.h"

namespace halftone {

struct ConvertOptions {
  ElementType to = ElementType::kF16;  // a float
  Rounding rounding = Rounding::kNearestEven;
  Overflow overflow = Overflow::kInfinity;
  // Of stochastic rounding: element i of an array, in the file's order, is rounded with
  // Rng(seed).Stream(HashStream(name)).Bits(i).
  uint64_t seed = 0;
  // Arrays of floats that it matches are converted; all others are copied, integers and bools among them.
  NameFilter names;
  std::set<std::string> kept;  // names of arrays that are copied although they match
  SafetyLimits limits;
  bool allow_unsafe = false;        // convert what breaks the limits, too; nothing is checked then
  uint64_t panel_bytes = 64 << 20;  // of an array in Fortran order, held in memory; at least one index of its
                                    // first dimension is
  const std::atomic<bool>* stop = nullptr;  // once true, ends the work with an error; asked now and then
};

struct ConvertSummary {
  size_t arrays = 0;
  size_t converted = 0;
  uint64_t bytes_in = 0;  // of all arrays' elements
  uint64_t bytes_out = 0;
};

// doing: "checking" or "writing"; done of all bytes of the input so far.
using ConvertProgress = absl::FunctionRef<void(absl::string_view doing, uint64_t done, uint64_t all)>;

// Cancelled once *stop is true; stop may be null.
absl::Status CheckStop(const std::atomic<bool>* stop);

// A name in a message: its beginning, without what would steer a terminal.
std::string QuotedName(absl::string_view name);

// Writes all of the file's arrays, with their names and metadata as far as the format has them
// (io/array_writer.h), to `path`, which may be that of the file itself. First a pass over all numbers that
// would be rounded judges them; the second writes. Needs little memory whatever the file's size, but for
// arrays in Fortran order that become .safetensors, which has none: of those one index of the first dimension
// at a time (all, of compressed files). Uses all threads; the result is the same for any number of them.
//
// Errors, after which nothing has been written: FailedPrecondition (unsafe numbers, and nothing else),
// Cancelled (by stop), InvalidArgument (no array to convert; what ArrayWriter refuses), the file's and the
// file system's.
absl::StatusOr<ConvertSummary> ConvertFile(const ArrayFile& file, const std::string& path,
                                           const ConvertOptions& options, ConvertProgress progress);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_CONVERT_CONVERT_FILE_H_
