#include "testing/tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/philox.h"

namespace halftone {

double EpsilonOf(DType dtype) {
  return VisitFloat(
      dtype, [](auto type) { return static_cast<double>(std::numeric_limits<decltype(type)>::epsilon()); });
}

Tensor RandomTensor(Device& device, DType dtype, Shape shape, uint64_t seed) {
  const Rng rng(seed);
  std::vector<double> values(shape.elements());
  for (size_t i = 0; i < values.size(); ++i) values[i] = rng.Normal(i);
  return FromDoubles(device, dtype, std::move(shape), values);
}

Tensor FromDoubles(Device& device, DType dtype, Shape shape, const std::vector<double>& values) {
  Tensor t = Tensor::Empty(device, dtype, std::move(shape));
  HALFTONE_CHECK(static_cast<size_t>(t.elements()) == values.size());
  VisitFloat(dtype, [&](auto type) {
    using T = decltype(type);
    std::transform(values.begin(), values.end(), t.data<T>(), [](double v) { return static_cast<T>(v); });
  });
  return t;
}

std::vector<double> ToDoubles(const Tensor& t) {
  return VisitFloat(t.dtype(), [&](auto type) {
    const auto* data = t.data<decltype(type)>();
    return std::vector<double>(data, data + t.elements());
  });
}

bool SameBits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a.size() != b.size()) return kInfinity;
  double difference = 0, magnitude = 1;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) {
      if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return kInfinity;
      continue;
    }
    difference = std::max(difference, std::abs(a[i] - b[i]));
    magnitude = std::max(magnitude, std::abs(b[i]));
  }
  return difference / magnitude;
}

}  // namespace halftone
