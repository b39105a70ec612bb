#include "nn/layers.h"

#include <cmath>
#include <utility>

#include "nn/functional.h"
#include "tensor/ops/batch_norm/batch_norm.h"
#include "tensor/ops/conv2d/conv2d.h"
#include "tensor/ops/elementwise/elementwise.h"
#include "tensor/ops/layer_norm/layer_norm.h"
#include "tensor/ops/linear/linear.h"

namespace halftone::nn {
namespace {

// A layer of weights and maybe biases runs in `dtype`: its variables, of which the bias is in full precision.
struct Weights {
  Variable weight;
  std::optional<Variable> bias;
  Tensor bias_value;
};

Weights UseWeights(Graph& graph, Parameter& weight, std::optional<Parameter>& bias, DType dtype) {
  Weights w = {graph.Use(weight, dtype), std::nullopt, Tensor()};
  if (bias.has_value()) {
    w.bias = graph.Use(*bias, bias->full_precision());
    w.bias_value = w.bias->value();
  }
  return w;
}

// Bound of PyTorch's default start of linear layers and of every bias.
double DefaultBound(int64_t fan_in) { return 1 / std::sqrt(static_cast<double>(fan_in)); }

}  // namespace

Conv2d::Conv2d(const Conv2dOptions& o)
    : options_(o),
      weight_({o.out, o.in / o.groups, o.kernel, o.kernel},
              Init::Normal(std::sqrt(2.0 / static_cast<double>(o.out * o.kernel * o.kernel)))) {
  if (o.bias) {
    bias_.emplace(Shape({o.out}), Init::Uniform(DefaultBound(o.in / o.groups * o.kernel * o.kernel)));
  }
}

void Conv2d::Visit(Visitor& v) {
  v("weight", weight_);
  if (bias_.has_value()) v("bias", *bias_);
}

Variable Conv2d::Forward(const Variable& input) {
  Graph& graph = input.graph();
  const DType dtype = graph.Resolve(Op::kConv2d, input.dtype());
  const Variable x = graph.Cast(input, dtype);
  const Weights w = UseWeights(graph, weight_, bias_, dtype);
  const ops::Conv2dOptions options = {
      .stride = options_.stride, .padding = options_.padding, .groups = options_.groups};
  Tensor y = ops::Conv2dForward(x.value(), w.weight.value(), w.bias_value, options);
  const auto backward = [xv = x.value(), wv = w.weight.value(), options,
                         want_bias = w.bias.has_value()](BackwardContext& c) {
    if (c.Needs(0)) c.Give(0, ops::Conv2dBackwardData(c.dy(), wv, xv.shape(), options));
    if (!c.Needs(1)) return;
    ops::WeightGradients g = ops::Conv2dBackwardWeights(xv, c.dy(), wv.shape(), want_bias, options);
    c.Give(1, std::move(g.dw));
    if (want_bias) c.Give(2, std::move(g.db));
  };
  return w.bias.has_value() ? graph.Record(Op::kConv2d, std::move(y), {x, w.weight, *w.bias}, backward)
                            : graph.Record(Op::kConv2d, std::move(y), {x, w.weight}, backward);
}

Linear::Linear(const LinearOptions& o) : weight_({o.out, o.in}, Init::Uniform(DefaultBound(o.in))) {
  if (o.bias) bias_.emplace(Shape({o.out}), Init::Uniform(DefaultBound(o.in)));
}

void Linear::Visit(Visitor& v) {
  v("weight", weight_);
  if (bias_.has_value()) v("bias", *bias_);
}

Variable Linear::Forward(const Variable& input) {
  Graph& graph = input.graph();
  const DType dtype = graph.Resolve(Op::kLinear, input.dtype());
  const Variable x = graph.Cast(input, dtype);
  const Weights w = UseWeights(graph, weight_, bias_, dtype);
  Tensor y = ops::LinearForward(x.value(), w.weight.value(), w.bias_value);
  const auto backward = [xv = x.value(), wv = w.weight.value(),
                         want_bias = w.bias.has_value()](BackwardContext& c) {
    if (c.Needs(0)) c.Give(0, ops::LinearBackwardData(c.dy(), wv));
    if (!c.Needs(1)) return;
    ops::WeightGradients g = ops::LinearBackwardWeights(xv, c.dy(), want_bias);
    c.Give(1, std::move(g.dw));
    if (want_bias) c.Give(2, std::move(g.db));
  };
  return w.bias.has_value() ? graph.Record(Op::kLinear, std::move(y), {x, w.weight, *w.bias}, backward)
                            : graph.Record(Op::kLinear, std::move(y), {x, w.weight}, backward);
}

Variable ActivationLayer::Forward(const Variable& x) { return Activate(activation_, x); }

BatchNorm2d::BatchNorm2d(const BatchNorm2dOptions& o)
    : options_(o),
      weight_({o.channels}, Init::Constant(1)),
      bias_({o.channels}, Init::Constant(0)),
      running_mean_{.shape = {o.channels}, .initial = 0},
      running_var_{.shape = {o.channels}, .initial = 1},
      num_batches_tracked_{.shape = {}, .initial = 0, .dtype = DType::kI64} {}

void BatchNorm2d::Visit(Visitor& v) {
  v("weight", weight_);
  v("bias", bias_);
  v("running_mean", running_mean_);
  v("running_var", running_var_);
  v("num_batches_tracked", num_batches_tracked_);
}

Variable BatchNorm2d::Forward(const Variable& x, ActivationLayer& activation) {
  const bool relu = activation.activation().name == "relu";
  const Variable y = [&] {
    const ModuleScope scope(x.graph(), path());
    return Normalize(x, relu);
  }();
  return relu ? y : activation(y);
}

Variable BatchNorm2d::Normalize(const Variable& input, bool relu) {
  Graph& graph = input.graph();
  const Variable x = graph.Cast(input, graph.Resolve(Op::kBatchNorm, input.dtype()));
  const Variable gamma = graph.Use(weight_, weight_.full_precision());
  const Variable beta = graph.Use(bias_, bias_.full_precision());
  const ops::BatchNormOptions options = {.eps = options_.eps, .momentum = options_.momentum, .relu = relu};
  if (!graph.training()) {
    // Evaluation has no use for gradients; that of the running statistics would be another formula.
    return graph.Input(ops::BatchNormInference(x.value(), gamma.value(), beta.value(), running_mean_.value,
                                               running_var_.value, options));
  }
  Tensor mean = running_mean_.value.Clone(), var = running_var_.value.Clone();
  ops::BatchNormResult result =
      ops::BatchNormForward(x.value(), gamma.value(), beta.value(), mean, var, options);
  if (!graph.replay() && ops::AllFinite(mean) && ops::AllFinite(var)) {
    running_mean_.value = std::move(mean);
    running_var_.value = std::move(var);
    ++num_batches_tracked_.value.data<int64_t>()[0];
  }
  return graph.Record(Op::kBatchNorm, std::move(result.y), {x, gamma, beta},
                      [xv = x.value(), g = gamma.value(), b = beta.value(), mean = std::move(result.mean),
                       inv_std = std::move(result.inv_std), options](BackwardContext& c) {
                        ops::BatchNormGradients d =
                            ops::BatchNormBackward(xv, g, b, mean, inv_std, c.dy(), options);
                        c.Give(0, std::move(d.dx));
                        c.Give(1, std::move(d.dgamma));
                        c.Give(2, std::move(d.dbeta));
                      });
}

LayerNorm::LayerNorm(const LayerNormOptions& o)
    : eps_(o.eps), weight_({o.features}, Init::Constant(1)), bias_({o.features}, Init::Constant(0)) {}

void LayerNorm::Visit(Visitor& v) {
  v("weight", weight_);
  v("bias", bias_);
}

Variable LayerNorm::Forward(const Variable& input) {
  Graph& graph = input.graph();
  const Variable x = graph.Cast(input, graph.Resolve(Op::kLayerNorm, input.dtype()));
  const Variable gamma = graph.Use(weight_, weight_.full_precision());
  const Variable beta = graph.Use(bias_, bias_.full_precision());
  const absl::optional<DType> keep = graph.KeepIn(x.dtype());
  ops::LayerNormResult r =
      ops::LayerNormForward(x.value(), gamma.value(), beta.value(), {.eps = eps_, .keep = keep});
  const auto record = [&](const auto& backward) {
    return graph.Record(Op::kLayerNorm, std::move(r.y), {x, gamma, beta}, [backward](BackwardContext& c) {
      ops::LayerNormGradients d = backward(c.dy());
      c.Give(0, std::move(d.dx));
      c.Give(1, std::move(d.dgamma));
      c.Give(2, std::move(d.dbeta));
    });
  };
  if (keep.has_value()) {
    return record([g = gamma.value(), z = r.normalised, inv_std = r.inv_std](const Tensor& dy) {
      return ops::LayerNormBackward(z, g, inv_std, dy);
    });
  }
  return record([g = gamma.value(), xv = x.value(), mean = r.mean, inv_std = r.inv_std](const Tensor& dy) {
    return ops::LayerNormBackward(xv, g, mean, inv_std, dy);
  });
}

Variable DropoutLayer::Forward(const Variable& x) {
  return Dropout(x, p_, x.graph().rng().Stream(HashStream(path())));
}

}  // namespace halftone::nn
