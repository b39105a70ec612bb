#include "nn/optim/adam_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/optim/adam_kernel.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// As many elements as d has lanes. No multiplication is fused with an addition: the same bits everywhere.
template <class D>
HWY_INLINE void AdamVector(D d, const AdamScalars& s, float* HWY_RESTRICT value,
                           const float* HWY_RESTRICT grad, float* HWY_RESTRICT exp_avg,
                           float* HWY_RESTRICT exp_avg_sq) {
  const auto w = hn::Mul(hn::Set(d, s.shrink), hn::LoadU(d, value));
  const auto g = hn::Add(hn::Mul(hn::Set(d, s.gradient_factor), hn::LoadU(d, grad)),
                         hn::Mul(hn::Set(d, s.weight_decay), w));
  const auto m_old = hn::LoadU(d, exp_avg);
  const auto m = hn::Add(m_old, hn::Mul(hn::Set(d, s.take1), hn::Sub(g, m_old)));
  const auto v = hn::Add(hn::Mul(hn::Set(d, s.beta2), hn::LoadU(d, exp_avg_sq)),
                         hn::Mul(hn::Mul(hn::Set(d, s.take2), g), g));
  const auto spread = hn::Add(hn::Div(hn::Sqrt(v), hn::Set(d, s.correction2)), hn::Set(d, s.epsilon));
  hn::StoreU(m, d, exp_avg);
  hn::StoreU(v, d, exp_avg_sq);
  hn::StoreU(hn::Sub(w, hn::Div(hn::Mul(hn::Set(d, s.step_size), m), spread)), d, value);
}

void Adam(const AdamScalars& s, float* value, const float* grad, float* exp_avg, float* exp_avg_sq,
          size_t n) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    AdamVector(d, s, value + i, grad + i, exp_avg + i, exp_avg_sq + i);
  }
  for (; i < n; ++i) AdamVector(one, s, value + i, grad + i, exp_avg + i, exp_avg_sq + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {
namespace {

HWY_EXPORT(Adam);

}  // namespace

void AdamKernel(const AdamScalars& s, float* value, const float* grad, float* exp_avg, float* exp_avg_sq,
                size_t n) {
  HWY_DYNAMIC_DISPATCH(Adam)(s, value, grad, exp_avg, exp_avg_sq, n);
}

}  // namespace halftone
#endif  // HWY_ONCE
