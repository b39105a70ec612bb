#include "quant/codebook_kernels.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/codebook_kernels.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using CodeTag = hn::RebindToSigned<FloatTag>;
using ByteTag = hn::Rebind<uint8_t, FloatTag>;
using Floats = hn::Vec<FloatTag>;
using Codes = hn::Vec<CodeTag>;

struct Found {
  Codes code;
  Floats value;
};

// Ways to find the nearest of at most kSize values.

// One comparison for each threshold.
template <int kTreeSize>
class Chain {
 public:
  static constexpr int kSize = kTreeSize;
  explicit Chain(const CodebookSearch& search) {
    std::copy_n(search.values.begin(), kSize, values_);
    std::copy_n(search.thresholds.begin(), kSize - 1, thresholds_);
  }
  HWY_INLINE Found Find(Floats q) const {
    const FloatTag d;
    const CodeTag di;
    Found found = {hn::Zero(di), hn::Set(d, values_[0])};
    for (int j = 1; j < kSize; ++j) {
      const auto above = hn::Gt(q, hn::Set(d, thresholds_[j - 1]));
      found.code = hn::IfThenElse(hn::RebindMask(di, above), hn::Set(di, j), found.code);
      found.value = hn::IfThenElse(above, hn::Set(d, values_[j]), found.value);
    }
    return found;
  }

 private:
  float values_[kSize], thresholds_[kSize - 1];
};

// Tables of so many vectors are looked up in registers; a larger one in memory, a gather, which is slower.
constexpr size_t kTableVectors = 4;

// table[index] for index < kEntries, a power of two.
template <size_t kEntries>
HWY_INLINE Floats Lookup(const float* table, Codes index) {
  constexpr size_t kLanes = hn::MaxLanes(FloatTag());
  const FloatTag d;
  const CodeTag di;
  if constexpr (kEntries <= kLanes) {
    return hn::TableLookupLanes(hn::LoadU(d, table), hn::IndicesFromVec(d, index));
  } else if constexpr (kEntries <= kTableVectors * kLanes && kLanes > 1) {
    const Codes half = hn::Set(di, kEntries / 2), rest = hn::AndNot(half, index);
    const auto upper = hn::RebindMask(d, hn::TestBit(index, half));
    return hn::IfThenElse(upper, Lookup<kEntries / 2>(table + kEntries / 2, rest),
                          Lookup<kEntries / 2>(table, rest));
  } else {
    return hn::GatherIndex(d, table, index);
  }
}

// A binary search: one comparison for each bit of the code, whatever the values and the data.
template <int kTreeSize>
class Tree {
 public:
  static constexpr int kSize = kTreeSize;
  explicit Tree(const CodebookSearch& search) : tree_(search.tree.data()), values_(search.values.data()) {}
  HWY_INLINE Found Find(Floats q) const {
    const Codes code = hn::Sub(Descend<1>(q, hn::Set(CodeTag(), 1)), hn::Set(CodeTag(), kSize));
    return {code, Lookup<kSize>(values_, code)};
  }

 private:
  // From the kLevel nodes of a level to the leaves.
  template <int kLevel>
  HWY_INLINE Codes Descend(Floats q, Codes node) const {
    constexpr int kLanes = hn::MaxLanes(FloatTag());
    const CodeTag di;
    if constexpr (kLevel == kSize) {
      return node;
    } else {
      Floats threshold;
      if constexpr (2 * kLevel <= kLanes) {
        threshold = Lookup<kLanes>(tree_, node);  // this level and those above it are one vector
      } else {
        threshold = Lookup<kLevel>(tree_ + kLevel, hn::Sub(node, hn::Set(di, kLevel)));
      }
      const Codes left = hn::Add(node, node), right = hn::Add(left, hn::Set(di, 1));
      const auto above = hn::RebindMask(di, hn::Gt(q, threshold));
      return Descend<2 * kLevel>(q, hn::IfThenElse(above, right, left));
    }
  }

  const float* tree_;
  const float* values_;
};

// See CodebookSearch::buckets.
template <int kTreeSize>
class Buckets {
 public:
  static constexpr int kSize = kTreeSize;
  explicit Buckets(const CodebookSearch& search)
      : values_(search.values.data()),
        buckets_(search.buckets.data() + search.buckets.size() / 2),
        lowest_(search.lowest),
        highest_(search.highest),
        shift_(search.shift) {}
  HWY_INLINE Found Find(Floats q) const {
    const CodeTag di;
    const Codes lowest = hn::Set(di, lowest_), highest = hn::Set(di, highest_);
    const Codes bits = hn::And(hn::BitCast(di, q), hn::Set(di, 0x7fffffff));
    const Codes magnitude = hn::Sub(hn::Min(hn::Max(bits, lowest), highest), lowest);
    // Its complement where q is not above 0.
    const auto above = hn::RebindMask(di, hn::Gt(q, hn::Zero(FloatTag())));
    const Codes key = hn::IfThenElse(above, magnitude, hn::Not(magnitude));
    const Codes bucket = hn::GatherIndex(di, buckets_, hn::ShiftRightSame(key, shift_));
    const Codes in_bucket = hn::And(key, hn::Set(di, (1 << shift_) - 1));
    const Codes code = hn::ShiftRightSame(hn::Add(bucket, in_bucket), shift_);
    return {code, Lookup<kSize>(values_, code)};
  }

 private:
  const float* values_;
  const int32_t* buckets_;
  int32_t lowest_, highest_;
  int shift_;
};

template <int kSize, class Body>
HWY_INLINE void WithSize(const CodebookSearch& search, const Body& body) {
  if constexpr (kSize <= 4 || (kSize <= 16 && hn::MaxLanes(FloatTag()) < 8)) {
    body(Chain<kSize>(search));
  } else if constexpr (kSize <= 16) {
    body(Tree<kSize>(search));
  } else if (search.buckets.empty()) {
    body(Tree<kSize>(search));
  } else {
    body(Buckets<kSize>(search));
  }
}

// Calls body with the way for this codebook.
template <class Body>
HWY_INLINE void WithWay(const CodebookSearch& search, const Body& body) {
  switch (search.tree_size) {
    case 4:
      return WithSize<4>(search, body);
    case 8:
      return WithSize<8>(search, body);
    case 16:
      return WithSize<16>(search, body);
    case 64:
      return WithSize<64>(search, body);
    default:
      return WithSize<CodebookSearch::kMaxSize>(search, body);
  }
}

HWY_INLINE Floats LoadVector(const float* from) { return hn::LoadU(FloatTag(), from); }
HWY_INLINE Codes LoadVector(const uint8_t* from) {
  return hn::PromoteTo(CodeTag(), hn::LoadU(ByteTag(), from));
}
HWY_INLINE void StoreVector(Floats v, float* to) { hn::StoreU(v, FloatTag(), to); }
HWY_INLINE void StoreVector(Codes v, uint8_t* to) { hn::StoreU(hn::DemoteTo(ByteTag(), v), ByteTag(), to); }

// How many elements there are before the first whose vector is aligned, as Stream needs it.
HWY_INLINE size_t UntilAligned(const float* to) {
  const size_t lanes = hn::Lanes(FloatTag());
  return (lanes - reinterpret_cast<uintptr_t>(to) / sizeof(float) % lanes) % lanes;
}

// to[i] = f(from[i]). The rest of a vector is one too, filled up with zeros; `from` and `to` may be the same.
template <typename From, typename To, class F>
HWY_INLINE void Map(const From* from, To* to, size_t n, bool stream, const F& f) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  const auto part = [&](size_t begin, size_t end) HWY_ATTR {
    From few[hn::MaxLanes(d)] = {};
    To results[hn::MaxLanes(d)];
    std::copy(from + begin, from + end, few);
    StoreVector(f(LoadVector(few)), results);
    std::copy_n(results, end - begin, to + begin);
  };
  size_t i = 0;
  if constexpr (sizeof(To) == sizeof(float)) {
    if (stream) {
      i = std::min(n, UntilAligned(to));
      if (i > 0) part(0, i);
      for (; i + lanes <= n; i += lanes) hn::Stream(f(LoadVector(from + i)), d, to + i);
      hwy::FlushStream();
    }
  }
  for (; i + lanes <= n; i += lanes) StoreVector(f(LoadVector(from + i)), to + i);
  if (i < n) part(i, n);
}

HWY_INLINE hn::Mask<FloatTag> Finite(Floats x) {
  return hn::Lt(hn::Abs(x), hn::Set(FloatTag(), std::numeric_limits<float>::infinity()));
}

// Elements that go through buffers at a time, so that these stay in the first level's cache.
constexpr size_t kChunk = 1024;

// A vector may go beyond the chunk.
struct Buffers {
  uint8_t codes[kChunk + hn::MaxLanes(FloatTag())];
  float gradients[kChunk + hn::MaxLanes(FloatTag())];  // dy where x is finite, else 0
  float terms[kChunk + hn::MaxLanes(FloatTag())];      // of the scale's gradient
};

// dx of a chunk, and the buffers.
template <class Way>
HWY_INLINE void BackwardChunk(const Way& way, const CodebookSearch& search, const BackwardPieceArguments& a,
                              size_t begin, size_t n, Buffers& buffers) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  const Floats scale = hn::Set(d, a.scale), first = hn::Set(d, search.values.front() * a.scale),
               last = hn::Set(d, search.values.back() * a.scale);
  const float* x = a.x + begin;
  const float* dy = a.dy + begin;
  float* dx = a.dx + begin;
  const auto at = [&](size_t i, Floats x_here, Floats dy_here) HWY_ATTR {
    const Floats q = hn::Div(x_here, scale), g = hn::IfThenElseZero(Finite(x_here), dy_here);
    const auto inside = hn::And(hn::Ge(x_here, first), hn::Le(x_here, last));
    if (a.value_sums != nullptr || a.wants_scale) {
      const Found found = way.Find(q);
      StoreVector(found.code, buffers.codes + i);
      StoreVector(g, buffers.gradients + i);
      const Floats error = hn::Sub(found.value, hn::IfThenElseZero(inside, q));
      StoreVector(hn::Mul(g, error), buffers.terms + i);
    }
    return hn::IfThenElseZero(inside, g);
  };
  const auto part = [&](size_t from, size_t to) HWY_ATTR {
    float few_x[hn::MaxLanes(d)] = {}, few_dy[hn::MaxLanes(d)] = {}, few_dx[hn::MaxLanes(d)];
    std::copy(x + from, x + to, few_x);
    std::copy(dy + from, dy + to, few_dy);
    StoreVector(at(from, LoadVector(few_x), LoadVector(few_dy)), few_dx);
    std::copy_n(few_dx, to - from, dx + from);
  };
  size_t i = 0;
  if (a.stream) {
    i = std::min(n, UntilAligned(dx));
    if (i > 0) part(0, i);
    for (; i + lanes <= n; i += lanes) hn::Stream(at(i, LoadVector(x + i), LoadVector(dy + i)), d, dx + i);
  }
  for (; i + lanes <= n; i += lanes) StoreVector(at(i, LoadVector(x + i), LoadVector(dy + i)), dx + i);
  if (i < n) part(i, n);
}

// Adds gradients[i] * scale to the numbers i % kSumLanes of sums: the lanes keep an addition from waiting for
// the one before where neighbours have the same code. A product of floats is exact in double.
void AddToValues(const uint8_t* codes, const float* gradients, size_t n, double scale, double* sums) {
  size_t i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes) {
    for (size_t lane = 0; lane < kSumLanes; ++lane) {
      sums[codes[i + lane] * kSumLanes + lane] += gradients[i + lane] * scale;
    }
  }
  for (size_t lane = 0; i + lane < n; ++lane) {
    sums[codes[i + lane] * kSumLanes + lane] += gradients[i + lane] * scale;
  }
}

// Numbers that are added together in vectors, element i to number i % kTermLanes, so that neither their width
// nor the instruction set matters. Buffers are filled up to a multiple of it with zeros.
constexpr size_t kTermLanes = 16;
static_assert(kChunk % kTermLanes == 0 && kTermLanes % hn::MaxLanes(FloatTag()) == 0);

// As AddToValues, for few values: a masked vector sum for each. Within a chunk the sums are floats, each of
// at most kChunk / kTermLanes elements.
template <int kSize>
HWY_INLINE void AddToFewValues(const uint8_t* codes, const float* gradients, size_t n, double scale,
                               double* sums) {
  const FloatTag d;
  const CodeTag di;
  float chunk_sums[4][kTermLanes];
  for (int j = 0; j < kSize; j += 4) {
    for (size_t lane = 0; lane < kTermLanes; lane += hn::Lanes(d)) {
      Floats sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
      for (size_t i = lane; i < n; i += kTermLanes) {
        const Floats g = LoadVector(gradients + i);
        const Codes code = LoadVector(codes + i);
        const auto of_code = [&](int wanted) HWY_ATTR {
          return hn::IfThenElseZero(hn::RebindMask(d, hn::Eq(code, hn::Set(di, wanted))), g);
        };
        sum0 = hn::Add(sum0, of_code(j));
        sum1 = hn::Add(sum1, of_code(j + 1));
        sum2 = hn::Add(sum2, of_code(j + 2));
        sum3 = hn::Add(sum3, of_code(j + 3));
      }
      StoreVector(sum0, chunk_sums[0] + lane);
      StoreVector(sum1, chunk_sums[1] + lane);
      StoreVector(sum2, chunk_sums[2] + lane);
      StoreVector(sum3, chunk_sums[3] + lane);
    }
    for (size_t k = 0; k < 4; ++k) {
      for (size_t lane = 0; lane < kTermLanes; ++lane) {
        sums[(j + k) * kSumLanes + lane % kSumLanes] += chunk_sums[k][lane] * scale;
      }
    }
  }
}

// Adds terms[i] to sums[i % kTermLanes].
HWY_INLINE void AddTerms(const float* terms, size_t n, double* sums) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  for (size_t lane = 0; lane < kTermLanes; lane += hn::Lanes(d)) {
    auto sum = hn::LoadU(d, sums + lane);
    for (size_t i = lane; i < n; i += kTermLanes) {
      sum = hn::Add(sum, hn::PromoteTo(d, hn::LoadU(narrow, terms + i)));
    }
    hn::StoreU(sum, d, sums + lane);
  }
}

}  // namespace

void FakeQuantizeVectors(const CodebookSearch& search, float scale, const float* x, float* y, size_t n,
                         bool stream) {
  WithWay(search, [&](const auto& way) HWY_ATTR {
    Map(x, y, n, stream, [&](Floats v) HWY_ATTR {
      const Floats s = hn::Set(FloatTag(), scale);
      return hn::IfThenElse(Finite(v), hn::Mul(way.Find(hn::Div(v, s)).value, s), v);
    });
  });
}

void QuantizeVectors(const CodebookSearch& search, float scale, const float* x, uint8_t* codes, size_t n) {
  const Codes zero = hn::Set(CodeTag(), search.Nearest(0));
  WithWay(search, [&](const auto& way) HWY_ATTR {
    Map(x, codes, n, /*stream=*/false, [&](Floats v) HWY_ATTR {
      const auto is_number = hn::RebindMask(CodeTag(), hn::Eq(v, v));
      return hn::IfThenElse(is_number, way.Find(hn::Div(v, hn::Set(FloatTag(), scale))).code, zero);
    });
  });
}

void DequantizeVectors(const CodebookSearch& search, float scale, const uint8_t* codes, float* y, size_t n,
                       bool stream) {
  WithWay(search, [&](const auto& way) HWY_ATTR {
    constexpr int kSize = std::decay_t<decltype(way)>::kSize;
    Map(codes, y, n, stream, [&](Codes code) HWY_ATTR {
      const Codes known = hn::Min(code, hn::Set(CodeTag(), kSize - 1));
      return hn::Mul(Lookup<kSize>(search.values.data(), known), hn::Set(FloatTag(), scale));
    });
  });
}

double BackwardVectors(const CodebookSearch& search, const BackwardPieceArguments& a) {
  Buffers buffers;
  double sums[kTermLanes] = {};
  WithWay(search, [&](const auto& way) HWY_ATTR {
    constexpr int kSize = std::decay_t<decltype(way)>::kSize;
    for (size_t begin = 0; begin < a.n; begin += kChunk) {
      const size_t n = std::min(kChunk, a.n - begin);
      BackwardChunk(way, search, a, begin, n, buffers);
      const size_t whole = (n + kTermLanes - 1) / kTermLanes * kTermLanes;
      std::fill(buffers.codes + n, buffers.codes + whole, uint8_t{0});
      std::fill(buffers.gradients + n, buffers.gradients + whole, 0.0f);
      std::fill(buffers.terms + n, buffers.terms + whole, 0.0f);
      if (a.value_sums != nullptr) {
        if constexpr (kSize <= 8) {
          AddToFewValues<kSize>(buffers.codes, buffers.gradients, whole, a.scale, a.value_sums);
        } else {
          AddToValues(buffers.codes, buffers.gradients, n, a.scale, a.value_sums);
        }
      }
      if (a.wants_scale) AddTerms(buffers.terms, whole, sums);
    }
  });
  hwy::FlushStream();
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return sum;
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {
namespace {

HWY_EXPORT(FakeQuantizeVectors);
HWY_EXPORT(QuantizeVectors);
HWY_EXPORT(DequantizeVectors);
HWY_EXPORT(BackwardVectors);

}  // namespace

void FakeQuantizePiece(const CodebookSearch& search, float scale, const float* x, float* y, size_t n,
                       bool stream) {
  HWY_DYNAMIC_DISPATCH(FakeQuantizeVectors)(search, scale, x, y, n, stream);
}
void QuantizePiece(const CodebookSearch& search, float scale, const float* x, uint8_t* codes, size_t n) {
  HWY_DYNAMIC_DISPATCH(QuantizeVectors)(search, scale, x, codes, n);
}
void DequantizePiece(const CodebookSearch& search, float scale, const uint8_t* codes, float* y, size_t n,
                     bool stream) {
  HWY_DYNAMIC_DISPATCH(DequantizeVectors)(search, scale, codes, y, n, stream);
}
double BackwardPiece(const CodebookSearch& search, const BackwardPieceArguments& arguments) {
  return HWY_DYNAMIC_DISPATCH(BackwardVectors)(search, arguments);
}

}  // namespace halftone
#endif  // HWY_ONCE
