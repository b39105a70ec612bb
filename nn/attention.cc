#include "nn/attention.h"

#include <utility>

#include "base/check.h"
#include "tensor/ops/attention/attention.h"

namespace halftone::nn {
namespace {

ops::AttentionOptions OpOptions(const Graph& graph, const AttentionOptions& options, int64_t width) {
  return {.heads = options.heads,
          .width = width,
          .dropout = graph.training() ? options.dropout : 0,
          .stream = options.stream};
}

}  // namespace

Variable Attention(const Variable& input, const AttentionOptions& options) {
  Graph& graph = input.graph();
  const Variable qkv = graph.Cast(input, graph.Resolve(Op::kAttention, input.dtype()));
  HALFTONE_CHECK(qkv.shape()[-1] % 3 == 0);
  const int64_t width = qkv.shape()[-1] / 3;
  const ops::AttentionOptions o = OpOptions(graph, options, width);
  const Tensor& t = qkv.value();
  ops::AttentionResult r = ops::AttentionForward({t, 0}, {t, width}, {t, 2 * width}, Tensor(), o);
  return graph.Record(Op::kAttention, std::move(r.y), {qkv},
                      [t, o, width, p = std::move(r.probabilities)](BackwardContext& c) {
                        Tensor d = Tensor::Empty(t.device(), t.dtype(), t.shape());
                        ops::AttentionBackward({t, 0}, {t, width}, {t, 2 * width}, p, c.dy(), o, {d, 0},
                                               {d, width}, {d, 2 * width});
                        c.Give(0, std::move(d));
                      });
}

Variable Attention(const Variable& query, const Variable& key, const Variable& value, const Tensor& mask,
                   const AttentionOptions& options) {
  Graph& graph = query.graph();
  const DType dtype = graph.Resolve(Op::kAttention, query.dtype());
  const Variable q = graph.Cast(query, dtype), k = graph.Cast(key, dtype), v = graph.Cast(value, dtype);
  const ops::AttentionOptions o = OpOptions(graph, options, q.shape()[-1]);
  ops::AttentionResult r = ops::AttentionForward({q.value()}, {k.value()}, {v.value()}, mask, o);
  return graph.Record(Op::kAttention, std::move(r.y), {q, k, v},
                      [qt = q.value(), kt = k.value(), vt = v.value(), o,
                       p = std::move(r.probabilities)](BackwardContext& c) {
                        const auto like = [](const Tensor& t) {
                          return Tensor::Empty(t.device(), t.dtype(), t.shape());
                        };
                        Tensor dq = like(qt), dk = like(kt), dv = like(vt);
                        ops::AttentionBackward({qt}, {kt}, {vt}, p, c.dy(), o, {dq}, {dk}, {dv});
                        c.Give(0, std::move(dq));
                        c.Give(1, std::move(dk));
                        c.Give(2, std::move(dv));
                      });
}

}  // namespace halftone::nn
