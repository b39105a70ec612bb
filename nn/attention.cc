#include "nn/attention.h"

#include <functional>
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

Variable Operand(const Variable& x, DType dtype, const AttentionOptions& options) {
  const bool quantize = options.quantizers != nullptr && options.quantizers->input.has_value();
  return x.graph().Cast(quantize ? (*options.quantizers->input)(x) : x, dtype);
}

// From the gradient of the result to the one that flows on.
std::function<Tensor(const Tensor&)> GradientRounding(Graph& graph, const AttentionOptions& options) {
  if (options.quantizers == nullptr || !options.quantizers->gradient.has_value()) {
    return [](const Tensor& dy) { return dy; };
  }
  return [&graph, gradient = &*options.quantizers->gradient](const Tensor& dy) {
    return gradient->Quantize(dy, graph);
  };
}

}  // namespace

Variable Attention(const Variable& input, const AttentionOptions& options) {
  Graph& graph = input.graph();
  const Variable qkv = Operand(input, graph.Resolve(Op::kAttention, input.dtype()), options);
  HALFTONE_CHECK(qkv.shape()[-1] % 3 == 0);
  const int64_t width = qkv.shape()[-1] / 3;
  const ops::AttentionOptions o = OpOptions(graph, options, width);
  const Tensor& t = qkv.value();
  ops::AttentionResult r = ops::AttentionForward({t, 0}, {t, width}, {t, 2 * width}, Tensor(), o);
  return graph.Record(Op::kAttention, std::move(r.y), {qkv},
                      [t, o, width, p = std::move(r.probabilities),
                       rounded = GradientRounding(graph, options)](BackwardContext& c) {
                        Tensor d = Tensor::Empty(t.device(), t.dtype(), t.shape());
                        ops::AttentionBackward({t, 0}, {t, width}, {t, 2 * width}, p, rounded(c.dy()), o,
                                               {d, 0}, {d, width}, {d, 2 * width});
                        c.Give(0, std::move(d));
                      });
}

Variable Attention(const Variable& query, const Variable& key, const Variable& value, const Tensor& mask,
                   const AttentionOptions& options) {
  Graph& graph = query.graph();
  const DType dtype = graph.Resolve(Op::kAttention, query.dtype());
  const Variable q = Operand(query, dtype, options), k = Operand(key, dtype, options),
                 v = Operand(value, dtype, options);
  const ops::AttentionOptions o = OpOptions(graph, options, q.shape()[-1]);
  ops::AttentionResult r = ops::AttentionForward({q.value()}, {k.value()}, {v.value()}, mask, o);
  return graph.Record(Op::kAttention, std::move(r.y), {q, k, v},
                      [qt = q.value(), kt = k.value(), vt = v.value(), o, p = std::move(r.probabilities),
                       rounded = GradientRounding(graph, options)](BackwardContext& c) {
                        const auto like = [](const Tensor& t) {
                          return Tensor::Empty(t.device(), t.dtype(), t.shape());
                        };
                        Tensor dq = like(qt), dk = like(kt), dv = like(vt);
                        ops::AttentionBackward({qt}, {kt}, {vt}, p, rounded(c.dy()), o, {dq}, {dk}, {dv});
                        c.Give(0, std::move(dq));
                        c.Give(1, std::move(dk));
                        c.Give(2, std::move(dv));
                      });
}

}  // namespace halftone::nn
