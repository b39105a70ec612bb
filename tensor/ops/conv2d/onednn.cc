#include "tensor/ops/conv2d/onednn.h"

#include <utility>

#include "absl/container/inlined_vector.h"
#include "tensor/ops/conv2d/implementations.h"

namespace halftone::ops {
namespace {

using onednn::Desc;
using onednn::Dims;
using onednn::Primitive;
using onednn::Tag;
using DataType = dnnl::memory::data_type;

enum class Direction : uint8_t { kForward, kBackwardData, kBackwardWeights };

struct PlanKey {
  Conv2dProblem problem;
  Direction direction;
  Conv2dBias bias;

  friend bool operator==(const PlanKey& a, const PlanKey& b) = default;
  template <typename H>
  friend H AbslHashValue(H state, const PlanKey& key) {
    return H::combine(std::move(state), key.problem, key.direction, key.bias);
  }
};

const Conv2dPlan& PlanFor(Device& device, const PlanKey& key) {
  const dnnl::engine& engine = device.Resource<onednn::Engine>().engine;
  return device.Resource<onednn::PlanCache<PlanKey, Conv2dPlan>>().Get(key, [&] {
    const Conv2dProblem& p = key.problem;
    const DataType type = onednn::TypeOf(p.dtype);
    const bool grouped = p.groups > 1;
    const auto weights = [&](DataType weights_type, bool any) {
      const Tag plain = grouped ? Tag::goihw : Tag::oihw;
      const Dims dims =
          grouped ? Dims{p.groups, p.o / p.groups, p.c / p.groups, p.kh, p.kw} : Dims{p.o, p.c, p.kh, p.kw};
      return Desc(dims, weights_type, any ? Tag::any : plain);
    };
    // Images stay as they are, so that no op needs to know what the one before it liked.
    const Desc x({p.n, p.c, p.h, p.w}, type, Tag::nhwc), y({p.n, p.o, p.out_h, p.out_w}, type, Tag::nhwc);
    const Desc bias =
        key.bias == Conv2dBias::kNone
            ? Desc()
            : Desc({p.o}, key.bias == Conv2dBias::kF32 ? DataType::f32 : DataType::bf16, Tag::x);
    const Dims strides = {p.stride, p.stride};
    const Dims padding = {p.padding, p.padding};
    const auto direct = dnnl::algorithm::convolution_direct;

    const DataType weights_type = key.direction == Direction::kBackwardWeights ? DataType::f32 : type;
    Conv2dPlan plan{.image = x, .out_image = y, .plain_weights = weights(weights_type, false), .bias = bias};
    const auto forward =
        onednn::Describe<dnnl::convolution_forward>(engine, dnnl::prop_kind::forward_training, direct, x,
                                                    weights(type, true), bias, y, strides, padding, padding);
    switch (key.direction) {
      case Direction::kForward:
        plan.weights = forward.weights_desc();
        plan.convolution = onednn::Make<dnnl::convolution_forward>(forward);
        plan.reorder = onednn::MakeReorder(engine, plan.plain_weights, plan.weights);
        break;
      case Direction::kBackwardData: {
        const auto desc = onednn::DescribeBackward<dnnl::convolution_backward_data>(
            engine, forward, direct, x, weights(type, true), y, strides, padding, padding);
        plan.weights = desc.weights_desc();
        plan.convolution = onednn::Make<dnnl::convolution_backward_data>(desc);
        plan.reorder = onednn::MakeReorder(engine, plan.plain_weights, plan.weights);
        break;
      }
      case Direction::kBackwardWeights: {
        const auto desc = onednn::DescribeBackward<dnnl::convolution_backward_weights>(
            engine, forward, direct, x, weights(DataType::f32, true), bias, y, strides, padding, padding);
        plan.weights = desc.diff_weights_desc();
        plan.convolution = onednn::Make<dnnl::convolution_backward_weights>(desc);
        plan.reorder = onednn::MakeReorder(engine, plan.weights, plan.plain_weights);
        break;
      }
    }
    return plan;
  });
}

Conv2dBias BiasOf(const Tensor& bias) {
  if (!bias.defined()) return Conv2dBias::kNone;
  return bias.dtype() == DType::kF32 ? Conv2dBias::kF32 : Conv2dBias::kBF16;
}

bool Supports(const Conv2dProblem& problem) {
  return !problem.Empty() &&
         (problem.dtype == DType::kF32 || (problem.dtype == DType::kBF16 && onednn::HasFastBFloat16()));
}

void Forward(const Conv2dProblem& problem, const Tensor& x, const Tensor& w, const Tensor& bias, Tensor* y) {
  Device& device = x.device();
  const Conv2dPlan& plan = ForwardPlan(device, problem, BiasOf(bias));
  Tensor buffer;
  const void* weights =
      onednn::Reordered(device, plan.reorder, plan.plain_weights, w.raw(), plan.weights, &buffer);
  RunForward(device, plan, x.raw(), weights, bias.defined() ? bias.raw() : nullptr, y->raw());
}

void BackwardData(const Conv2dProblem& problem, const Tensor& dy, const Tensor& w, Tensor* dx) {
  Device& device = dy.device();
  const Conv2dPlan& plan = BackwardDataPlan(device, problem);
  Tensor buffer;
  const void* weights =
      onednn::Reordered(device, plan.reorder, plan.plain_weights, w.raw(), plan.weights, &buffer);
  RunBackwardData(device, plan, dy.raw(), weights, dx->raw());
}

void BackwardWeights(const Conv2dProblem& problem, const Tensor& x, const Tensor& dy,
                     WeightGradients* grads) {
  const Conv2dPlan& plan = BackwardWeightsPlan(x.device(), problem, grads->db.defined());
  RunBackwardWeights(x.device(), plan, x.raw(), dy.raw(), grads);
}

}  // namespace

const Conv2dPlan& ForwardPlan(Device& device, const Conv2dProblem& problem, Conv2dBias bias) {
  return PlanFor(device, {problem, Direction::kForward, bias});
}

const Conv2dPlan& BackwardDataPlan(Device& device, const Conv2dProblem& problem) {
  return PlanFor(device, {problem, Direction::kBackwardData, Conv2dBias::kNone});
}

const Conv2dPlan& BackwardWeightsPlan(Device& device, const Conv2dProblem& problem, bool want_bias) {
  return PlanFor(device,
                 {problem, Direction::kBackwardWeights, want_bias ? Conv2dBias::kF32 : Conv2dBias::kNone});
}

void RunForward(Device& device, const Conv2dPlan& plan, const void* x, const void* weights, const void* bias,
                void* y) {
  absl::InlinedVector<onednn::Argument, 4> arguments = {{DNNL_ARG_SRC, plan.image, x},
                                                        {DNNL_ARG_WEIGHTS, plan.weights, weights},
                                                        {DNNL_ARG_DST, plan.out_image, y}};
  if (bias != nullptr) arguments.push_back({DNNL_ARG_BIAS, plan.bias, bias});
  onednn::Execute(device, plan.convolution, arguments);
}

void RunBackwardData(Device& device, const Conv2dPlan& plan, const void* dy, const void* weights, void* dx) {
  onednn::Execute(device, plan.convolution,
                  {{DNNL_ARG_DIFF_DST, plan.out_image, dy},
                   {DNNL_ARG_WEIGHTS, plan.weights, weights},
                   {DNNL_ARG_DIFF_SRC, plan.image, dx}});
}

void RunBackwardWeights(Device& device, const Conv2dPlan& plan, const void* x, const void* dy,
                        WeightGradients* grads) {
  Tensor buffer = grads->dw;
  if (plan.reorder.primitive) {
    buffer = Tensor::Empty(device, DType::kU8, {static_cast<int64_t>(plan.weights.get_size())});
  }
  absl::InlinedVector<onednn::Argument, 4> arguments = {{DNNL_ARG_SRC, plan.image, x},
                                                        {DNNL_ARG_DIFF_DST, plan.out_image, dy},
                                                        {DNNL_ARG_DIFF_WEIGHTS, plan.weights, buffer.raw()}};
  if (grads->db.defined()) arguments.push_back({DNNL_ARG_DIFF_BIAS, plan.bias, grads->db.raw()});
  onednn::Execute(device, plan.convolution, arguments);
  if (plan.reorder.primitive) {
    onednn::Execute(
        device, plan.reorder,
        {{DNNL_ARG_FROM, plan.weights, buffer.raw()}, {DNNL_ARG_TO, plan.plain_weights, grads->dw.raw()}});
  }
}

constinit const Conv2dImplementation kConv2dOneDnn = {
    .name = "onednn",
    .supports = Supports,
    .forward = Forward,
    .backward_data = BackwardData,
    .backward_weights = BackwardWeights,
};

}  // namespace halftone::ops
