#include "tensor/ops/attention/softmax_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/attention/softmax_rows.cc"
#include <limits>
#include <type_traits>
#include <vector>

#include "hwy/foreach_target.h"  // must come before highway.h

#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"
#include "tensor/ops/simd/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

// A sum of the n floats of f(d, i) in sixteen parts, of which element i goes to part i % 16: the same for
// vectors of any length.
template <class F>
HWY_INLINE float Sum(size_t n, const F& f) {
  constexpr size_t kParts = 16;
  const FloatTag d;
  const size_t lanes = hn::Lanes(d), whole = n / kParts * kParts;
  HWY_ALIGN float parts[kParts];
  for (size_t part = 0; part < kParts; part += lanes) {
    auto sum = hn::Zero(d);
    for (size_t i = part; i < whole; i += kParts) sum = hn::Add(sum, f(d, i));
    hn::Store(sum, d, parts + part);
  }
  const OneFloatTag d1;
  for (size_t i = whole; i < n; ++i) parts[i - whole] += hn::GetLane(f(d1, i));
  double total = 0;
  for (const float part : parts) total += part;
  return static_cast<float>(total);
}

// `from` rounded to Stored, as floats.
template <typename Stored, typename T>
HWY_INLINE void LoadRounded(const T* HWY_RESTRICT from, size_t n, Stored* HWY_RESTRICT between,
                            float* HWY_RESTRICT to) {
  if constexpr (std::is_same_v<T, float> && !std::is_same_v<Stored, float>) {
    ForVectors(n, [&](auto d, size_t i) HWY_ATTR { StoreFloats(LoadFloats(d, from + i), d, between + i); });
    ForVectors(n, [&](auto d, size_t i) HWY_ATTR { hn::StoreU(LoadFloats(d, between + i), d, to + i); });
  } else {
    ForVectors(n, [&](auto d, size_t i) HWY_ATTR { hn::StoreU(LoadFloats(d, from + i), d, to + i); });
  }
}

// A row's working memory, for one thread.
template <typename Stored>
struct Scratch {
  explicit Scratch(size_t n) : floats(n), stored(n), bits(n) {}

  std::vector<float> floats;
  std::vector<Stored> stored;
  std::vector<uint32_t> bits;
};

template <typename Stored, typename Computed>
void ForwardRow(const Computed* scores, size_t n, const int64_t* mask, Scratch<Stored>& scratch,
                Stored* probabilities) {
  float* x = scratch.floats.data();
  LoadRounded(scores, n, scratch.stored.data(), x);
  const auto infinity = std::numeric_limits<float>::infinity();
  if (mask != nullptr) {
    for (size_t i = 0; i < n; ++i) {
      if (mask[i] == 0) x[i] = -infinity;
    }
  }
  // The greatest, or a NaN if there is one: then all of the row is NaN.
  const FloatTag d;
  auto greatest = hn::Set(d, -infinity);
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) greatest = hn::Max(greatest, hn::LoadU(d, x + i));
  float max = hn::GetLane(hn::MaxOfLanes(d, greatest));
  for (; i < n; ++i) max = x[i] > max ? x[i] : max;
  if (max == -infinity && mask != nullptr) max = 0;  // no key at all: exp(-infinity) is 0 for each

  ForVectors(n, [&](auto d1, size_t j) HWY_ATTR {
    hn::StoreU(ExpOfNegative(d1, hn::Sub(hn::LoadU(d1, x + j), hn::Set(d1, max))), d1, x + j);
  });
  const float sum = Sum(n, [&](auto d1, size_t j) HWY_ATTR { return hn::LoadU(d1, x + j); });
  const float factor = sum == 0 ? 0 : 1 / sum;
  ForVectors(n, [&](auto d1, size_t j) HWY_ATTR {
    StoreFloats(hn::Mul(hn::LoadU(d1, x + j), hn::Set(d1, factor)), d1, probabilities + j);
  });
}

// The dropout of a row's entries, the first of which has the index `first` in the whole tensor.
struct RowDropout {
  double p;
  const Rng& stream;
  uint64_t first;
};

// Loads n numbers, rounded to Stored, into scratch.floats: each times 1 / (1 - p), or 0.
template <typename Stored, typename T>
float* LoadDropped(const T* from, size_t n, const RowDropout& dropout, Scratch<Stored>& scratch) {
  float* x = scratch.floats.data();
  LoadRounded(from, n, scratch.stored.data(), x);
  if (dropout.p == 0) return x;
  dropout.stream.Fill(dropout.first, scratch.bits.data(), n);
  const auto threshold = static_cast<float>(dropout.p), scale = static_cast<float>(1 / (1 - dropout.p));
  for (size_t i = 0; i < n; ++i) x[i] = Rng::ToUniform(scratch.bits[i]) < threshold ? 0 : x[i] * scale;
  return x;
}

// Stores f(d, i) through Stored, also where the products take floats.
template <typename Stored, typename Computed, class F>
HWY_INLINE void StoreRounded(size_t n, Scratch<Stored>& scratch, Computed* to, const F& f) {
  Stored* between = scratch.stored.data();
  ForVectors(n, [&](auto d, size_t i) HWY_ATTR { StoreFloats(f(d, i), d, between + i); });
  ForVectors(n, [&](auto d, size_t i) HWY_ATTR { StoreFloats(LoadFloats(d, between + i), d, to + i); });
}

template <typename Stored, typename Computed>
void DropoutRow(const Stored* probabilities, size_t n, const RowDropout& dropout, Scratch<Stored>& scratch,
                Computed* kept) {
  const float* x = LoadDropped(probabilities, n, dropout, scratch);
  StoreRounded(n, scratch, kept, [&](auto d, size_t i) HWY_ATTR { return hn::LoadU(d, x + i); });
}

template <typename Stored, typename Computed>
void BackwardRow(const Stored* p, size_t n, const RowDropout& dropout, Scratch<Stored>& scratch,
                 Computed* gradient) {
  const float* g = LoadDropped(gradient, n, dropout, scratch);
  const float across =
      Sum(n, [&](auto d, size_t i) HWY_ATTR { return hn::Mul(hn::LoadU(d, g + i), LoadFloats(d, p + i)); });
  StoreRounded(n, scratch, gradient, [&](auto d, size_t i) HWY_ATTR {
    return hn::Mul(LoadFloats(d, p + i), hn::Sub(hn::LoadU(d, g + i), hn::Set(d, across)));
  });
}

// Calls f(first, computed, scratch) for each row: the index of its first number in `rows` of them, a value of
// the dtype of the products, and memory of the dtype of the probabilities.
template <class F>
HWY_INLINE void ForRows(const SoftmaxRows& r, const F& f) {
  VisitStorage(r.stored, [&](auto stored) HWY_ATTR {
    Scratch<decltype(stored)> scratch(r.n);
    const auto rows = [&](auto computed) HWY_ATTR {
      for (size_t i = 0; i < r.rows; ++i) f(i * r.n, computed, scratch);
    };
    if (r.computed == r.stored) return rows(stored);
    HALFTONE_CHECK(r.computed == DType::kF32);
    rows(float());
  });
}

}  // namespace

void ForwardAll(const SoftmaxRows& r, const void* scores, const int64_t* mask, void* probabilities) {
  ForRows(r, [&]<typename Computed, typename Stored>(size_t at, Computed, Scratch<Stored>& scratch) HWY_ATTR {
    ForwardRow(static_cast<const Computed*>(scores) + at, r.n, mask, scratch,
               static_cast<Stored*>(probabilities) + at);
  });
}

void DropoutAll(const SoftmaxRows& r, const void* probabilities, double dropout, const Rng& stream,
                uint64_t first, void* kept) {
  ForRows(r, [&]<typename Computed, typename Stored>(size_t at, Computed, Scratch<Stored>& scratch) HWY_ATTR {
    DropoutRow(static_cast<const Stored*>(probabilities) + at, r.n, {dropout, stream, first + at}, scratch,
               static_cast<Computed*>(kept) + at);
  });
}

void BackwardAll(const SoftmaxRows& r, const void* probabilities, double dropout, const Rng& stream,
                 uint64_t first, void* gradient) {
  ForRows(r, [&]<typename Computed, typename Stored>(size_t at, Computed, Scratch<Stored>& scratch) HWY_ATTR {
    BackwardRow(static_cast<const Stored*>(probabilities) + at, r.n, {dropout, stream, first + at}, scratch,
                static_cast<Computed*>(gradient) + at);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone::ops {
namespace {

HWY_EXPORT(ForwardAll);
HWY_EXPORT(DropoutAll);
HWY_EXPORT(BackwardAll);

}  // namespace

void ForwardSoftmaxRows(const SoftmaxRows& r, const void* scores, const int64_t* mask, void* probabilities) {
  HWY_DYNAMIC_DISPATCH(ForwardAll)(r, scores, mask, probabilities);
}

void DropoutRows(const SoftmaxRows& r, const void* probabilities, double dropout, const Rng& stream,
                 uint64_t first, void* kept) {
  HWY_DYNAMIC_DISPATCH(DropoutAll)(r, probabilities, dropout, stream, first, kept);
}

void BackwardSoftmaxRows(const SoftmaxRows& r, const void* probabilities, double dropout, const Rng& stream,
                         uint64_t first, void* gradient) {
  HWY_DYNAMIC_DISPATCH(BackwardAll)(r, probabilities, dropout, stream, first, gradient);
}

}  // namespace halftone::ops
#endif  // HWY_ONCE
