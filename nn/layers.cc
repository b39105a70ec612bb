#include "nn/layers.h"

#include <cmath>
#include <utility>
#include <vector>

#include "nn/functional.h"
#include "tensor/ops/batch_norm/batch_norm.h"
#include "tensor/ops/conv2d/conv2d.h"
#include "tensor/ops/layer_norm/layer_norm.h"
#include "tensor/ops/linear/float8.h"

namespace halftone::nn {
namespace {

// A layer of x, weights and maybe biases that runs in one dtype, but for the bias, which is in full
// precision. What its quantisers are for is rounded first.
struct Weighted {
  Weighted(const Variable& x, DType dtype, Parameter& weight, std::optional<Parameter>& bias,
           LayerQuantizers& quantizers)
      : Weighted(x, dtype, dtype, weight, bias, quantizers) {}
  Weighted(const Variable& x, DType x_dtype, DType dtype, Parameter& weight, std::optional<Parameter>& bias,
           LayerQuantizers& quantizers)
      : inputs({Operand(x, x_dtype, quantizers.input, &x_float8),
                Weights(x.graph(), dtype, weight, quantizers.weight, &weight_float8)}),
        gradient(quantizers.gradient.has_value() ? &*quantizers.gradient : nullptr) {
    if (!bias.has_value()) return;
    inputs.push_back(x.graph().Use(*bias, bias->full_precision()));
    bias_value = inputs.back().value();
  }

  static Variable Operand(const Variable& x, DType dtype, std::optional<Quantizer>& quantizer,
                          absl::optional<ops::Float8>* float8) {
    if (!quantizer.has_value()) return x.graph().Cast(x, dtype);
    const Variable rounded = (*quantizer)(x, float8);
    if (rounded.dtype() != dtype) float8->reset();  // rounded once more
    return x.graph().Cast(rounded, dtype);
  }
  static Variable Weights(Graph& graph, DType dtype, Parameter& weight, std::optional<Quantizer>& quantizer,
                          absl::optional<ops::Float8>* float8) {
    if (!quantizer.has_value()) return graph.Use(weight, dtype);
    return Operand(graph.Use(weight, weight.full_precision()), dtype, quantizer, float8);
  }

  ops::Factor x() const { return {inputs[0].value(), x_float8}; }
  ops::Factor weight() const { return {inputs[1].value(), weight_float8}; }

  // data(dy, x, weight) and weights(dy, x, weight, want_bias) give the gradients.
  template <typename Data, typename Weights>
  Variable Record(Op op, Tensor y, const Data& data, const Weights& weights) const {
    const auto backward = [xv = x(), wv = weight(), want_bias = bias_value.defined(), data, weights,
                           graph = &inputs[0].graph(), gradient = gradient](BackwardContext& c) {
      ops::Factor dy = {c.dy()};
      if (gradient != nullptr) dy.values = gradient->Quantize(c.dy(), *graph, &dy.float8);
      if (c.Needs(0)) c.Give(0, data(dy, xv, wv));
      if (!c.Needs(1)) return;
      ops::WeightGradients g = weights(dy, xv, wv, want_bias);
      c.Give(1, std::move(g.dw));
      if (want_bias) c.Give(2, std::move(g.db));
    };
    return inputs[0].graph().Record(op, std::move(y), inputs, backward);
  }

  // Before `inputs`, which makes them.
  absl::optional<ops::Float8> x_float8, weight_float8;
  std::vector<Variable> inputs;  // x, the weights, and the bias if there is one
  Tensor bias_value;             // undefined if there is none
  Quantizer* gradient;           // of the output's gradient; null: as it comes
};

// Bound of PyTorch's default start of linear layers and of every bias.
double DefaultBound(int64_t fan_in) { return 1 / std::sqrt(static_cast<double>(fan_in)); }

Init LinearInit(const LinearOptions& o) { return o.init.value_or(Init::Uniform(DefaultBound(o.in))); }
Init BiasInit(const LinearOptions& o) {
  return o.init.has_value() ? Init::Constant(0) : Init::Uniform(DefaultBound(o.in));
}

// What of the activation after it a batch norm of x does itself.
ops::BatchNormActivation Fused(const Variable& x, const ActivationLayer& layer) {
  const absl::string_view name = layer.activation().name;
  if (x.graph().Resolve(Op::kActivation, x.dtype()) != x.dtype()) return ops::BatchNormActivation::kNone;
  if (name == "relu") return ops::BatchNormActivation::kRelu;
  if (name == "relu6") return ops::BatchNormActivation::kRelu6;
  return ops::BatchNormActivation::kNone;
}

// Whether a batch norm of x adds the residual itself: where the sum would be in the dtype of both.
bool FusesSum(const Variable& x, const Variable& residual) {
  return x.dtype() == residual.dtype() && x.graph().Resolve(Op::kAdd, x.dtype()) == x.dtype();
}

}  // namespace

Conv2d::Conv2d(const Conv2dOptions& o)
    : options_(o),
      weight_(
          {o.out, o.in / o.groups, o.kernel, o.kernel},
          o.init.value_or(Init::Normal(std::sqrt(2.0 / static_cast<double>(o.out * o.kernel * o.kernel))))) {
  if (o.bias) {
    bias_.emplace(Shape({o.out}), Init::Uniform(DefaultBound(o.in / o.groups * o.kernel * o.kernel)));
  }
}

void Conv2d::Visit(Visitor& v) {
  v("weight", weight_);
  if (bias_.has_value()) v("bias", *bias_);
  quantizers_.Visit(v);
}

Variable Conv2d::Forward(const Variable& input) {
  Graph& graph = input.graph();
  const Weighted layer(input, graph.Resolve(Op::kConv2d, input.dtype()), weight_, bias_, quantizers_);
  const ops::Conv2dOptions options = {
      .stride = options_.stride, .padding = options_.padding, .groups = options_.groups};
  return layer.Record(
      Op::kConv2d, ops::Conv2dForward(layer.x().values, layer.weight().values, layer.bias_value, options),
      [options](const ops::Factor& dy, const ops::Factor& x, const ops::Factor& w) {
        return ops::Conv2dBackwardData(dy.values, w.values, x.values.shape(), options);
      },
      [options](const ops::Factor& dy, const ops::Factor& x, const ops::Factor& w, bool want_bias) {
        return ops::Conv2dBackwardWeights(x.values, dy.values, w.values.shape(), want_bias, options);
      });
}

Linear::Linear(const LinearOptions& o, DType dtype) : weight_({o.out, o.in}, LinearInit(o), dtype) {
  if (o.bias) bias_.emplace(Shape({o.out}), BiasInit(o), dtype);
}

void Linear::Visit(Visitor& v) {
  v("weight", weight_);
  if (bias_.has_value()) v("bias", *bias_);
  quantizers_.Visit(v);
}

Variable Linear::Forward(const Variable& x) {
  const DType dtype = x.graph().Resolve(Op::kLinear, x.dtype());
  return Apply(x, dtype, dtype, dtype);
}

Variable Linear::Apply(const Variable& x, DType x_dtype, DType dtype, DType y_dtype) {
  const Weighted layer(x, x_dtype, dtype, weight_, bias_, quantizers_);
  return layer.Record(
      Op::kLinear, ops::LinearForward(layer.x(), layer.weight(), layer.bias_value, y_dtype),
      [](const ops::Factor& dy, const ops::Factor&, const ops::Factor& w) {
        return ops::LinearBackwardData(dy, w);
      },
      [](const ops::Factor& dy, const ops::Factor& x, const ops::Factor&, bool want_bias) {
        return ops::LinearBackwardWeights(x, dy, want_bias);
      });
}

Variable HalfLinear::To(DType dtype, const Variable& x) {
  Graph& graph = x.graph();
  if (graph.gradients()) return graph.Cast(Apply(x, DType::kF16, DType::kF16, DType::kF16), dtype);
  // Where no gradient passes, the product rounds float32 itself, before and after.
  const auto given = [](DType dtype) { return dtype == DType::kF32 ? dtype : DType::kF16; };
  return graph.Cast(Apply(x, given(x.dtype()), DType::kF16, given(dtype)), dtype);
}

ActivationLayer::ActivationLayer(const ops::Activation& activation) : activation_(activation) {
  if (activation.learned.has_value()) weight_.emplace(Shape({1}), Init::Constant(*activation.learned));
}

void ActivationLayer::Visit(Visitor& v) {
  if (weight_.has_value()) v("weight", *weight_);
}

Variable ActivationLayer::Forward(const Variable& x) {
  if (!weight_.has_value()) return Activate(activation_, x);
  return Activate(activation_, x, x.graph().Use(*weight_, weight_->full_precision()));
}

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

Variable BatchNorm2d::Forward(const Variable& x) {
  return Normalize(x, nullptr, ops::BatchNormActivation::kNone);
}

Variable BatchNorm2d::Forward(const Variable& x, ActivationLayer& activation) {
  const ops::BatchNormActivation fused = Fused(x, activation);
  const Variable y = [&] {
    const ModuleScope scope(x.graph(), path());
    return Normalize(x, nullptr, fused);
  }();
  return fused == ops::BatchNormActivation::kNone ? activation(y) : y;
}

Variable BatchNorm2d::Forward(const Variable& x, const Variable& residual) {
  if (!FusesSum(x, residual)) return (*this)(x) + residual;
  const ModuleScope scope(x.graph(), path());
  return Normalize(x, &residual, ops::BatchNormActivation::kNone);
}

Variable BatchNorm2d::Forward(const Variable& x, const Variable& residual, ActivationLayer& activation) {
  if (!FusesSum(x, residual)) return activation((*this)(x) + residual);
  const ops::BatchNormActivation fused = Fused(x, activation);
  const Variable y = [&] {
    const ModuleScope scope(x.graph(), path());
    return Normalize(x, &residual, fused);
  }();
  return fused == ops::BatchNormActivation::kNone ? activation(y) : y;
}

Variable BatchNorm2d::Normalize(const Variable& input, const Variable* residual,
                                ops::BatchNormActivation activation) {
  Graph& graph = input.graph();
  const Variable x = graph.Cast(input, graph.Resolve(Op::kBatchNorm, input.dtype()));
  const Variable gamma = graph.Use(weight_, weight_.full_precision());
  const Variable beta = graph.Use(bias_, bias_.full_precision());
  const Variable r = residual == nullptr ? Variable() : graph.Cast(*residual, x.dtype());
  const ops::BatchNormOptions options = {
      .eps = options_.eps, .momentum = options_.momentum, .activation = activation};
  if (!graph.training()) {
    // Evaluation has no use for gradients; that of the running statistics would be another formula.
    return graph.Input(ops::BatchNormInference(x.value(), gamma.value(), beta.value(), running_mean_.value,
                                               running_var_.value, options, r.value()));
  }
  Tensor mean = running_mean_.value.Clone(), var = running_var_.value.Clone();
  ops::BatchNormResult result =
      ops::BatchNormForward(x.value(), gamma.value(), beta.value(), mean, var, options, r.value());
  if (!graph.replay()) {
    ops::KeepRunningStatistics(mean, var, running_mean_.value, running_var_.value,
                               num_batches_tracked_.value);
  }
  const Tensor residual_y = residual == nullptr ? Tensor() : result.y;
  const auto backward = [xv = x.value(), g = gamma.value(), b = beta.value(), mean = std::move(result.mean),
                         inv_std = std::move(result.inv_std), residual_y, options](BackwardContext& c) {
    ops::BatchNormGradients d = ops::BatchNormBackward(xv, g, b, mean, inv_std, c.dy(), options, residual_y);
    c.Give(0, std::move(d.dx));
    c.Give(1, std::move(d.dgamma));
    c.Give(2, std::move(d.dbeta));
    if (residual_y.defined()) c.Give(3, std::move(d.dresidual));
  };
  std::vector<Variable> inputs = {x, gamma, beta};
  if (residual != nullptr) inputs.push_back(r);
  return graph.Record(Op::kBatchNorm, std::move(result.y), inputs, backward);
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
  if (p_ == 0 || !x.graph().training()) return x;  // draws nothing: steps stay alike
  return Dropout(x, p_, x.graph().rng().Stream(HashStream(path())));
}

}  // namespace halftone::nn
