#include "tensor/ops/tokens/tokens.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/parallel.h"
#include "tensor/ops/tokens/tokens_kernels.h"

namespace halftone::ops {
namespace {

constexpr size_t kGrain = 64;  // rows of D numbers worth a thread

// Of x and of the parameters.
void CheckDTypes(DType x, DType parameters) {
  HALFTONE_CHECK(IsFloat(x) && parameters == (x == DType::kF64 ? DType::kF64 : DType::kF32));
}

// Calls f(T(), S()) for the dtype of x and that of the parameters.
template <typename F>
void Visit(DType x, const F& f) {
  VisitFloat(x, [&](auto type) {
    if constexpr (std::is_same_v<decltype(type), double>) {
      f(type, double());
    } else {
      f(type, float());
    }
  });
}

}  // namespace

Tensor PrependTokenForward(const Tensor& x, const Tensor& token, const Tensor& positions) {
  HALFTONE_CHECK(x.shape().rank() == 3 && token.dtype() == positions.dtype());
  const int64_t batch = x.shape()[0], n = x.shape()[1], d = x.shape()[2];
  HALFTONE_CHECK(token.elements() == d && positions.elements() == (n + 1) * d);
  CheckDTypes(x.dtype(), positions.dtype());
  Tensor y = Tensor::Empty(x.device(), positions.dtype(), {batch, n + 1, d});
  if (const auto* kernels = x.device().Kernels<TokensKernels>()) {
    kernels->prepend_forward(x, token, positions, y);
    return y;
  }
  Visit(x.dtype(), [&](auto x_type, auto y_type) {
    using T = decltype(x_type);
    using S = decltype(y_type);
    const T* const xs = x.data<T>();
    const S *const first = token.data<S>(), *const all_positions = positions.data<S>();
    S* const result = y.data<S>();
    const auto add = [d](const auto* a, const S* b, S* to) {
      for (int64_t j = 0; j < d; ++j) to[j] = static_cast<S>(a[j]) + b[j];
    };
    ParallelFor(static_cast<size_t>(batch * (n + 1)), kGrain, [&](size_t begin, size_t end) {
      for (auto r = static_cast<int64_t>(begin); r < static_cast<int64_t>(end); ++r) {
        const int64_t b = r / (n + 1), i = r % (n + 1);
        const S* position = all_positions + i * d;
        S* to = result + r * d;
        i == 0 ? add(first, position, to) : add(xs + (b * n + i - 1) * d, position, to);
      }
    });
  });
  return y;
}

PrependTokenGradients PrependTokenBackward(const Tensor& dy, DType x_dtype) {
  HALFTONE_CHECK(dy.shape().rank() == 3 && dy.shape()[1] >= 1);
  const int64_t batch = dy.shape()[0], n = dy.shape()[1] - 1, d = dy.shape()[2];
  CheckDTypes(x_dtype, dy.dtype());
  Device& device = dy.device();
  PrependTokenGradients g = {.dx = Tensor::Empty(device, x_dtype, {batch, n, d}),
                             .dtoken = Tensor::Empty(device, dy.dtype(), {d}),
                             .dpositions = Tensor::Empty(device, dy.dtype(), {n + 1, d})};
  if (const auto* kernels = device.Kernels<TokensKernels>()) {
    kernels->prepend_backward(dy, g);
    return g;
  }
  Visit(x_dtype, [&](auto x_type, auto y_type) {
    using T = decltype(x_type);
    using S = decltype(y_type);
    const S* from = dy.data<S>();
    T* const dx = g.dx.data<T>();
    S* const dpositions = g.dpositions.data<S>();
    ParallelFor(static_cast<size_t>(batch * n), kGrain, [&](size_t begin, size_t end) {
      for (auto r = static_cast<int64_t>(begin); r < static_cast<int64_t>(end); ++r) {
        const S* row = from + (r + r / n + 1) * d;
        T* to = dx + r * d;
        for (int64_t j = 0; j < d; ++j) to[j] = static_cast<T>(row[j]);
      }
    });
    // Each number is one thread's, so that the order of its sum is that of the batch.
    ParallelFor(static_cast<size_t>((n + 1) * d), 512, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        double sum = 0;
        for (int64_t b = 0; b < batch; ++b)
          sum += static_cast<double>(from[b * (n + 1) * d + static_cast<int64_t>(i)]);
        dpositions[i] = static_cast<S>(sum);
      }
    });
    std::memcpy(g.dtoken.raw(), g.dpositions.raw(), g.dtoken.bytes());
  });
  return g;
}

Tensor FirstTokenForward(const Tensor& x) {
  HALFTONE_CHECK(x.shape().rank() == 3 && x.shape()[1] >= 1);
  const int64_t batch = x.shape()[0], n = x.shape()[1], d = x.shape()[2];
  Tensor y = Tensor::Empty(x.device(), x.dtype(), {batch, d});
  if (const auto* kernels = x.device().Kernels<TokensKernels>()) {
    kernels->first_forward(x, y);
    return y;
  }
  const size_t bytes = static_cast<size_t>(d) * SizeOf(x.dtype());
  for (int64_t b = 0; b < batch; ++b) {
    std::memcpy(static_cast<char*>(y.raw()) + b * bytes, static_cast<const char*>(x.raw()) + b * n * bytes,
                bytes);
  }
  return y;
}

Tensor FirstTokenBackward(const Tensor& dy, int64_t length) {
  HALFTONE_CHECK(dy.shape().rank() == 2 && length >= 1);
  const int64_t batch = dy.shape()[0], d = dy.shape()[1];
  Tensor dx = Tensor::Zeros(dy.device(), dy.dtype(), {batch, length, d});
  if (const auto* kernels = dy.device().Kernels<TokensKernels>()) {
    kernels->first_backward(dy, dx);
    return dx;
  }
  const size_t bytes = static_cast<size_t>(d) * SizeOf(dy.dtype());
  for (int64_t b = 0; b < batch; ++b) {
    std::memcpy(static_cast<char*>(dx.raw()) + b * length * bytes,
                static_cast<const char*>(dy.raw()) + b * bytes, bytes);
  }
  return dx;
}

Tensor TokenPlane(const Tensor& tokens, int64_t plane) {
  HALFTONE_CHECK(tokens.shape().rank() == 3 && tokens.dtype() == DType::kI64);
  const int64_t batch = tokens.shape()[0], planes = tokens.shape()[1], length = tokens.shape()[2];
  HALFTONE_CHECK(plane >= 0 && plane < planes);
  Tensor y = Tensor::Empty(tokens.device(), DType::kI64, {batch, length});
  if (const auto* kernels = tokens.device().Kernels<TokensKernels>()) {
    kernels->plane(tokens, plane, y);
    return y;
  }
  const int64_t* from = tokens.data<int64_t>() + plane * length;
  int64_t* to = y.data<int64_t>();
  for (int64_t b = 0; b < batch; ++b, from += planes * length, to += length) std::copy_n(from, length, to);
  return y;
}

Tensor TokenPositions(const Tensor& words) {
  HALFTONE_CHECK(words.shape().rank() == 2);
  Tensor y = Tensor::Empty(words.device(), DType::kI64, words.shape());
  if (const auto* kernels = words.device().Kernels<TokensKernels>()) {
    kernels->positions(y);
    return y;
  }
  const absl::Span<int64_t> to = y.span<int64_t>();
  for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<int64_t>(i) % words.shape()[1];
  return y;
}

}  // namespace halftone::ops
