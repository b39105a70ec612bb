#include "nn/optim/sgd_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/optim/sgd_kernel.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// As many elements as d has lanes. No multiplication is fused with an addition: the same bits everywhere.
template <SgdKind kind, class D>
HWY_INLINE void SgdVector(D d, const SgdScalars& s, float* HWY_RESTRICT value, const float* HWY_RESTRICT grad,
                          float* HWY_RESTRICT momentum) {
  const auto w = hn::LoadU(d, value);
  const auto g = hn::Add(hn::Mul(hn::Set(d, s.gradient_factor), hn::LoadU(d, grad)),
                         hn::Mul(hn::Set(d, s.weight_decay), w));
  auto direction = g;
  if constexpr (kind != SgdKind::kPlain) {
    const auto m =
        hn::Add(hn::Mul(hn::Set(d, s.keep), hn::LoadU(d, momentum)), hn::Mul(hn::Set(d, s.take), g));
    hn::StoreU(m, d, momentum);
    direction = kind == SgdKind::kMomentum ? m : hn::Add(g, hn::Mul(hn::Set(d, s.lookahead), m));
  }
  hn::StoreU(hn::Sub(w, hn::Mul(hn::Set(d, s.learning_rate), direction)), d, value);
}

template <SgdKind kind>
HWY_INLINE void SgdLoop(const SgdScalars& s, float* value, const float* grad, float* momentum, size_t n) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto at = [&](size_t i) { return kind == SgdKind::kPlain ? nullptr : momentum + i; };
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) SgdVector<kind>(d, s, value + i, grad + i, at(i));
  for (; i < n; ++i) SgdVector<kind>(one, s, value + i, grad + i, at(i));
}

void Sgd(SgdKind kind, const SgdScalars& s, float* value, const float* grad, float* momentum, size_t n) {
  switch (kind) {
    case SgdKind::kPlain:
      return SgdLoop<SgdKind::kPlain>(s, value, grad, momentum, n);
    case SgdKind::kMomentum:
      return SgdLoop<SgdKind::kMomentum>(s, value, grad, momentum, n);
    case SgdKind::kNesterov:
      return SgdLoop<SgdKind::kNesterov>(s, value, grad, momentum, n);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {
namespace {

HWY_EXPORT(Sgd);

}  // namespace

void SgdKernel(SgdKind kind, const SgdScalars& s, float* value, const float* grad, float* momentum,
               size_t n) {
  HWY_DYNAMIC_DISPATCH(Sgd)(kind, s, value, grad, momentum, n);
}

}  // namespace halftone
#endif  // HWY_ONCE
