// Checking numbers before they become float16: what would be lost, which scale 2^k saves it, and then the
// conversion, which does what the check foretold.
//
//   ./bazelw run //examples:check_before_convert

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "base/philox.h"
#include "fp16/convert.h"
#include "fp16/format.h"
#include "fp16/half.h"
#include "fp16/safety.h"

namespace halftone {
namespace {

struct Result {
  uint64_t overflows = 0;
  uint64_t underflows = 0;
  double max_relative_error = 0;  // of the others
};

// What becomes of the values times 2^exponent in float16, and divided by 2^exponent again.
Result ConvertScaled(const std::vector<float>& values, int exponent) {
  std::vector<float> scaled(values.size()), back(values.size());
  std::vector<half> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) scaled[i] = std::ldexp(values[i], exponent);
  Convert(scaled.data(), halves.data(), values.size());
  Convert(halves.data(), back.data(), values.size());
  Result result;
  for (size_t i = 0; i < values.size(); ++i) {
    result.overflows += std::isinf(back[i]);
    result.underflows += back[i] == 0 && values[i] != 0;
    if (std::isinf(back[i]) || values[i] == 0) continue;
    const double error = std::fabs(std::ldexp(static_cast<double>(back[i]), -exponent) - values[i]);
    result.max_relative_error = std::max(result.max_relative_error, error / std::fabs(values[i]));
  }
  return result;
}

// Whether the conversion does what the check says that it will do.
bool Examine(const char* name, const std::vector<float>& values, int exponent, bool* safe) {
  SafetyCheck check({kFloat16}, {exponent});
  check.Add(values);
  const FormatStats& expected = check.of(0);
  const Verdict verdict = Judge(check.numbers(), expected, kFloat16, SafetyLimits());
  *safe = verdict.safe();
  std::printf("%s times 2^%d\n  check:      %5d overflow, %5d underflow, largest relative error %.5f: %s\n",
              name, exponent, static_cast<int>(expected.overflows), static_cast<int>(expected.underflows),
              expected.max_relative_error, *safe ? "safe" : "not safe");
  const Result result = ConvertScaled(values, exponent);
  std::printf("  conversion: %5d overflow, %5d underflow, largest relative error %.5f\n",
              static_cast<int>(result.overflows), static_cast<int>(result.underflows),
              result.max_relative_error);
  return result.overflows == expected.overflows && result.underflows == expected.underflows &&
         std::fabs(result.max_relative_error - expected.max_relative_error) <= 0x1p-19;
}

// Not safe as it is; safe with the scale that is found.
bool Demonstrate(const char* name, const std::vector<float>& values) {
  bool safe = false;
  if (!Examine(name, values, 0, &safe) || safe) return false;
  SafetyCheck check({kFloat16});
  check.Add(values);
  const ScaleRange scales = FindScaleRange(check.numbers(), kFloat16);
  std::printf("  magnitudes from %.2g to %.2g: safe times 2^%d to 2^%d\n", check.numbers().min_magnitude,
              check.numbers().max_magnitude, scales.lowest, scales.highest);
  // Not the highest: room for larger values to come.
  return Examine(name, values, std::max(scales.lowest, scales.highest - 2), &safe) && safe;
}

}  // namespace
}  // namespace halftone

int main() {
  const halftone::Rng rng(1);
  std::vector<float> activations(10000), gradients(10000);
  for (size_t i = 0; i < activations.size(); ++i) {
    activations[i] = 30000 * rng.Stream(0).Normal(i);  // float16 ends at 65504
    gradients[i] = 1e-7f * rng.Stream(1).Normal(i);    // its smallest number is 6e-8
  }
  const bool ok =
      halftone::Demonstrate("activations", activations) && halftone::Demonstrate("gradients", gradients);
  return ok ? 0 : 1;
}
