#include <vector>

#include "tensor/ops/conv2d/implementations.h"
#include "tensor/ops/linear/doubles.h"

namespace halftone::ops {
namespace {

// Calls f(x_index, w_index, y_index) for every product of the sums.
template <typename F>
void ForEachProduct(const Conv2dProblem& p, F&& f) {
  const int64_t group_c = p.c / p.groups, group_o = p.o / p.groups;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t i = 0; i < p.out_h; ++i)
      for (int64_t j = 0; j < p.out_w; ++j)
        for (int64_t o = 0; o < p.o; ++o)
          for (int64_t a = 0; a < p.kh; ++a)
            for (int64_t b = 0; b < p.kw; ++b) {
              const int64_t row = i * p.stride + a - p.padding, column = j * p.stride + b - p.padding;
              if (row < 0 || row >= p.h || column < 0 || column >= p.w) continue;
              for (int64_t c = 0; c < group_c; ++c) {
                f(((n * p.h + row) * p.w + column) * p.c + o / group_o * group_c + c,
                  ((o * group_c + c) * p.kh + a) * p.kw + b, ((n * p.out_h + i) * p.out_w + j) * p.o + o);
              }
            }
}

bool Supports(const Conv2dProblem&) { return true; }

void Forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias, Tensor* y) {
  const std::vector<double> xs = Doubles(x), ws = Doubles(w);
  std::vector<double> ys(y->elements());
  ForEachProduct(p, [&](int64_t in, int64_t weight, int64_t out) { ys[out] += xs[in] * ws[weight]; });
  if (bias.defined()) {
    const std::vector<double> bs = Doubles(bias);
    for (size_t i = 0; i < ys.size(); ++i) ys[i] += bs[i % bs.size()];
  }
  RoundInto(ys, y);
}

void BackwardData(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, Tensor* dx) {
  const std::vector<double> dys = Doubles(dy), ws = Doubles(w);
  std::vector<double> dxs(dx->elements());
  ForEachProduct(p, [&](int64_t in, int64_t weight, int64_t out) { dxs[in] += dys[out] * ws[weight]; });
  RoundInto(dxs, dx);
}

void BackwardWeights(const Conv2dProblem& p, const Tensor& x, const Tensor& dy, WeightGradients* grads) {
  const std::vector<double> xs = Doubles(x), dys = Doubles(dy);
  std::vector<double> dws(grads->dw.elements());
  ForEachProduct(p, [&](int64_t in, int64_t weight, int64_t out) { dws[weight] += xs[in] * dys[out]; });
  RoundInto(dws, &grads->dw);
  if (!grads->db.defined()) return;
  std::vector<double> dbs(p.o);
  for (size_t i = 0; i < dys.size(); ++i) dbs[i % dbs.size()] += dys[i];
  RoundInto(dbs, &grads->db);
}

}  // namespace

constinit const Conv2dImplementation kConv2dReference = {
    .name = "reference",
    .supports = Supports,
    .forward = Forward,
    .backward_data = BackwardData,
    .backward_weights = BackwardWeights,
};

}  // namespace halftone::ops
