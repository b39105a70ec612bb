// What the kernels of tensor/ops share: loops of float vectors over float, half and bfloat16 in memory.
//
// Included by kernels once per instruction set, inside no namespace.
#include <cstddef>

#include "base/check.h"
#include "fp16/float_vectors-inl.h"
#include "hwy/highway.h"
#include "tensor/dtype.h"

#if defined(HALFTONE_TENSOR_OPS_SIMD_SIMD_FLOAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HALFTONE_TENSOR_OPS_SIMD_SIMD_FLOAT_INL_H_
#undef HALFTONE_TENSOR_OPS_SIMD_SIMD_FLOAT_INL_H_
#else
#define HALFTONE_TENSOR_OPS_SIMD_SIMD_FLOAT_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes, so that 16 channels are a whole number of vectors on every instruction set.
using FloatTag = hn::CappedTag<float, 16>;
using OneFloatTag = hn::CappedTag<float, 1>;

using halftone::HWY_NAMESPACE::LoadFloats;
using halftone::HWY_NAMESPACE::StoreFloats;

// Calls f(d, i) for consecutive i that cover [0, n): vectors first, then one element at a time.
template <class F>
HWY_INLINE void ForVectors(size_t n, const F& f) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) f(d, i);
  const OneFloatTag d1;
  for (; i < n; ++i) f(d1, i);
}

// Calls f(T()) for a dtype of 16 or 32 bits.
template <class F>
HWY_INLINE void VisitStorage(DType dtype, const F& f) {
  if (dtype == DType::kF16) {
    f(half());
  } else if (dtype == DType::kBF16) {
    f(bfloat16());
  } else {
    HALFTONE_CHECK(dtype == DType::kF32);
    f(float());
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
