#include "tensor/ops/cross_entropy/rounded_softmax.h"

#include <algorithm>
#include <cmath>

namespace halftone::ops {

void RoundedSoftmax(const FloatFormat& format, std::vector<double>& z) {
  const Overflow overflow = format.has_infinity ? Overflow::kInfinity : Overflow::kSaturate;
  const auto round = [&](double v) {
    return Decode(format, Encode(format, v, Rounding::kNearestEven, overflow));
  };
  for (double& v : z) v = round(v);
  const double max = *std::max_element(z.begin(), z.end());
  double sum = 0;
  for (double& v : z) {
    v = round(std::exp(v - max));
    sum = round(sum + v);
  }
  for (double& v : z) v = round(v / sum);
}

}  // namespace halftone::ops
