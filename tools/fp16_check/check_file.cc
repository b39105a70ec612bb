#include "tools/fp16_check/check_file.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/array_safety.h"
#include "io/element_type.h"
#include "quant/formats.h"
#include "tools/fp16_check/measure_scaled.h"

namespace halftone {
namespace {

// Some of the formats that are asked for, and which these are.
template <typename Format>
struct Chosen {
  std::vector<Format> formats;
  std::vector<size_t> index;  // into CheckOptions::formats

  void Add(const Format& format, size_t i) {
    formats.push_back(format);
    index.push_back(i);
  }
};

// A request and where its results belong.
struct Pass {
  std::vector<ArraySafetyRequest> requests;
  std::vector<TensorResult*> tensors;             // of each request
  std::vector<std::vector<size_t>> format_index;  // of each request's formats
  uint64_t bytes = 0;
};

void AddRequest(const FileArray& array, ArraySafetyRequest request, TensorResult& tensor,
                std::vector<size_t> format_index, Pass& pass) {
  pass.requests.push_back(std::move(request));
  pass.tensors.push_back(&tensor);
  pass.format_index.push_back(std::move(format_index));
  pass.bytes += array.bytes;
}

// The lowest from nearest_to_one() on that makes the smallest number, and so all, normal; but no higher than
// the range.
int NormalScale(const NumberStats& numbers, const FloatFormat& format, const ScaleRange& range) {
  if (numbers.nonzero() == 0) return 0;
  return std::clamp(1 - format.bias - std::ilogb(numbers.min_magnitude), range.nearest_to_one(),
                    range.highest);
}

std::vector<int> ScalesToTry(const NumberStats& numbers, const FloatFormat& format,
                             const FormatResult& result) {
  std::vector<int> scales;
  if (result.verdict.safe() || !result.verdict.may_be_scaled()) return scales;
  const ScaleRange& range = result.scales;
  if (range.lowest > range.highest) return scales;
  for (const int k : {range.nearest_to_one(), NormalScale(numbers, format, range)}) {
    if (k != 0 && (scales.empty() || scales.back() != k)) scales.push_back(k);
  }
  return scales;
}

// Everything that a scale might help, for one reading of each tensor.
Pass ScaledPass(const ArrayFile& file, const Pass& first, const CheckOptions& options) {
  Pass pass;
  for (size_t r = 0; r < first.requests.size(); ++r) {
    ArraySafetyRequest request = {.index = first.requests[r].index};
    std::vector<size_t> format_index;
    for (const size_t f : first.format_index[r]) {
      const FloatFormat& format = std::get<FloatFormat>(options.formats[f]);
      for (const int exponent :
           ScalesToTry(first.tensors[r]->numbers, format, first.tensors[r]->formats[f])) {
        request.formats.push_back(format);
        request.scale_exponents.push_back(exponent);
        format_index.push_back(f);
      }
    }
    if (format_index.empty()) continue;
    const FileArray& array = file.arrays()[request.index];
    AddRequest(array, std::move(request), *first.tensors[r], std::move(format_index), pass);
  }
  return pass;
}

// The formats with scales, after the first pass: those of all formats in `chosen`. read(bytes) as
// MeasureScaled's.
absl::Status MeasureAll(const ArrayFile& file, const Pass& first, const CheckOptions& options,
                        const Chosen<QuantFormat>& chosen, absl::FunctionRef<void(uint64_t bytes)> read) {
  for (size_t r = 0; r < first.requests.size(); ++r) {
    TensorResult& tensor = *first.tensors[r];
    ASSIGN_OR_RETURN(const std::vector<ScaledStats> measured,
                     MeasureScaled(file, first.requests[r].index, chosen.formats, tensor.numbers, read));
    for (size_t i = 0; i < measured.size(); ++i) {
      // None of them keeps infinities, as this one does not.
      const Verdict verdict = Judge(tensor.numbers, measured[i].stats, kFloat4E2m1fn, options.limits);
      tensor.formats[chosen.index[i]] = {
          .stats = measured[i].stats, .verdict = verdict, .saturated = measured[i].saturated};
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FileResult> CheckFile(const ArrayFile& file, const CheckOptions& options,
                                     absl::FunctionRef<void(uint64_t done, uint64_t all)> progress) {
  std::vector<size_t> chosen;
  bool any_floats = false;
  for (size_t i = 0; i < file.arrays().size(); ++i) {
    if (!options.names.Matches(file.arrays()[i].name)) continue;
    chosen.push_back(i);
    any_floats |= IsFloat(file.arrays()[i].type);
  }
  FileResult result = {.kind = std::string(file.format())};
  for (const size_t i : chosen) {
    const FileArray& array = file.arrays()[i];
    result.tensors.push_back({.name = array.name,
                              .type = array.type,
                              .shape = array.shape,
                              .checked = IsFloat(array.type) || options.integers || !any_floats});
  }
  Chosen<FloatFormat> floats;
  Chosen<QuantFormat> with_scales;
  for (size_t f = 0; f < options.formats.size(); ++f) {
    if (const auto* format = std::get_if<FloatFormat>(&options.formats[f])) {
      floats.Add(*format, f);
    } else {
      with_scales.Add(options.formats[f], f);
    }
  }
  Pass first;
  for (size_t t = 0; t < chosen.size(); ++t) {
    if (!result.tensors[t].checked) continue;
    result.tensors[t].formats.resize(options.formats.size());
    AddRequest(file.arrays()[chosen[t]], {.index = chosen[t], .formats = floats.formats}, result.tensors[t],
               floats.index, first);
  }
  uint64_t done = 0, all = first.bytes;
  if (!with_scales.formats.empty()) all += first.bytes * ReadingsFor(with_scales.formats);
  const auto read = [&](uint64_t bytes) { progress(done += bytes, all); };
  RETURN_IF_ERROR(CheckArrays(
      file, first.requests,
      [&](size_t r, const SafetyCheck& check) {
        TensorResult& tensor = *first.tensors[r];
        tensor.numbers = check.numbers();
        for (size_t i = 0; i < floats.formats.size(); ++i) {
          const FloatFormat& format = floats.formats[i];
          tensor.formats[floats.index[i]] = {
              .stats = check.of(i),
              .verdict = Judge(check.numbers(), check.of(i), format, options.limits),
              .scales = FindScaleRange(check.numbers(), format)};
        }
        return absl::OkStatus();
      },
      read, options.device));

  const Pass second = ScaledPass(file, first, options);
  all += second.bytes;
  RETURN_IF_ERROR(CheckArrays(
      file, second.requests,
      [&](size_t r, const SafetyCheck& check) {
        const ArraySafetyRequest& request = second.requests[r];
        for (size_t i = 0; i < request.formats.size(); ++i) {
          const Verdict verdict = Judge(check.numbers(), check.of(i), request.formats[i], options.limits);
          second.tensors[r]->formats[second.format_index[r][i]].scaled.push_back(
              {.exponent = request.scale_exponents[i], .stats = check.of(i), .verdict = verdict});
        }
        return absl::OkStatus();
      },
      read, options.device));
  if (!with_scales.formats.empty()) RETURN_IF_ERROR(MeasureAll(file, first, options, with_scales, read));
  return result;
}

}  // namespace halftone
