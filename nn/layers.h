// Layers with parameters or state. Names, shapes and defaults are PyTorch's, so that state dicts load by
// name.
#ifndef HALFTONE_NN_LAYERS_H_
#define HALFTONE_NN_LAYERS_H_

#include <cstdint>
#include <optional>

#include "nn/module.h"
#include "nn/quantizer.h"
#include "tensor/ops/activation/activation.h"
#include "tensor/ops/batch_norm/batch_norm.h"

namespace halftone::nn {

struct Conv2dOptions {
  int64_t in = 0;  // channels
  int64_t out = 0;
  int kernel = 3;  // square
  int stride = 1;
  int padding = 0;  // zeros on each side
  int groups = 1;   // `in` for depthwise
  bool bias = true;
  // What the weights start from. None: N(0, 2 / (out * kernel^2)), He et al. 2015 with fan-out.
  std::optional<Init> init = std::nullopt;
};

// weight [out, in/groups, kernel, kernel]; bias [out], started as U(-1/sqrt(fan-in), 1/sqrt(fan-in)).
class Conv2d : public Module, public Quantizable {
 public:
  explicit Conv2d(const Conv2dOptions& options);
  Variable Forward(const Variable& x) override;
  void Visit(Visitor& v) override;
  std::optional<Shape> weight_shape() const override { return weight_.shape(); }

 private:
  Conv2dOptions options_;
  Parameter weight_;
  std::optional<Parameter> bias_;
};

struct LinearOptions {
  int64_t in = 0;
  int64_t out = 0;
  bool bias = true;
  // What the weights start from, and the bias then from 0. None: both from U(-1/sqrt(in), 1/sqrt(in)),
  // PyTorch's default.
  std::optional<Init> init = std::nullopt;
};

// y = x W^T + b, x [..., in]. weight [out, in] and bias [out].
class Linear : public Module, public Quantizable {
 public:
  explicit Linear(const LinearOptions& options) : Linear(options, DType::kF32) {}
  Variable Forward(const Variable& x) override;
  void Visit(Visitor& v) override;
  std::optional<Shape> weight_shape() const override { return weight_.shape(); }

 protected:
  // With master weights of `dtype`.
  Linear(const LinearOptions& options, DType dtype);
  // With weights in `dtype`, x and the result in dtypes of their own, whatever the policy says: the same, or
  // float32 for 16-bit weights where no gradient passes.
  Variable Apply(const Variable& x, DType x_dtype, DType dtype, DType y_dtype);

 private:
  Parameter weight_;
  std::optional<Parameter> bias_;
};

// A linear map whose weights and biases are float16 and nothing more: half the memory. x is cast to float16,
// each result is the sum of the exact products in float32, rounded once to float16 and given in x's dtype, or
// in another.
class HalfLinear : public Linear {
 public:
  explicit HalfLinear(const LinearOptions& options) : Linear(options, DType::kF16) {}
  Variable Forward(const Variable& x) override { return To(x.dtype(), x); }
  Variable To(DType dtype, const Variable& x);
};

// A function of one number, applied to every element, at one place of the network. weight [1], where the
// activation learns something: see ops::Activation::learned.
class ActivationLayer : public Module {
 public:
  explicit ActivationLayer(const ops::Activation& activation);
  Variable Forward(const Variable& x) override;
  void Visit(Visitor& v) override;

  const ops::Activation& activation() const { return activation_; }

 private:
  const ops::Activation& activation_;
  std::optional<Parameter> weight_;
};

struct BatchNorm2dOptions {
  int64_t channels = 0;
  double eps = 1e-5;
  double momentum = 0.1;  // running = (1 - momentum) * running + momentum * batch
};

// Ioffe and Szegedy 2015. Over the last dimension; the running variance takes the unbiased one. Statistics,
// scale and shift are float32 whatever the input's dtype. A batch whose statistics are not finite leaves the
// running ones alone: the step that it belongs to is going to be skipped.
class BatchNorm2d : public Module {
 public:
  explicit BatchNorm2d(const BatchNorm2dOptions& options);
  Variable Forward(const Variable& x) override;
  // activation(norm(x)). ReLU and ReLU6 are done in the same pass over memory.
  Variable Forward(const Variable& x, ActivationLayer& activation);
  // norm(x) + residual, and activation(norm(x) + residual). The sum is done in the same pass, and so rounded
  // once, where both are of one dtype.
  Variable Forward(const Variable& x, const Variable& residual);
  Variable Forward(const Variable& x, const Variable& residual, ActivationLayer& activation);
  void Visit(Visitor& v) override;

 private:
  // `residual` null for none.
  Variable Normalize(const Variable& x, const Variable* residual, ops::BatchNormActivation activation);

  BatchNorm2dOptions options_;
  Parameter weight_, bias_;
  Buffer running_mean_, running_var_, num_batches_tracked_;
};

struct LayerNormOptions {
  int64_t features = 0;  // of the last dimension
  double eps = 1e-5;
};

// Ba, Kiros and Hinton 2016. Over the last dimension, each row by itself. weight and bias [features], started
// as 1 and 0, and the statistics are float32 whatever the input's dtype.
class LayerNorm : public Module {
 public:
  explicit LayerNorm(const LayerNormOptions& options);
  Variable Forward(const Variable& x) override;
  void Visit(Visitor& v) override;

 private:
  double eps_;
  Parameter weight_, bias_;
};

// Zeroes elements with probability p in training; see nn::Dropout.
class DropoutLayer : public Module {
 public:
  explicit DropoutLayer(double p) : p_(p) {}
  Variable Forward(const Variable& x) override;

 private:
  double p_;
};

}  // namespace halftone::nn

#endif  // HALFTONE_NN_LAYERS_H_
