// The slow, obvious twin, and the only one for f64: the definition, in double, rounded where it is stored.
#include <cmath>
#include <type_traits>
#include <vector>

#include "tensor/ops/layer_norm/layer_norm_implementations.h"

namespace halftone::ops {
namespace {

template <typename T>
using Statistic = std::conditional_t<std::is_same_v<T, double>, double, float>;

void Forward(const LayerNormProblem& p, double eps, const LayerNormForwardArrays& a) {
  VisitFloat(p.dtype, [&](auto type) {
    using T = decltype(type);
    using S = Statistic<T>;
    const auto *gamma = static_cast<const S*>(a.gamma), *beta = static_cast<const S*>(a.beta);
    for (size_t r = 0; r < p.rows; ++r) {
      const T* x = static_cast<const T*>(a.x) + r * p.n;
      double mean = 0, variance = 0;
      for (size_t i = 0; i < p.n; ++i) mean += x[i];
      mean /= static_cast<double>(p.n);
      for (size_t i = 0; i < p.n; ++i) variance += (x[i] - mean) * (x[i] - mean);
      variance /= static_cast<double>(p.n);
      const double inv_std = 1 / std::sqrt(variance + eps);
      for (size_t i = 0; i < p.n; ++i) {
        static_cast<T*>(a.y)[r * p.n + i] = static_cast<T>((x[i] - mean) * inv_std * gamma[i] + beta[i]);
      }
      if (p.keep.has_value()) {
        VisitFloat(*p.keep, [&](auto kept) {
          auto* normalised = static_cast<decltype(kept)*>(a.normalised) + r * p.n;
          for (size_t i = 0; i < p.n; ++i) normalised[i] = decltype(kept)((x[i] - mean) * inv_std);
        });
      }
      const S pivot = static_cast<S>(mean);
      static_cast<S*>(a.mean)[2 * r] = pivot;
      static_cast<S*>(a.mean)[2 * r + 1] = static_cast<S>(mean - pivot);
      static_cast<S*>(a.inv_std)[r] = static_cast<S>(inv_std);
    }
  });
}

// With z = (x - mean) * inv_std and g = dy * gamma:  dx = inv_std * (g - mean(g) - z * mean(g * z)).
void Backward(const LayerNormProblem& p, const LayerNormBackwardArrays& a) {
  VisitFloat(p.dtype, [&](auto type) {
    using T = decltype(type);
    using S = Statistic<T>;
    const auto* gamma = static_cast<const S*>(a.gamma);
    std::vector<double> z(p.n), g(p.n), dgamma(p.n), dbeta(p.n);
    for (size_t r = 0; r < p.rows; ++r) {
      const T* dy = static_cast<const T*>(a.dy) + r * p.n;
      const double inv_std = static_cast<const S*>(a.inv_std)[r];
      if (p.keep.has_value()) {
        VisitFloat(*p.keep, [&](auto kept) {
          const auto* normalised = static_cast<const decltype(kept)*>(a.normalised) + r * p.n;
          for (size_t i = 0; i < p.n; ++i) z[i] = normalised[i];
        });
      } else {
        const T* x = static_cast<const T*>(a.x) + r * p.n;
        const S* mean = static_cast<const S*>(a.mean) + 2 * r;
        for (size_t i = 0; i < p.n; ++i) {
          z[i] = (x[i] - (static_cast<double>(mean[0]) + mean[1])) * inv_std;
        }
      }
      double mean_g = 0, mean_gz = 0;
      for (size_t i = 0; i < p.n; ++i) {
        g[i] = static_cast<double>(dy[i]) * gamma[i];
        mean_g += g[i] / static_cast<double>(p.n);
        mean_gz += g[i] * z[i] / static_cast<double>(p.n);
        dgamma[i] += dy[i] * z[i];
        dbeta[i] += dy[i];
      }
      for (size_t i = 0; i < p.n; ++i) {
        static_cast<T*>(a.dx)[r * p.n + i] = static_cast<T>(inv_std * (g[i] - mean_g - z[i] * mean_gz));
      }
    }
    for (size_t i = 0; i < p.n; ++i) {
      static_cast<S*>(a.dgamma)[i] = static_cast<S>(dgamma[i]);
      static_cast<S*>(a.dbeta)[i] = static_cast<S>(dbeta[i]);
    }
  });
}

}  // namespace

const LayerNormImplementation kReferenceLayerNorm = {
    .name = "reference", .supports = [](DType) { return true; }, .forward = Forward, .backward = Backward};

}  // namespace halftone::ops
