// Vector code: a row is read from memory once and passed over two or three times in the cache.
//
// Sums have kLanes parts, of which element i of a row goes to part i % kLanes, whatever the vector length:
// the bits depend neither on the instruction set nor on the threads.
#include "tensor/ops/layer_norm/layer_norm_implementations.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/layer_norm/layer_norm_simd.cc"
#include <cmath>

#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"

#ifndef HALFTONE_LAYER_NORM_SIMD_ONCE
#define HALFTONE_LAYER_NORM_SIMD_ONCE
namespace halftone::ops {

// Two of the longest vectors, so that an addition need not always wait for the one before.
constexpr size_t kLanes = 32;

}  // namespace halftone::ops
#endif

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

// Two sums over n elements, each in kLanes parts. f(d, i, a, b) adds what elements i, i + 1, ... give to the
// vectors a and b.
struct PartialSums {
  template <class F>
  HWY_INLINE PartialSums(size_t n, const F& f) {
    const FloatTag d;
    const size_t lanes = hn::Lanes(d), whole = n / kLanes * kLanes;
    // Two vectors of each sum at a time, in registers: the row is in the cache for the other lanes.
    for (size_t lane = 0; lane < kLanes; lane += 2 * lanes) {
      auto a0 = hn::Zero(d), a1 = hn::Zero(d), b0 = hn::Zero(d), b1 = hn::Zero(d);
      for (size_t i = lane; i < whole; i += kLanes) {
        f(d, i, a0, b0);
        f(d, i + lanes, a1, b1);
      }
      hn::StoreU(a0, d, a + lane);
      hn::StoreU(a1, d, a + lane + lanes);
      hn::StoreU(b0, d, b + lane);
      hn::StoreU(b1, d, b + lane + lanes);
    }
    ForVectors(n - whole, [&](auto d1, size_t lane) HWY_ATTR {
      auto va = hn::LoadU(d1, a + lane), vb = hn::LoadU(d1, b + lane);
      f(d1, whole + lane, va, vb);
      hn::StoreU(va, d1, a + lane);
      hn::StoreU(vb, d1, b + lane);
    });
  }

  static HWY_INLINE double Total(const float* parts) {
    double total[4] = {};  // that need not wait for each other
    for (size_t lane = 0; lane < kLanes; lane += 4) {
      for (size_t k = 0; k < 4; ++k) total[k] += parts[lane + k];
    }
    return (total[0] + total[1]) + (total[2] + total[3]);
  }

  float a[kLanes], b[kLanes];
};

// (x - mean) for a mean in two parts.
template <class D, typename T>
HWY_INLINE hn::Vec<D> Centred(D d, const T* HWY_RESTRICT x, const float* HWY_RESTRICT mean) {
  return hn::Sub(hn::Sub(LoadFloats(d, x), hn::Set(d, mean[0])), hn::Set(d, mean[1]));
}

// keep(d, i, z) sees the normalised numbers.
template <typename T, class Keep>
HWY_INLINE void ForwardRow(const T* HWY_RESTRICT x, size_t n, double eps, const float* HWY_RESTRICT gamma,
                           const float* HWY_RESTRICT beta, T* HWY_RESTRICT y, float* HWY_RESTRICT mean,
                           float* HWY_RESTRICT inv_std, const Keep& keep) {
  const double count = static_cast<double>(n);
  const PartialSums sums(
      n, [&](auto d, size_t i, auto& sum, auto&) HWY_ATTR { sum = hn::Add(sum, LoadFloats(d, x + i)); });
  const float pivot = static_cast<float>(PartialSums::Total(sums.a) / count);

  // The pivot is near enough to the mean for its distance to be found, and taken off the squares, exactly.
  const PartialSums moments(n, [&](auto d, size_t i, auto& sum, auto& square) HWY_ATTR {
    const auto apart = hn::Sub(LoadFloats(d, x + i), hn::Set(d, pivot));
    sum = hn::Add(sum, apart);
    square = hn::Add(square, hn::Mul(apart, apart));
  });
  const double rest = PartialSums::Total(moments.a) / count;
  const double variance = PartialSums::Total(moments.b) / count - rest * rest;
  mean[0] = pivot;
  mean[1] = static_cast<float>(rest);
  // Rounding may leave a little less than nothing (a NaN stays).
  const float inverse = static_cast<float>(1 / std::sqrt((variance < 0 ? 0 : variance) + eps));
  *inv_std = inverse;

  ForVectors(n, [&](auto d, size_t i) HWY_ATTR {
    const auto z = hn::Mul(Centred(d, x + i, mean), hn::Set(d, inverse));
    keep(d, i, z);
    StoreFloats(hn::Add(hn::Mul(z, hn::LoadU(d, gamma + i)), hn::LoadU(d, beta + i)), d, y + i);
  });
}

// normalised(d, i) gives the normalised numbers. Adds to dgamma and dbeta.
template <typename T, class Normalised>
HWY_INLINE void BackwardRow(const Normalised& normalised, const T* HWY_RESTRICT dy, size_t n,
                            const float* HWY_RESTRICT gamma, float inv_std, T* HWY_RESTRICT dx,
                            float* HWY_RESTRICT dgamma, float* HWY_RESTRICT dbeta) {
  const PartialSums sums(n, [&](auto d, size_t i, auto& sum, auto& product) HWY_ATTR {
    const auto z = normalised(d, i);
    const auto v = LoadFloats(d, dy + i);
    const auto g = hn::Mul(v, hn::LoadU(d, gamma + i));
    sum = hn::Add(sum, g);
    product = hn::Add(product, hn::Mul(g, z));
    hn::StoreU(hn::Add(hn::LoadU(d, dgamma + i), hn::Mul(v, z)), d, dgamma + i);
    hn::StoreU(hn::Add(hn::LoadU(d, dbeta + i), v), d, dbeta + i);
  });
  const double count = static_cast<double>(n);
  const float mean_g = static_cast<float>(PartialSums::Total(sums.a) / count);
  const float mean_gz = static_cast<float>(PartialSums::Total(sums.b) / count);
  // With z = (x - mean) * inv_std and g = dy * gamma:  dx = inv_std * (g - mean(g) - z * mean(g * z)).
  ForVectors(n, [&](auto d, size_t i) HWY_ATTR {
    const auto z = normalised(d, i);
    const auto g = hn::Mul(LoadFloats(d, dy + i), hn::LoadU(d, gamma + i));
    const auto across = hn::Sub(hn::Sub(g, hn::Set(d, mean_g)), hn::Mul(z, hn::Set(d, mean_gz)));
    StoreFloats(hn::Mul(across, hn::Set(d, inv_std)), d, dx + i);
  });
}

void ForwardRows(const LayerNormProblem& p, double eps, const LayerNormForwardArrays& a, size_t begin,
                 size_t end) {
  VisitStorage(p.dtype, [=, &p, &a](auto type) HWY_ATTR {
    using T = decltype(type);
    const auto rows = [&](const auto& keep_row) HWY_ATTR {
      for (size_t r = begin; r < end; ++r) {
        ForwardRow(static_cast<const T*>(a.x) + r * p.n, p.n, eps, static_cast<const float*>(a.gamma),
                   static_cast<const float*>(a.beta), static_cast<T*>(a.y) + r * p.n,
                   static_cast<float*>(a.mean) + 2 * r, static_cast<float*>(a.inv_std) + r, keep_row(r));
      }
    };
    if (!p.keep.has_value()) {
      return rows([](size_t) HWY_ATTR { return [](auto, size_t, auto) HWY_ATTR {}; });
    }
    VisitStorage(*p.keep, [&](auto kept) HWY_ATTR {
      using K = decltype(kept);
      rows([&](size_t r) HWY_ATTR {
        K* to = static_cast<K*>(a.normalised) + r * p.n;
        return [to](auto d, size_t i, auto z) HWY_ATTR { StoreFloats(z, d, to + i); };
      });
    });
  });
}

void BackwardRows(const LayerNormProblem& p, const LayerNormBackwardArrays& a, size_t begin, size_t end,
                  float* dgamma, float* dbeta) {
  VisitStorage(p.dtype, [=, &p, &a](auto type) HWY_ATTR {
    using T = decltype(type);
    const auto* inv_std = static_cast<const float*>(a.inv_std);
    const auto rows = [&](const auto& normalised_row) HWY_ATTR {
      for (size_t r = begin; r < end; ++r) {
        BackwardRow(normalised_row(r), static_cast<const T*>(a.dy) + r * p.n, p.n,
                    static_cast<const float*>(a.gamma), inv_std[r], static_cast<T*>(a.dx) + r * p.n, dgamma,
                    dbeta);
      }
    };
    if (!p.keep.has_value()) {
      return rows([&](size_t r) HWY_ATTR {
        const T* x = static_cast<const T*>(a.x) + r * p.n;
        const float* mean = static_cast<const float*>(a.mean) + 2 * r;
        return [=](auto d, size_t i)
                   HWY_ATTR { return hn::Mul(Centred(d, x + i, mean), hn::Set(d, inv_std[r])); };
      });
    }
    VisitStorage(*p.keep, [&](auto kept) HWY_ATTR {
      using K = decltype(kept);
      rows([&](size_t r) HWY_ATTR {
        const K* from = static_cast<const K*>(a.normalised) + r * p.n;
        return [from](auto d, size_t i) HWY_ATTR { return LoadFloats(d, from + i); };
      });
    });
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
  // The rows of a block are summed in float, one after the other, and the blocks' sums in double.
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
