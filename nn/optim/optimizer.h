// An optimiser: moves fp32 master weights along their gradients and keeps what it must remember between
// steps.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<Optimizer> optimizer, MakeSgd({.momentum = 0.9}));   // nn/optim/sgd.h
//   ...
//   optimizer->Step(params, schedule->At(step));
//
// The update rules are PyTorch's. One pass over memory per step; the results are the same bits for any number
// of threads and any instruction set.
#ifndef HALFTONE_NN_OPTIM_OPTIMIZER_H_
#define HALFTONE_NN_OPTIM_OPTIMIZER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "fp16/format.h"
#include "nn/optim/optimizer_kernels.h"
#include "nn/optim/step_options.h"
#include "tensor/tensor.h"

namespace halftone {

// 16-bit weights: the codes of half or bfloat16 numbers.
struct Weights16 {
  FloatFormat format = kFloat16;
  absl::Span<uint16_t> codes;
};

// One parameter and its unscaled gradient. Names are unique.
struct ParamRef {
  absl::string_view name;
  absl::Span<float> value;       // the master weights
  absl::Span<const float> grad;  // as many
  // Working copies of value, as many or none: written in the same pass, rounded to nearest even. Where value
  // is empty, the weights themselves: they are updated as floats, a block at a time, and rounded as
  // WeightRounding says.
  Weights16 weights16 = {};
  bool decays = true;  // whether the optimiser's weight decay is for it

  size_t size() const { return value.empty() ? weights16.codes.size() : value.size(); }
};

// How weights that exist in 16 bits alone take an update, most of which are smaller than the distance to the
// next number and would be lost to rounding to nearest.
enum class WeightRounding {
  kNearest,
  // Up or down at random, so that the mean is right: Gupta et al., "Deep Learning with Limited Numerical
  // Precision", 2015. The random numbers are keyed by the step, the parameter's name and the element.
  kStochastic,
  // What rounding takes away is kept in 16 more bits a weight and given back in the next step: Kahan
  // summation, as in Zamirai et al., "Revisiting BFloat16 Training", 2020.
  kKahan,
};

// One array that an optimiser remembers, for example "momentum/layer1.0.conv1.weight".
struct StateTensor {
  std::string name;
  absl::Span<const float> value;
};

// All that resuming needs.
struct OptimizerState {
  int64_t steps = 0;                      // steps taken
  std::vector<StateTensor> tensors = {};  // empty before the first step, and always for SGD without momentum
};

// What of a step only the device knows, so far: scalars on it. One that is not defined has no say.
struct DeviceStep {
  Tensor gradient_factor;  // float32: times StepOptions::gradient_factor
  Tensor found_inf;        // int32: other than 0, the step changes nothing and does not count
  // float64 [2]: in place of StepOptions' learning rate and momentum; NaN: no momentum there.
  Tensor schedule;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Before the first step or Restore. kNearest otherwise.
  void RoundWeights16(WeightRounding rounding, const Rng& rng);

  // Updates every value in place. Takes the same parameters in the same order each time; what is remembered
  // of them is allocated in the first step (or by Restore).
  void Step(absl::Span<const ParamRef> params, const StepOptions& options);

  // The same in the memory of `device`, where all spans of `params` are; an accelerator does it later, and
  // waits for nothing if it has OptimizerKernels. What is remembered is there from now on; the device
  // outlives the optimiser.
  void StepOn(Device& device, absl::Span<const ParamRef> params, const StepOptions& options,
              const DeviceStep& known);

  // Views into this optimiser: valid until the next Step or Restore. Waits for the device.
  OptimizerState State() const;

  // Continues from `state`, copying it; `params` are those of the steps to come (their gradients are not
  // looked at). Refuses a state that lacks a tensor, has one too many, or one of another size; then nothing
  // has changed.
  absl::Status Restore(absl::Span<const ParamRef> params, const OptimizerState& state);

  // One line for logs and reports: "SGD, momentum 0.9, weight decay 0.0005".
  virtual std::string Describe() const = 0;

  // Steps taken. Waits for the device.
  int64_t steps() const { return *steps_.data<int64_t>(); }

 protected:
  static constexpr size_t kMaxSlots = kOptimizerSlots;

  // Updates n elements of one parameter; slots[k] points at the part of slots[k] (see below) that belongs to
  // them. Called from several threads.
  using Kernel = std::function<void(float* value, const float* grad,
                                    const std::array<float*, kMaxSlots>& slots, size_t n)>;

  // `slots` (at most kMaxSlots) names the arrays to remember for each parameter; they have its size and start
  // at zero.
  explicit Optimizer(std::vector<std::string> slots);

  // The update of step number t = 1, 2, ..., with the weight decay or without.
  virtual Kernel Prepare(const StepOptions& options, int64_t t, bool decays) const = 0;
  // Calls that one of `kernels` which is this optimiser's.
  virtual void StepOnDevice(const OptimizerKernels& kernels, const StepOptions& options,
                            const DeviceUpdate& update) const = 0;

 private:
  bool KeepsExcess(const ParamRef& param) const {
    return rounding_ == WeightRounding::kKahan && param.value.empty();
  }
  void Allocate(absl::Span<const ParamRef> params);
  void MoveTo(Device& device);
  // Allocates what is not yet; checks the arguments of a step.
  void Begin(absl::Span<const ParamRef> params, const StepOptions& options);
  std::vector<DeviceParam> DeviceParams(absl::Span<const ParamRef> params);
  void Update16(const Kernel& kernel, const ParamRef& param, const DeviceParam& remembered, const Rng& rng,
                size_t begin, size_t end) const;

  Device cpu_{nullptr};
  Device* device_ = &cpu_;  // that what is remembered is on
  const std::vector<std::string> slots_;
  Tensor steps_;  // int64
  bool allocated_ = false;
  std::vector<std::string> names_;  // of the parameters
  std::vector<size_t> sizes_;       // of the parameters
  std::vector<Tensor> arrays_;      // float32; slot k of parameter i is arrays_[i * slots_.size() + k]
  WeightRounding rounding_ = WeightRounding::kNearest;
  Rng rng_ = Rng(0);
  // Of kKahan, for parameters without value: the weights less these are what the updates add up to. As codes
  // of the weights' format, and for State as floats.
  std::vector<Tensor> excess_;
  std::vector<FloatFormat> formats_;  // of the parameters' 16-bit weights
  mutable std::vector<std::vector<float>> excess_floats_;
};

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_OPTIMIZER_H_
