#include "tensor/ops/grid_graph/grid_graph.h"

#include "tensor/ops/grid_graph/grid_graph_implementations.h"
#include "tensor/ops/grid_graph/grid_graph_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/grid_graph/grid_graph.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

void SimdSpread(const GridGraphProblem& p, const void* x, const void* bias, void* y) {
  VisitStorage(p.dtype, [=, &p](auto type) HWY_ATTR {
    using T = decltype(type);
    const float* b = static_cast<const float*>(bias);
    for (int64_t row = 0; row < p.rows; ++row) {
      for (int64_t column = 0; column < p.columns; ++column) {
        // The node and its neighbours, and with what they come.
        const T* from[5];
        float coefficient[5];
        int count = 0;
        const auto add = [&](int64_t r, int64_t c) {
          if (!p.Has(r, c)) return;
          from[count] = static_cast<const T*>(x) + (r * p.columns + c) * p.features;
          coefficient[count++] = static_cast<float>(p.Coefficient(row, column, r, c));
        };
        add(row, column);
        add(row - 1, column);
        add(row, column - 1);
        add(row, column + 1);
        add(row + 1, column);
        T* to = static_cast<T*>(y) + (row * p.columns + column) * p.features;
        ForVectors(p.features, [&](auto d, size_t f) HWY_ATTR {
          auto sum = b == nullptr ? hn::Zero(d) : hn::LoadU(d, b + f);
          for (int i = 0; i < count; ++i) {
            sum = hn::Add(sum, hn::Mul(LoadFloats(d, from[i] + f), hn::Set(d, coefficient[i])));
          }
          StoreFloats(sum, d, to + f);
        });
      }
    }
  });
}

void SimdSum(DType dtype, const void* x, int64_t nodes, int64_t features, void* sum) {
  VisitStorage(dtype, [=](auto type) HWY_ATTR {
    const auto* from = static_cast<const decltype(type)*>(x);
    float* total = static_cast<float*>(sum);
    for (int64_t i = 0; i < nodes; ++i) {
      ForVectors(features, [=](auto d, size_t f) HWY_ATTR {
        hn::StoreU(hn::Add(hn::LoadU(d, total + f), LoadFloats(d, from + i * features + f)), d, total + f);
      });
    }
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <type_traits>

#include "base/parallel.h"

namespace halftone::ops {
namespace {

HWY_EXPORT(SimdSpread);
HWY_EXPORT(SimdSum);

template <typename T>
using Arithmetic = std::conditional_t<std::is_same_v<T, double>, double, float>;

void ReferenceSpread(const GridGraphProblem& p, const void* x, const void* bias, void* y) {
  VisitFloat(p.dtype, [&](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    const auto at = [&](int64_t r, int64_t c, int64_t f) { return (r * p.columns + c) * p.features + f; };
    for (int64_t row = 0; row < p.rows; ++row)
      for (int64_t column = 0; column < p.columns; ++column)
        for (int64_t f = 0; f < p.features; ++f) {
          A sum = bias == nullptr ? A(0) : static_cast<const A*>(bias)[f];
          for (const auto& [r, c] : {std::pair(row, column), std::pair(row - 1, column),
                                     std::pair(row, column - 1), std::pair(row, column + 1),
                                     std::pair(row + 1, column)}) {
            if (!p.Has(r, c)) continue;
            sum += A(static_cast<const T*>(x)[at(r, c, f)]) * A(p.Coefficient(row, column, r, c));
          }
          static_cast<T*>(y)[at(row, column, f)] = T(sum);
        }
  });
}

void ReferenceSum(DType dtype, const void* x, int64_t nodes, int64_t features, void* sum) {
  VisitFloat(dtype, [&](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    for (int64_t i = 0; i < nodes * features; ++i) {
      static_cast<A*>(sum)[i % features] += A(static_cast<const T*>(x)[i]);
    }
  });
}

constexpr GridGraphImplementation kImplementations[] = {
    {.name = "simd",
     .supports = [](DType dtype) { return dtype != DType::kF64; },
     .spread = [](const GridGraphProblem& p, const void* x, const void* bias,
                  void* y) { HWY_DYNAMIC_DISPATCH(SimdSpread)(p, x, bias, y); },
     .sum = [](DType dtype, const void* x, int64_t nodes, int64_t features,
               void* sum) { HWY_DYNAMIC_DISPATCH(SimdSum)(dtype, x, nodes, features, sum); }},
    {.name = "reference",
     .supports = [](DType) { return true; },
     .spread = ReferenceSpread,
     .sum = ReferenceSum},
};

const GridGraphImplementation& Choose(DType dtype) {
  HALFTONE_CHECK(IsFloat(dtype));
  const GridGraphImplementation* row = kImplementations;
  while (!row->supports(dtype)) ++row;
  return *row;
}

GridGraphProblem Problem(const Tensor& x) {
  HALFTONE_CHECK(x.shape().rank() == 4);
  return {.dtype = x.dtype(), .rows = x.shape()[1], .columns = x.shape()[2], .features = x.shape()[3]};
}

// bias: null for zeros.
Tensor Spread(const Tensor& x, const Tensor* bias) {
  const GridGraphProblem p = Problem(x);
  const GridGraphImplementation& implementation = Choose(x.dtype());
  Tensor y = Tensor::Empty(x.device(), x.dtype(), x.shape());
  if (const auto* kernels = x.device().Kernels<GridGraphKernels>()) {
    kernels->spread(x, bias, y);
    return y;
  }
  const size_t bytes = p.Elements() * SizeOf(x.dtype());
  const char* from = static_cast<const char*>(x.raw());
  const void* from_bias = bias == nullptr ? nullptr : bias->raw();
  char* to = static_cast<char*>(y.raw());
  ParallelFor(x.shape()[0], 1, [&](size_t begin, size_t end) {
    for (size_t n = begin; n < end; ++n) {
      implementation.spread(p, from + n * bytes, from_bias, to + n * bytes);
    }
  });
  return y;
}

}  // namespace

absl::Span<const GridGraphImplementation> GridGraphImplementations() { return kImplementations; }

Tensor GridGraphForward(const Tensor& x, const Tensor& bias) {
  HALFTONE_CHECK(bias.dtype() == (x.dtype() == DType::kF64 ? DType::kF64 : DType::kF32));
  HALFTONE_CHECK(bias.shape() == Shape({x.shape()[-1]}));
  return Spread(x, &bias);
}

GridGraphGradients GridGraphBackward(const Tensor& dy) {
  const GridGraphProblem p = Problem(dy);
  const GridGraphImplementation& implementation = Choose(dy.dtype());
  const DType sums_dtype = dy.dtype() == DType::kF64 ? DType::kF64 : DType::kF32;
  const int64_t grids = dy.shape()[0];
  // The matrix is symmetric.
  GridGraphGradients gradients = {.dx = Spread(dy, nullptr),
                                  .dbias = Tensor::Zeros(dy.device(), sums_dtype, {p.features})};
  if (const auto* kernels = dy.device().Kernels<GridGraphKernels>()) {
    kernels->sum(dy, gradients.dbias);
    return gradients;
  }
  // A grid's sums of all nodes, then those of all grids in order.
  Tensor sums = Tensor::Zeros(dy.device(), sums_dtype, {grids, p.features});
  const char* from = static_cast<const char*>(dy.raw());
  char* to = static_cast<char*>(sums.raw());
  ParallelFor(grids, 1, [&](size_t begin, size_t end) {
    for (size_t n = begin; n < end; ++n) {
      implementation.sum(p.dtype, from + n * p.Elements() * SizeOf(p.dtype), p.rows * p.columns, p.features,
                         to + n * p.features * SizeOf(sums_dtype));
    }
  });
  implementation.sum(sums_dtype, sums.raw(), grids, p.features, gradients.dbias.raw());
  return gradients;
}

}  // namespace halftone::ops
#endif  // HWY_ONCE
