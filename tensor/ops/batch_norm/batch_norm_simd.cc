// Vector code: one pass over memory for each loop.
//
// x [rows, C] is taken as [rows / k, k * C], where k * C is a multiple of 16 and so a whole number of vectors
// for any C; the rows that are left over are the beginning of one more such wide row. Each of the k * C
// columns is summed on its own, row by row, so the sums depend neither on the vector length nor on the
// threads.
#include <type_traits>

#include "tensor/ops/batch_norm/batch_norm_implementations.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/batch_norm/batch_norm_simd.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"

#ifndef HALFTONE_BATCH_NORM_SIMD_ONCE
#define HALFTONE_BATCH_NORM_SIMD_ONCE
namespace halftone::ops {

// For each column of a matrix; the arrays that a kernel does not need are null.
struct BatchNormColumns {
  const float *mean = nullptr, *scale = nullptr, *shift = nullptr, *mean_dy = nullptr, *slope = nullptr;
};

}  // namespace halftone::ops
#endif

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

// For each column: pivot, about its mean; sum and square, those of (x - pivot).
//
// The pivot is the mean of the first eighth of the rows. Those s of n rows alone contribute s * (pivot -
// mean)^2 or more to n * variance, so (pivot - mean)^2 <= 8 variance, and taking n * (pivot - mean)^2 off the
// squares costs at most some three bits, whatever the data.
template <typename T>
void Moments(const T* HWY_RESTRICT x, size_t rows, size_t columns, float* HWY_RESTRICT pivot,
             float* HWY_RESTRICT sum, float* HWY_RESTRICT square) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  const size_t sample = (rows + 7) / 8;
  const auto inverse = hn::Set(d, 1.0f / static_cast<float>(sample));
  for (size_t c = 0; c < columns; c += lanes) {
    auto total = hn::Zero(d);
    for (size_t r = 0; r < sample; ++r) total = hn::Add(total, LoadFloats(d, x + r * columns + c));
    hn::StoreU(hn::Mul(total, inverse), d, pivot + c);
    hn::StoreU(hn::Zero(d), d, sum + c);
    hn::StoreU(hn::Zero(d), d, square + c);
  }
  // Four rows at a time, so that the sums go through memory only so often.
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T* x0 = x + r * columns;
    for (size_t c = 0; c < columns; c += lanes) {
      const auto p = hn::LoadU(d, pivot + c);
      const auto a = hn::Sub(LoadFloats(d, x0 + c), p);
      const auto b = hn::Sub(LoadFloats(d, x0 + columns + c), p);
      const auto e = hn::Sub(LoadFloats(d, x0 + 2 * columns + c), p);
      const auto f = hn::Sub(LoadFloats(d, x0 + 3 * columns + c), p);
      const auto sums = hn::Add(hn::Add(a, b), hn::Add(e, f));
      const auto squares =
          hn::Add(hn::Add(hn::Mul(a, a), hn::Mul(b, b)), hn::Add(hn::Mul(e, e), hn::Mul(f, f)));
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), sums), d, sum + c);
      hn::StoreU(hn::Add(hn::LoadU(d, square + c), squares), d, square + c);
    }
  }
  for (; r < rows; ++r) {
    for (size_t c = 0; c < columns; c += lanes) {
      const auto a = hn::Sub(LoadFloats(d, x + r * columns + c), hn::LoadU(d, pivot + c));
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), a), d, sum + c);
      hn::StoreU(hn::Add(hn::LoadU(d, square + c), hn::Mul(a, a)), d, square + c);
    }
  }
}

template <class D>
HWY_INLINE hn::Vec<D> Normalised(D d, hn::Vec<D> centred, const BatchNormColumns& columns, size_t c) {
  return hn::Add(hn::Mul(centred, hn::LoadU(d, columns.scale + c)), hn::LoadU(d, columns.shift + c));
}

template <BatchNormActivation kActivation, class D>
HWY_INLINE hn::Vec<D> Activated(D d, hn::Vec<D> value) {
  // Not Max and Min, which may turn NaN into a bound.
  if (kActivation != BatchNormActivation::kNone) {
    value = hn::IfThenZeroElse(hn::Le(value, hn::Zero(d)), value);
  }
  if (kActivation == BatchNormActivation::kRelu6) {
    const auto six = hn::Set(d, 6.0f);
    value = hn::IfThenElse(hn::Ge(value, six), six, value);
  }
  return value;
}

// g, made zero where the activation of `value` has no slope.
template <BatchNormActivation kActivation, class D>
HWY_INLINE hn::Vec<D> Passed(D d, hn::Vec<D> value, hn::Vec<D> g) {
  if (kActivation != BatchNormActivation::kNone) g = hn::IfThenZeroElse(hn::Le(value, hn::Zero(d)), g);
  if (kActivation == BatchNormActivation::kRelu6) {
    g = hn::IfThenZeroElse(hn::Ge(value, hn::Set(d, 6.0f)), g);
  }
  return g;
}

// n consecutive columns, of one row. `residual` null for none.
template <BatchNormActivation kActivation, typename T>
HWY_INLINE void NormaliseRow(const T* HWY_RESTRICT x, const T* HWY_RESTRICT residual, size_t n,
                             const BatchNormColumns& columns, T* HWY_RESTRICT y) {
  const auto normalised = [&](auto d, size_t c) HWY_ATTR {
    return Normalised(d, hn::Sub(LoadFloats(d, x + c), hn::LoadU(d, columns.mean + c)), columns, c);
  };
  if (residual == nullptr) {
    ForVectors(n, [&](auto d, size_t c)
                      HWY_ATTR { StoreFloats(Activated<kActivation>(d, normalised(d, c)), d, y + c); });
  } else {
    ForVectors(n, [&](auto d, size_t c) HWY_ATTR {
      const auto sum = hn::Add(normalised(d, c), LoadFloats(d, residual + c));
      StoreFloats(Activated<kActivation>(d, sum), d, y + c);
    });
  }
}

// For each column: the sums of g and of g * (x - mean), where g = passed(d, x - mean, element, column).
template <typename T, class F>
HWY_INLINE void SumsBy(const T* HWY_RESTRICT x, size_t rows, size_t width, const BatchNormColumns& columns,
                       const F& passed, float* HWY_RESTRICT sum, float* HWY_RESTRICT product) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t c = 0; c < width; c += lanes) {
    hn::StoreU(hn::Zero(d), d, sum + c);
    hn::StoreU(hn::Zero(d), d, product + c);
  }
  size_t r = 0;
  for (; r + 2 <= rows; r += 2) {
    const size_t at = r * width;
    for (size_t c = 0; c < width; c += lanes) {
      const auto mean = hn::LoadU(d, columns.mean + c);
      const auto x0 = hn::Sub(LoadFloats(d, x + at + c), mean);
      const auto x1 = hn::Sub(LoadFloats(d, x + at + width + c), mean);
      const auto g0 = passed(d, x0, at + c, c);
      const auto g1 = passed(d, x1, at + width + c, c);
      const auto products = hn::Add(hn::Mul(g0, x0), hn::Mul(g1, x1));
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), hn::Add(g0, g1)), d, sum + c);
      hn::StoreU(hn::Add(hn::LoadU(d, product + c), products), d, product + c);
    }
  }
  for (; r < rows; ++r) {
    const size_t at = r * width;
    for (size_t c = 0; c < width; c += lanes) {
      const auto x0 = hn::Sub(LoadFloats(d, x + at + c), hn::LoadU(d, columns.mean + c));
      const auto g0 = passed(d, x0, at + c, c);
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), g0), d, sum + c);
      hn::StoreU(hn::Add(hn::LoadU(d, product + c), hn::Mul(g0, x0)), d, product + c);
    }
  }
}

template <BatchNormActivation kActivation, typename T>
void Sums(const T* HWY_RESTRICT x, const T* HWY_RESTRICT dy, size_t rows, size_t width,
          const BatchNormColumns& columns, float* HWY_RESTRICT sum, float* HWY_RESTRICT product) {
  const auto passed = [&](auto d, auto centred, size_t i, size_t c) HWY_ATTR {
    return Passed<kActivation>(d, Normalised(d, centred, columns, c), LoadFloats(d, dy + i));
  };
  SumsBy(x, rows, width, columns, passed, sum, product);
}

// The same by y, the activation's output, with g written to `to`.
template <BatchNormActivation kActivation, typename T>
void ResidualSums(const T* HWY_RESTRICT x, const T* HWY_RESTRICT y, const T* HWY_RESTRICT dy, size_t rows,
                  size_t width, const BatchNormColumns& columns, T* HWY_RESTRICT to, float* HWY_RESTRICT sum,
                  float* HWY_RESTRICT product) {
  const auto passed = [&](auto d, auto, size_t i, size_t) HWY_ATTR {
    const auto g = Passed<kActivation>(d, LoadFloats(d, y + i), LoadFloats(d, dy + i));
    StoreFloats(g, d, to + i);
    return g;
  };
  SumsBy(x, rows, width, columns, passed, sum, product);
}

template <BatchNormActivation kActivation, typename T>
HWY_INLINE void InputGradientRow(const T* HWY_RESTRICT x, const T* HWY_RESTRICT dy, size_t n,
                                 const BatchNormColumns& columns, T* HWY_RESTRICT dx) {
  ForVectors(n, [&](auto d, size_t c) HWY_ATTR {
    const auto centred = hn::Sub(LoadFloats(d, x + c), hn::LoadU(d, columns.mean + c));
    const auto passed = Passed<kActivation>(d, Normalised(d, centred, columns, c), LoadFloats(d, dy + c));
    const auto g = hn::Sub(passed, hn::LoadU(d, columns.mean_dy + c));
    const auto gradient = hn::Sub(hn::Mul(g, hn::LoadU(d, columns.scale + c)),
                                  hn::Mul(centred, hn::LoadU(d, columns.slope + c)));
    StoreFloats(gradient, d, dx + c);
  });
}

// Calls f(std::integral_constant) for an activation.
template <class F>
HWY_INLINE void VisitActivation(BatchNormActivation activation, const F& f) {
  using A = BatchNormActivation;
  if (activation == A::kRelu) return f(std::integral_constant<A, A::kRelu>());
  if (activation == A::kRelu6) return f(std::integral_constant<A, A::kRelu6>());
  f(std::integral_constant<A, A::kNone>());
}

void MomentsOf(DType dtype, const void* x, size_t rows, size_t width, float* pivot, float* sum,
               float* square) {
  VisitStorage(dtype, [=](auto type) HWY_ATTR {
    Moments(static_cast<const decltype(type)*>(x), rows, width, pivot, sum, square);
  });
}

// n elements from the beginning of a row of `width` on.
void NormaliseOf(DType dtype, BatchNormActivation activation, const void* x, const void* residual, size_t n,
                 size_t width, const BatchNormColumns& columns, void* y) {
  VisitStorage(dtype, [=, &columns](auto type) HWY_ATTR {
    using T = decltype(type);
    const T* px = static_cast<const T*>(x);
    const T* pr = static_cast<const T*>(residual);
    T* py = static_cast<T*>(y);
    VisitActivation(activation, [=, &columns](auto constant) HWY_ATTR {
      for (size_t i = 0; i < n; i += width) {
        NormaliseRow<decltype(constant)::value>(px + i, pr == nullptr ? nullptr : pr + i,
                                                HWY_MIN(width, n - i), columns, py + i);
      }
    });
  });
}

void SumsOf(DType dtype, BatchNormActivation activation, const void* x, const void* dy, size_t rows,
            size_t width, const BatchNormColumns& columns, float* sum, float* product) {
  VisitStorage(dtype, [=, &columns](auto type) HWY_ATTR {
    using T = decltype(type);
    VisitActivation(activation, [=, &columns](auto constant) HWY_ATTR {
      Sums<decltype(constant)::value>(static_cast<const T*>(x), static_cast<const T*>(dy), rows, width,
                                      columns, sum, product);
    });
  });
}

void ResidualSumsOf(DType dtype, BatchNormActivation activation, const void* x, const void* y, const void* dy,
                    size_t rows, size_t width, const BatchNormColumns& columns, void* passed, float* sum,
                    float* product) {
  VisitStorage(dtype, [=, &columns](auto type) HWY_ATTR {
    using T = decltype(type);
    VisitActivation(activation, [=, &columns](auto constant) HWY_ATTR {
      ResidualSums<decltype(constant)::value>(static_cast<const T*>(x), static_cast<const T*>(y),
                                              static_cast<const T*>(dy), rows, width, columns,
                                              static_cast<T*>(passed), sum, product);
    });
  });
}

void InputGradientOf(DType dtype, BatchNormActivation activation, const void* x, const void* dy, size_t n,
                     size_t width, const BatchNormColumns& columns, void* dx) {
  VisitStorage(dtype, [=, &columns](auto type) HWY_ATTR {
    using T = decltype(type);
    const T* px = static_cast<const T*>(x);
    const T* pdy = static_cast<const T*>(dy);
    T* pdx = static_cast<T*>(dx);
    VisitActivation(activation, [=, &columns](auto constant) HWY_ATTR {
      for (size_t i = 0; i < n; i += width) {
        InputGradientRow<decltype(constant)::value>(px + i, pdy + i, HWY_MIN(width, n - i), columns, pdx + i);
      }
    });
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <numeric>

#include "base/parallel.h"

namespace halftone::ops {
namespace {

HWY_EXPORT(MomentsOf);
HWY_EXPORT(NormaliseOf);
HWY_EXPORT(SumsOf);
HWY_EXPORT(ResidualSumsOf);
HWY_EXPORT(InputGradientOf);

// How [rows, C] is cut: into wide rows of `width` = k * C, these into blocks; `rest` elements are left.
struct Cut {
  explicit Cut(const BatchNormProblem& p) : channels(p.channels) {
    size_t k = 16 / std::gcd<size_t>(16, channels);
    while (k * channels < 64) k *= 2;
    width = k * channels;
    rows = p.rows / k;
    rest = p.rows % k * channels;
    block =
        std::max<size_t>(64, (1 << 14) / width);  // some 64 KiB of float, which the second-level cache holds
    blocks = (rows + block - 1) / block;
  }

  size_t channels, width, rows, rest, block, blocks;
};

// values[c % C] for the columns of a wide row.
std::vector<float> Widen(const Cut& cut, const std::vector<double>& values) {
  std::vector<float> wide(cut.width);
  for (size_t c = 0; c < cut.width; ++c) wide[c] = static_cast<float>(values[c % cut.channels]);
  return wide;
}

const void* At(const BatchNormProblem& p, const void* data, size_t i) {
  return static_cast<const char*>(data) + i * SizeOf(p.dtype);
}
void* At(const BatchNormProblem& p, void* data, size_t i) {
  return static_cast<char*>(data) + i * SizeOf(p.dtype);
}

// The `rest`, as a row of float.
std::vector<float> RestOf(const BatchNormProblem& p, const Cut& cut, const void* data) {
  std::vector<float> rest(cut.rest);
  VisitFloat(p.dtype, [&](auto type) {
    const auto* from = static_cast<const decltype(type)*>(data) + cut.rows * cut.width;
    std::transform(from, from + cut.rest, rest.begin(), [](auto v) { return static_cast<float>(v); });
  });
  return rest;
}

BatchNormMoments SimdMoments(const BatchNormProblem& p, const void* x) {
  const Cut cut(p);
  const size_t width = cut.width, channels = cut.channels;
  std::vector<float> pivot(cut.blocks * width), sum(cut.blocks * width), square(cut.blocks * width);
  ParallelForBlocks(cut.rows, cut.block, [&](size_t b, size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(MomentsOf)
    (p.dtype, At(p, x, begin * width), end - begin, width, &pivot[b * width], &sum[b * width],
     &square[b * width]);
  });
  const std::vector<float> rest = RestOf(p, cut, x);

  // n * mean = sum of pivot * n_b + sum_b;  n * variance = sum of square_b - sum_b^2 / n_b + n_b * (mean_b -
  // mean)^2.
  BatchNormMoments moments = {.mean = std::vector<double>(channels),
                              .variance = std::vector<double>(channels)};
  const auto each_column = [&](auto&& add) {
    for (size_t b = 0; b < cut.blocks; ++b) {
      const double n = static_cast<double>(std::min(cut.rows, (b + 1) * cut.block) - b * cut.block);
      for (size_t first = 0; first < width; first += channels) {
        for (size_t c = 0; c < channels; ++c) {
          const size_t i = b * width + first + c;
          add(c, n, pivot[i] + sum[i] / n, square[i] - static_cast<double>(sum[i]) * sum[i] / n);
        }
      }
    }
    for (size_t i = 0; i < rest.size(); ++i) add(i % channels, 1.0, rest[i], 0.0);
  };
  each_column([&](size_t c, double n, double mean, double) { moments.mean[c] += n * mean; });
  for (double& mean : moments.mean) mean /= static_cast<double>(p.rows);
  each_column([&](size_t c, double n, double mean, double squares) {
    const double apart = mean - moments.mean[c];
    moments.variance[c] += squares + n * apart * apart;
  });
  // Rounding may leave a little less than nothing (a NaN stays).
  for (double& v : moments.variance) v = v < 0 ? 0 : v / static_cast<double>(p.rows);
  return moments;
}

// The sums of all blocks, by channel.
BatchNormSums AddUp(const Cut& cut, const std::vector<float>& sum, const std::vector<float>& product) {
  BatchNormSums sums = {.dy = std::vector<double>(cut.channels), .dy_x = std::vector<double>(cut.channels)};
  for (size_t i = 0; i < sum.size(); i += cut.channels) {
    for (size_t c = 0; c < cut.channels; ++c) {
      sums.dy[c] += sum[i + c];
      sums.dy_x[c] += product[i + c];
    }
  }
  return sums;
}

bool Passes(BatchNormActivation activation, float value) {
  if (activation == BatchNormActivation::kNone) return true;
  return !(value <= 0) && !(activation == BatchNormActivation::kRelu6 && value >= 6);
}

BatchNormSums SimdSums(const BatchNormProblem& p, const void* x, const void* dy,
                       const BatchNormAffine& affine) {
  const Cut cut(p);
  const size_t width = cut.width, channels = cut.channels;
  const std::vector<float> mean = Widen(cut, affine.mean), scale = Widen(cut, affine.scale),
                           shift = Widen(cut, affine.shift);
  const BatchNormColumns columns = {.mean = mean.data(), .scale = scale.data(), .shift = shift.data()};
  std::vector<float> sum(cut.blocks * width), product(cut.blocks * width);
  ParallelForBlocks(cut.rows, cut.block, [&](size_t b, size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(SumsOf)
    (p.dtype, p.activation, At(p, x, begin * width), At(p, dy, begin * width), end - begin, width, columns,
     &sum[b * width], &product[b * width]);
  });

  BatchNormSums sums = AddUp(cut, sum, product);
  const std::vector<float> rest = RestOf(p, cut, x), rest_dy = RestOf(p, cut, dy);
  for (size_t i = 0; i < rest.size(); ++i) {
    const float centred = rest[i] - mean[i];
    if (!Passes(p.activation, centred * scale[i] + shift[i])) continue;
    sums.dy[i % channels] += rest_dy[i];
    sums.dy_x[i % channels] += rest_dy[i] * centred;
  }
  return sums;
}

BatchNormSums SimdResidualSums(const BatchNormProblem& p, const void* x, const void* y, const void* dy,
                               const BatchNormAffine& affine, void* passed) {
  const Cut cut(p);
  const size_t width = cut.width, channels = cut.channels;
  const std::vector<float> mean = Widen(cut, affine.mean);
  const BatchNormColumns columns = {.mean = mean.data()};
  std::vector<float> sum(cut.blocks * width), product(cut.blocks * width);
  ParallelForBlocks(cut.rows, cut.block, [&](size_t b, size_t begin, size_t end) {
    const size_t at = begin * width;
    HWY_DYNAMIC_DISPATCH(ResidualSumsOf)
    (p.dtype, p.activation, At(p, x, at), At(p, y, at), At(p, dy, at), end - begin, width, columns,
     At(p, passed, at), &sum[b * width], &product[b * width]);
  });

  BatchNormSums sums = AddUp(cut, sum, product);
  const std::vector<float> rest = RestOf(p, cut, x), rest_y = RestOf(p, cut, y), rest_dy = RestOf(p, cut, dy);
  for (size_t i = 0; i < rest.size(); ++i) {
    const float g = Passes(p.activation, rest_y[i]) ? rest_dy[i] : 0;
    VisitFloat(p.dtype, [&](auto type) {
      using T = decltype(type);
      static_cast<T*>(passed)[cut.rows * width + i] = T(g);
    });
    sums.dy[i % channels] += g;
    sums.dy_x[i % channels] += g * (rest[i] - mean[i]);
  }
  return sums;
}

// Calls body(begin, end) for ranges of elements that begin where a wide row does. Each thread goes from the
// end to the beginning: what the pass before read last is still in the cache.
void ForRows(const BatchNormProblem& p, const Cut& cut, absl::FunctionRef<void(size_t, size_t)> body) {
  const size_t grain = std::max<size_t>(1, (1 << 14) / cut.width) * cut.width;
  ParallelFor(p.rows * p.channels, grain, [&](size_t begin, size_t end) {
    while (begin < end) {
      const size_t last = begin + (end - begin - 1) / grain * grain;
      body(last, end);
      end = last;
    }
  });
}

void SimdNormalise(const BatchNormProblem& p, const void* x, const void* residual,
                   const BatchNormAffine& affine, void* y) {
  const Cut cut(p);
  const std::vector<float> mean = Widen(cut, affine.mean), scale = Widen(cut, affine.scale),
                           shift = Widen(cut, affine.shift);
  const BatchNormColumns columns = {.mean = mean.data(), .scale = scale.data(), .shift = shift.data()};
  ForRows(p, cut, [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(NormaliseOf)
    (p.dtype, p.activation, At(p, x, begin), residual == nullptr ? nullptr : At(p, residual, begin),
     end - begin, cut.width, columns, At(p, y, begin));
  });
}

void SimdInputGradient(const BatchNormProblem& p, const void* x, const void* dy,
                       const BatchNormAffine& affine, const BatchNormInputGradient& coefficients, void* dx) {
  const Cut cut(p);
  const std::vector<float> mean = Widen(cut, affine.mean), scale = Widen(cut, affine.scale),
                           shift = Widen(cut, affine.shift), mean_dy = Widen(cut, coefficients.mean_dy),
                           slope = Widen(cut, coefficients.slope);
  const BatchNormColumns columns = {.mean = mean.data(),
                                    .scale = scale.data(),
                                    .shift = shift.data(),
                                    .mean_dy = mean_dy.data(),
                                    .slope = slope.data()};
  ForRows(p, cut, [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(InputGradientOf)
    (p.dtype, p.activation, At(p, x, begin), At(p, dy, begin), end - begin, cut.width, columns,
     At(p, dx, begin));
  });
}

}  // namespace

const BatchNormImplementation kSimdBatchNorm = {.name = "simd",
                                                .supports = [](DType dtype) { return dtype != DType::kF64; },
                                                .moments = SimdMoments,
                                                .normalise = SimdNormalise,
                                                .sums = SimdSums,
                                                .residual_sums = SimdResidualSums,
                                                .input_gradient = SimdInputGradient};

}  // namespace halftone::ops
#endif  // HWY_ONCE
