// Vector code: a row is read from memory once and passed over two or three times in the cache.
//
// Sums go to kLanes partial sums, element i of a row to the sum i % kLanes, whatever the vector length: the
// bits depend neither on the instruction set nor on the threads.
#include "tensor/ops/layer_norm/layer_norm_implementations.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/layer_norm/layer_norm_simd.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"

#include <cmath>

#ifndef HALFTONE_LAYER_NORM_SIMD_ONCE
#define HALFTONE_LAYER_NORM_SIMD_ONCE
namespace halftone::ops {

// Two of the longest vectors, so that an addition need not wait for the one before.
constexpr size_t kLanes = 32;

}  // namespace halftone::ops
#endif

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

// Calls f(d, i, lane) for consecutive i that cover [0, n), where lane is i % kLanes.
template <class F>
HWY_INLINE void ForLanes(size_t n, const F& f) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; lane += lanes) f(d, i + lane, lane);
  }
  ForVectors(n - i, [&](auto d1, size_t lane) HWY_ATTR { f(d1, i + lane, lane); });
}

// kLanes sums that begin at zero.
struct PartialSums {
  template <class D>
  HWY_INLINE void Add(D d, size_t lane, hn::Vec<D> v) {
    hn::StoreU(hn::Add(hn::LoadU(d, sums + lane), v), d, sums + lane);
  }
  HWY_INLINE double Total() const {
    double total = 0;
    for (const float s : sums) total += s;
    return total;
  }

  HWY_ALIGN float sums[kLanes] = {};
};

// (x - mean) for a mean in two parts.
template <class D, typename T>
HWY_INLINE hn::Vec<D> Centred(D d, const T* HWY_RESTRICT x, const float* HWY_RESTRICT mean) {
  return hn::Sub(hn::Sub(LoadFloats(d, x), hn::Set(d, mean[0])), hn::Set(d, mean[1]));
}

template <typename T>
HWY_INLINE void ForwardRow(const T* HWY_RESTRICT x, size_t n, double eps, const float* HWY_RESTRICT gamma,
                           const float* HWY_RESTRICT beta, T* HWY_RESTRICT y, float* HWY_RESTRICT mean,
                           float* HWY_RESTRICT inv_std) {
  const double count = static_cast<double>(n);
  PartialSums sums;
  ForLanes(n, [&](auto d, size_t i, size_t lane) HWY_ATTR { sums.Add(d, lane, LoadFloats(d, x + i)); });
  const float pivot = static_cast<float>(sums.Total() / count);

  // The pivot is near enough to the mean for its distance to be found, and taken off the squares, exactly.
  PartialSums rests, squares;
  ForLanes(n, [&](auto d, size_t i, size_t lane) HWY_ATTR {
    const auto apart = hn::Sub(LoadFloats(d, x + i), hn::Set(d, pivot));
    rests.Add(d, lane, apart);
    squares.Add(d, lane, hn::Mul(apart, apart));
  });
  const double rest = rests.Total() / count, variance = squares.Total() / count - rest * rest;
  mean[0] = pivot;
  mean[1] = static_cast<float>(rest);
  // Rounding may leave a little less than nothing (a NaN stays).
  const float inverse = static_cast<float>(1 / std::sqrt((variance < 0 ? 0 : variance) + eps));
  *inv_std = inverse;

  ForVectors(n, [&](auto d, size_t i) HWY_ATTR {
    const auto z = hn::Mul(Centred(d, x + i, mean), hn::Set(d, inverse));
    StoreFloats(hn::Add(hn::Mul(z, hn::LoadU(d, gamma + i)), hn::LoadU(d, beta + i)), d, y + i);
  });
}

// Adds to dgamma and dbeta.
template <typename T>
HWY_INLINE void BackwardRow(const T* HWY_RESTRICT x, const T* HWY_RESTRICT dy, size_t n,
                            const float* HWY_RESTRICT gamma, const float* HWY_RESTRICT mean, float inv_std,
                            T* HWY_RESTRICT dx, float* HWY_RESTRICT dgamma, float* HWY_RESTRICT dbeta) {
  PartialSums sums, products;
  ForLanes(n, [&](auto d, size_t i, size_t lane) HWY_ATTR {
    const auto z = hn::Mul(Centred(d, x + i, mean), hn::Set(d, inv_std));
    const auto v = LoadFloats(d, dy + i);
    const auto g = hn::Mul(v, hn::LoadU(d, gamma + i));
    sums.Add(d, lane, g);
    products.Add(d, lane, hn::Mul(g, z));
    hn::StoreU(hn::Add(hn::LoadU(d, dgamma + i), hn::Mul(v, z)), d, dgamma + i);
    hn::StoreU(hn::Add(hn::LoadU(d, dbeta + i), v), d, dbeta + i);
  });
  const double count = static_cast<double>(n);
  const float mean_g = static_cast<float>(sums.Total() / count);
  const float mean_gz = static_cast<float>(products.Total() / count);
  // With z = (x - mean) * inv_std and g = dy * gamma:  dx = inv_std * (g - mean(g) - z * mean(g * z)).
  ForVectors(n, [&](auto d, size_t i) HWY_ATTR {
    const auto inverse = hn::Set(d, inv_std);
    const auto z = hn::Mul(Centred(d, x + i, mean), inverse);
    const auto g = hn::Mul(LoadFloats(d, dy + i), hn::LoadU(d, gamma + i));
    const auto across = hn::Sub(hn::Sub(g, hn::Set(d, mean_g)), hn::Mul(z, hn::Set(d, mean_gz)));
    StoreFloats(hn::Mul(across, inverse), d, dx + i);
  });
}

void ForwardRows(const LayerNormProblem& p, double eps, const LayerNormForwardArrays& a, size_t begin,
                 size_t end) {
  VisitStorage(p.dtype, [=, &p, &a](auto type) HWY_ATTR {
    using T = decltype(type);
    for (size_t r = begin; r < end; ++r) {
      ForwardRow(static_cast<const T*>(a.x) + r * p.n, p.n, eps, static_cast<const float*>(a.gamma),
                 static_cast<const float*>(a.beta), static_cast<T*>(a.y) + r * p.n,
                 static_cast<float*>(a.mean) + 2 * r, static_cast<float*>(a.inv_std) + r);
    }
  });
}

void BackwardRows(const LayerNormProblem& p, const LayerNormBackwardArrays& a, size_t begin, size_t end,
                  float* dgamma, float* dbeta) {
  VisitStorage(p.dtype, [=, &p, &a](auto type) HWY_ATTR {
    using T = decltype(type);
    for (size_t r = begin; r < end; ++r) {
      BackwardRow(static_cast<const T*>(a.x) + r * p.n, static_cast<const T*>(a.dy) + r * p.n, p.n,
                  static_cast<const float*>(a.gamma), static_cast<const float*>(a.mean) + 2 * r,
                  static_cast<const float*>(a.inv_std)[r], static_cast<T*>(a.dx) + r * p.n, dgamma, dbeta);
    }
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <vector>

#include "base/parallel.h"

namespace halftone::ops {
namespace {

HWY_EXPORT(ForwardRows);
HWY_EXPORT(BackwardRows);

constexpr size_t kGrain = 1 << 14;  // elements worth a thread

void SimdForward(const LayerNormProblem& p, double eps, const LayerNormForwardArrays& a) {
  ParallelFor(p.rows, std::max<size_t>(1, kGrain / p.n), [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(ForwardRows)(p, eps, a, begin, end);
  });
}

void SimdBackward(const LayerNormProblem& p, const LayerNormBackwardArrays& a) {
  // Rows whose dgamma and dbeta are summed in float, one after the other; the blocks' sums are added in double.
  // Few rows a block, for precision and for the threads; few blocks, for memory.
  const size_t block = std::max({size_t{4}, kGrain / p.n, (p.rows + 63) / 64});
  const size_t blocks = (p.rows + block - 1) / block;
  std::vector<float> dgamma(blocks * p.n), dbeta(blocks * p.n);
  ParallelForBlocks(p.rows, block, [&](size_t b, size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(BackwardRows)(p, a, begin, end, &dgamma[b * p.n], &dbeta[b * p.n]);
  });
  ParallelFor(p.n, kGrain / blocks, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      double gamma = 0, beta = 0;
      for (size_t b = 0; b < blocks; ++b) {
        gamma += dgamma[b * p.n + i];
        beta += dbeta[b * p.n + i];
      }
      static_cast<float*>(a.dgamma)[i] = static_cast<float>(gamma);
      static_cast<float*>(a.dbeta)[i] = static_cast<float>(beta);
    }
  });
}

}  // namespace

const LayerNormImplementation kSimdLayerNorm = {.name = "simd",
                                                .supports = [](DType dtype) { return dtype != DType::kF64; },
                                                .forward = SimdForward,
                                                .backward = SimdBackward};

}  // namespace halftone::ops
#endif  // HWY_ONCE
