#include "train/overflow_report.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/check.h"

namespace halftone {
namespace {

double ToDouble(double x) { return x; }
template <typename T>
double ToDouble(T x) {
  return static_cast<float>(x);
}

struct Scan {
  double amax = 0;
  int64_t nonfinite = 0;
  int64_t first = -1;
  double value = 0;
};

Scan ScanTensor(const Tensor& tensor) {
  Scan scan;
  if (!IsFloat(tensor.dtype())) return scan;
  VisitFloat(tensor.dtype(), [&](auto t) {
    int64_t i = 0;
    for (const auto element : tensor.span<decltype(t)>()) {
      const double x = ToDouble(element);
      if (std::isfinite(x)) {
        scan.amax = std::max(scan.amax, std::fabs(x));
      } else if (scan.nonfinite++ == 0) {
        scan.first = i;
        scan.value = x;
      }
      ++i;
    }
  });
  return scan;
}

std::vector<int64_t> IndexOf(const Shape& shape, int64_t element) {
  std::vector<int64_t> index(shape.rank());
  for (int d = shape.rank() - 1; d >= 0; --d) {
    index[d] = element % shape[d];
    element /= shape[d];
  }
  return index;
}

double LargestOf(DType dtype) {
  double largest = 0;
  VisitFloat(dtype, [&](auto t) { largest = static_cast<double>(std::numeric_limits<decltype(t)>::max()); });
  return largest;
}

}  // namespace

std::string TracedTensor::Where() const {
  return absl::StrCat(backward ? "backward " : "forward ", op, module.empty() ? "" : " of ", module, ", ",
                      tensor, " (", NameOf(dtype), ")");
}

std::string OverflowReport::OneLine() const {
  if (!found) return "nothing";
  return absl::StrFormat("%s: %g at [%s]", first.Where(), value, absl::StrJoin(index, ", "));
}

std::string OverflowReport::ToString() const {
  std::string text = absl::StrCat("first value that is not finite: ", OneLine(), "\n");
  if (!found) return text;
  const auto line = [](const TracedTensor& t) {
    return absl::StrFormat("  %-70s amax %.4g of %.4g\n", t.Where(), t.amax, LargestOf(t.dtype));
  };
  absl::StrAppend(&text, "it has ", nonfinite, nonfinite == 1 ? " such element" : " such elements",
                  "; the tensors before it:\n");
  for (const TracedTensor& t : trail) absl::StrAppend(&text, line(t));
  absl::StrAppend(&text, line(first));
  return text;
}

void OverflowFinder::See(const nn::TraceEvent& event) {
  if (report_.found || !IsFloat(event.value.dtype())) return;
  const Scan scan = ScanTensor(event.value);
  TracedTensor tensor = {.module = std::string(event.module),
                         .op = std::string(event.op),
                         .backward = event.backward,
                         .tensor = event.tensor,
                         .dtype = event.value.dtype(),
                         .amax = scan.amax};
  if (scan.nonfinite > 0) {
    report_.found = true;
    report_.first = std::move(tensor);
    report_.index = IndexOf(event.value.shape(), scan.first);
    report_.value = scan.value;
    report_.nonfinite = scan.nonfinite;
    return;
  }
  report_.trail.push_back(std::move(tensor));
  if (report_.trail.size() > trail_) report_.trail.erase(report_.trail.begin());
}

}  // namespace halftone
