#include "nn/functional.h"

#include <utility>

#include "base/check.h"
#include "tensor/ops/avg_pool/avg_pool.h"
#include "tensor/ops/bce/bce.h"
#include "tensor/ops/cross_entropy/cross_entropy.h"
#include "tensor/ops/dropout/dropout.h"
#include "tensor/ops/elementwise/elementwise.h"
#include "tensor/ops/max_pool/max_pool.h"
#include "tensor/ops/mse/mse.h"
#include "tensor/ops/tokens/tokens.h"
#include "tensor/ops/transpose/transpose.h"

namespace halftone::nn {
namespace {

// x in the dtype that the policy wants for `op`.
Variable CastFor(Op op, const Variable& x) { return x.graph().Cast(x, x.graph().Resolve(op, x.dtype())); }

DType Wider(DType a, DType b) {
  if (a == b) return a;
  if (a == DType::kF64 || b == DType::kF64) return DType::kF64;
  return DType::kF32;  // also of half and bfloat16, neither of which holds the other
}

}  // namespace

Variable Add(const Variable& a, const Variable& b) {
  Graph& graph = a.graph();
  const DType dtype = graph.Resolve(Op::kAdd, Wider(a.dtype(), b.dtype()));
  const Variable x = graph.Cast(a, dtype), y = graph.Cast(b, dtype);
  return graph.Record(Op::kAdd, ops::Add(x.value(), y.value()), {x, y}, [](BackwardContext& c) {
    c.Give(0, c.dy());
    c.Give(1, c.dy());
  });
}

Variable Activate(const ops::Activation& activation, const Variable& input) {
  const Variable x = CastFor(Op::kActivation, input);
  Tensor y = ops::ActivationForward(activation, x.value());
  const Tensor saved = activation.saves_output ? y : x.value();
  return x.graph().Record(Op::kActivation, std::move(y), {x}, [&activation, saved](BackwardContext& c) {
    c.Give(0, ops::ActivationBackward(activation, saved, c.dy()));
  });
}

Variable Activate(const ops::Activation& activation, const Variable& input, const Variable& learned) {
  const Variable x = CastFor(Op::kActivation, input);
  Tensor y = ops::ActivationForward(activation, x.value(), learned.value());
  const Tensor saved = activation.saves_output ? y : x.value();
  return x.graph().Record(Op::kActivation, std::move(y), {x, learned},
                          [&activation, saved, a = learned.value()](BackwardContext& c) {
                            if (c.Needs(0)) c.Give(0, ops::ActivationBackward(activation, saved, c.dy(), a));
                            if (c.Needs(1))
                              c.Give(1, ops::ActivationBackwardLearned(activation, saved, c.dy(), a));
                          });
}

Variable MaxPool2d(const Variable& input, int kernel, int stride, int padding) {
  const Variable x = CastFor(Op::kMaxPool, input);
  const ops::MaxPoolOptions options = {.window = kernel, .stride = stride, .padding = padding};
  ops::MaxPoolResult result = ops::MaxPoolForward(x.value(), options);
  return x.graph().Record(Op::kMaxPool, std::move(result.y), {x},
                          [index = std::move(result.index), shape = x.shape(), options](BackwardContext& c) {
                            c.Give(0, ops::MaxPoolBackward(c.dy(), index, shape, options));
                          });
}

Variable AdaptiveAvgPool2d(const Variable& input, int out_h, int out_w) {
  const Variable x = CastFor(Op::kAvgPool, input);
  return x.graph().Record(
      Op::kAvgPool, ops::AdaptiveAvgPoolForward(x.value(), out_h, out_w), {x},
      [shape = x.shape()](BackwardContext& c) { c.Give(0, ops::AdaptiveAvgPoolBackward(c.dy(), shape)); });
}

Variable Reshape(const Variable& x, const Shape& shape) {
  return x.graph().Record("reshape", x.value().Reshape(shape), {x},
                          [shape = x.shape()](BackwardContext& c) { c.Give(0, c.dy().Reshape(shape)); });
}

Variable Flatten(const Variable& x) {
  const int64_t n = x.shape()[0];
  return Reshape(x, {n, n == 0 ? 0 : x.value().elements() / n});
}

Variable Transpose(const Variable& x) {
  return x.graph().Record("transpose", ops::Transpose(x.value()), {x},
                          [](BackwardContext& c) { c.Give(0, ops::Transpose(c.dy())); });
}

Variable PrependToken(const Variable& x, const Variable& token, const Variable& positions) {
  return x.graph().Record("prepend_token",
                          ops::PrependTokenForward(x.value(), token.value(), positions.value()),
                          {x, token, positions},
                          [dtype = x.dtype(), token_shape = token.shape(),
                           positions_shape = positions.shape()](BackwardContext& c) {
                            ops::PrependTokenGradients g = ops::PrependTokenBackward(c.dy(), dtype);
                            c.Give(0, std::move(g.dx));
                            c.Give(1, g.dtoken.Reshape(token_shape));
                            c.Give(2, g.dpositions.Reshape(positions_shape));
                          });
}

Variable FirstToken(const Variable& x) {
  return x.graph().Record(
      "first_token", ops::FirstTokenForward(x.value()), {x},
      [length = x.shape()[1]](BackwardContext& c) { c.Give(0, ops::FirstTokenBackward(c.dy(), length)); });
}

Variable Dropout(const Variable& input, double p, const Rng& stream) {
  if (!input.graph().training() || p == 0) return input;
  const Variable x = CastFor(Op::kDropout, input);
  return x.graph().Record(
      Op::kDropout, ops::DropoutForward(x.value(), p, stream), {x},
      [p, stream](BackwardContext& c) { c.Give(0, ops::DropoutBackward(c.dy(), p, stream)); });
}

Variable CrossEntropy(const Variable& input, const Tensor& labels, const LossOptions& loss) {
  const Variable logits = CastFor(Op::kCrossEntropy, input);
  const ops::CrossEntropyOptions options = {.label_smoothing = loss.label_smoothing, .softmax = loss.softmax};
  ops::CrossEntropyResult result = ops::CrossEntropyForward(logits.value(), labels, options);
  return logits.graph().Record(
      Op::kCrossEntropy, std::move(result.loss), {logits},
      [z = logits.value(), labels, log_sum_exp = std::move(result.log_sum_exp), options](BackwardContext& c) {
        c.Give(0, ops::CrossEntropyBackward(z, labels, log_sum_exp, c.dy(), options));
      });
}

Variable BinaryCrossEntropy(const Variable& input, const Tensor& labels, double label_smoothing) {
  const Variable logits = CastFor(Op::kBce, input);
  HALFTONE_CHECK(logits.shape() == Shape({labels.elements(), 1}));
  const Tensor target = ops::BinaryTargets(labels, label_smoothing);
  Tensor loss = ops::BceWithLogitsForward(logits.value(), target);
  return logits.graph().Record(Op::kBce, std::move(loss), {logits},
                               [z = logits.value(), target](BackwardContext& c) {
                                 c.Give(0, ops::BceWithLogitsBackward(z, target, c.dy()));
                               });
}

Variable ClassificationLoss(const Variable& logits, const Tensor& labels, const LossOptions& options) {
  return logits.shape()[-1] == 1 ? BinaryCrossEntropy(logits, labels, options.label_smoothing)
                                 : CrossEntropy(logits, labels, options);
}

Tensor CountCorrect(const Tensor& logits, const Tensor& labels) {
  return logits.shape()[-1] == 1 ? ops::CountBinaryCorrect(logits, labels)
                                 : ops::CountCorrect(logits, labels);
}

Variable MeanSquaredError(const Variable& input, const Tensor& target) {
  const Variable prediction = CastFor(Op::kMse, input);
  return prediction.graph().Record(Op::kMse,
                                   ops::MseForward(prediction.value(), target, ops::Reduction::kMean),
                                   {prediction}, [p = prediction.value(), target](BackwardContext& c) {
                                     c.Give(0, ops::MseBackward(p, target, c.dy(), ops::Reduction::kMean));
                                   });
}

}  // namespace halftone::nn
