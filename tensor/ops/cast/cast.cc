#include "tensor/ops/cast/cast.h"

#include <algorithm>
#include <type_traits>

#include "base/parallel.h"
#include "fp16/convert.h"
#include "tensor/ops/cast/cast_kernels.h"

namespace halftone::ops {
namespace {

constexpr size_t kGrain = 1 << 14;  // elements that are worth a thread

template <typename From, typename To>
void CastRange(const From* from, To* to, size_t n) {
  constexpr bool kFrom16 = sizeof(From) == 2, kTo16 = sizeof(To) == 2;
  if constexpr (kFrom16 && kTo16) {  // by way of float, in pieces that the first-level cache holds
    float buffer[1024];
    for (size_t i = 0; i < n; i += std::size(buffer)) {
      const size_t count = std::min(std::size(buffer), n - i);
      Convert(from + i, buffer, count);
      Convert(buffer, to + i, count);
    }
  } else if constexpr ((kFrom16 && std::is_same_v<To, float>) || (std::is_same_v<From, float> && kTo16)) {
    Convert(from, to, n);
  } else {  // to or from double: narrowed in one rounding
    for (size_t i = 0; i < n; ++i) to[i] = static_cast<To>(from[i]);
  }
}

}  // namespace

Tensor Cast(const Tensor& x, DType to) {
  HALFTONE_CHECK(IsFloat(x.dtype()) && IsFloat(to));
  if (x.dtype() == to) return x;
  Tensor y = Tensor::Empty(x.device(), to, x.shape());
  if (const auto* kernels = x.device().Kernels<CastKernels>()) {
    kernels->cast(x, y);
    return y;
  }
  VisitFloat(x.dtype(), [&](auto from_type) {
    VisitFloat(to, [&](auto to_type) {
      using From = decltype(from_type);
      using To = decltype(to_type);
      if constexpr (!std::is_same_v<From, To>) {
        const From* from = x.data<From>();
        To* result = y.data<To>();
        ParallelFor(x.elements(), kGrain,
                    [&](size_t begin, size_t end) { CastRange(from + begin, result + begin, end - begin); });
      }
    });
  });
  return y;
}

}  // namespace halftone::ops
