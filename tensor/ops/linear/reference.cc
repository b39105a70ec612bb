#include <vector>

#include "tensor/ops/linear/doubles.h"
#include "tensor/ops/linear/implementations.h"

namespace halftone::ops {
namespace {

bool Supports(const LinearProblem&) { return true; }

void Forward(const LinearProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias, Tensor* y) {
  std::vector<double> xs = Doubles(x);
  if (p.wide_x) RoundTo(p.dtype, xs);
  const std::vector<double> ws = Doubles(w);
  const std::vector<double> bs = bias.defined() ? Doubles(bias) : std::vector<double>(p.n);
  std::vector<double> ys(p.m * p.n);
  for (int64_t m = 0; m < p.m; ++m)
    for (int64_t n = 0; n < p.n; ++n) {
      double sum = bs[n];
      for (int64_t k = 0; k < p.k; ++k) sum += xs[m * p.k + k] * ws[n * p.k + k];
      ys[m * p.n + n] = sum;
    }
  if (p.wide_y) RoundTo(p.dtype, ys);
  RoundInto(ys, y);
}

void BackwardData(const LinearProblem& p, const Tensor& dy, const Tensor& w, Tensor* dx) {
  const std::vector<double> dys = Doubles(dy), ws = Doubles(w);
  std::vector<double> dxs(p.m * p.k);
  for (int64_t m = 0; m < p.m; ++m)
    for (int64_t n = 0; n < p.n; ++n)
      for (int64_t k = 0; k < p.k; ++k) dxs[m * p.k + k] += dys[m * p.n + n] * ws[n * p.k + k];
  RoundInto(dxs, dx);
}

void BackwardWeights(const LinearProblem& p, const Tensor& x, const Tensor& dy, WeightGradients* grads) {
  const std::vector<double> xs = Doubles(x), dys = Doubles(dy);
  std::vector<double> dws(p.n * p.k), dbs(p.n);
  for (int64_t m = 0; m < p.m; ++m)
    for (int64_t n = 0; n < p.n; ++n) {
      dbs[n] += dys[m * p.n + n];
      for (int64_t k = 0; k < p.k; ++k) dws[n * p.k + k] += dys[m * p.n + n] * xs[m * p.k + k];
    }
  RoundInto(dws, &grads->dw);
  if (grads->db.defined()) RoundInto(dbs, &grads->db);
}

}  // namespace

constinit const LinearImplementation kLinearReference = {
    .name = "reference",
    .supports = Supports,
    .forward = Forward,
    .backward_data = BackwardData,
    .backward_weights = BackwardWeights,
};

}  // namespace halftone::ops
