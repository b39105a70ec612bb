// What fp16_check found, as plain data: made by check_file.h, shown by report_table.h, report_json.h and
// report_html.h.
#ifndef HALFTONE_TOOLS_FP16_CHECK_REPORT_H_
#define HALFTONE_TOOLS_FP16_CHECK_REPORT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "fp16/safety.h"
#include "io/element_type.h"
#include "quant/quant_format.h"
#include "tensor/shape.h"

namespace halftone {

// From the best to the worst.
enum class Outcome {
  kSafe,           // converted as it is, the tensor keeps every limit
  kSafeWithScale,  // as it is it breaks one; multiplied by a power of two that was tried it keeps all
  kUnsafe,
};

// One tensor in one format after a multiplication by 2^exponent: measured, not foretold.
struct ScaledResult {
  int exponent = 0;
  FormatStats stats;
  Verdict verdict;
};

// Whether a format brings scales of its own, for each block or for the tensor: all but floats.
bool HasScales(const QuantFormat& format);

// One tensor in one format.
struct FormatResult {
  FormatStats stats;  // unscaled, as is the verdict, but of formats that HasScales with these
  Verdict verdict;
  // Where the format HasScales: numbers beyond the largest value that they reach. They become that one, and
  // their errors count. Then there is nothing in what follows.
  uint64_t saturated = 0;
  ScaleRange scales;
  std::vector<ScaledResult> scaled;  // what was tried, in that order; empty where the verdict is safe

  Outcome outcome() const;
  // The first scale under which the tensor is safe. Only where the outcome is kSafeWithScale.
  int scale_exponent() const;
};

struct TensorResult {
  std::string name;
  ElementType type = ElementType::kF32;
  Shape shape;
  // Integers that a conversion would leave alone are not: all that follows is empty.
  bool checked = true;
  NumberStats numbers;
  std::vector<FormatResult> formats;  // one for each of Report::formats
};

struct FileResult {
  std::string path;
  std::string kind;   // "safetensors", "npy", ...
  std::string error;  // why the file could not be checked, one line; then there are no tensors
  std::vector<TensorResult> tensors;
};

struct Report {
  std::vector<QuantFormat> formats;  // float16 and bfloat16 among them
  SafetyLimits limits;
  std::vector<FileResult> files;
};

// One format's sums over tensors that were checked.
struct Totals {
  size_t safe = 0, safe_with_scale = 0, unsafe = 0;  // tensors
  size_t not_checked = 0;
  NumberStats numbers;  // no indices
  FormatStats stats;    // unscaled; no indices
  uint64_t saturated = 0;

  size_t checked() const { return safe + safe_with_scale + unsafe; }
  Outcome worst() const {
    return unsafe > 0 ? Outcome::kUnsafe : safe_with_scale > 0 ? Outcome::kSafeWithScale : Outcome::kSafe;
  }
  std::string Text() const;  // of the tensors: "101 safe, 1 with scale, 20 not converted"
};

Totals TotalsOf(const FileResult& file, size_t format);
Totals TotalsOf(const Report& report, size_t format);

// The worst outcome of a tensor in any format.
Outcome WorstOutcome(const TensorResult& tensor);

// Which limits are broken and by how much, most serious first: "3 NaN", "12 overflow", "4.2% underflow",
// "SQNR 11.3 dB".
std::vector<std::string> BrokenLimits(const NumberStats& numbers, const FormatStats& stats,
                                      const Verdict& verdict);

// "safe", "safe with scale 2^-3", "unsafe: 12 overflow, SQNR 11.3 dB".
std::string VerdictText(const NumberStats& numbers, const FormatResult& result);

// The checked tensors of the file, as indices into file.tensors, worst first in that format: unsafe before
// those that need a scale before safe ones; among these more overflows first, then more NaNs, then the larger
// fraction that underflows, then the lower SQNR, then the file's order.
std::vector<size_t> WorstFirst(const FileResult& file, size_t format);

// One line: "unsafe in float16 (2 of 62 tensors, 1 of them safe with a scale); safe in bfloat16", and
// how many files could not be checked.
std::string Conclusion(const Report& report);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_REPORT_H_
