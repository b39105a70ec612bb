// Linear maps by oneDNN, on the tensors as they lie: with weights in the layout that oneDNN likes best, the
// reorders of a training step cost more than they gain. Forward as a matrix product, which copies its panels
// as it goes and is up to twice as fast as the inner product; backward as inner products, of which that of
// the weights sums the bias' gradient as well.
#include "tensor/onednn/onednn.h"

#include <cstdint>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "tensor/ops/linear/implementations.h"

namespace halftone::ops {
namespace {

using onednn::Desc;
using onednn::Tag;
using DataType = dnnl::memory::data_type;

enum class Direction : uint8_t { kForward, kBackwardData, kBackwardWeights };
enum class Bias : uint8_t { kNone, kF32, kBF16 };

struct PlanKey {
  DType dtype;
  int64_t m, k, n;
  Direction direction;
  Bias bias;

  friend bool operator==(const PlanKey& a, const PlanKey& b) = default;
  template <typename H>
  friend H AbslHashValue(H state, const PlanKey& key) {
    return H::combine(std::move(state), key.dtype, key.m, key.k, key.n, key.direction, key.bias);
  }
};

struct Plan {
  Desc x, y, w, bias;
  onednn::Primitive product;
};

Plan MakeForward(const dnnl::engine& engine, const PlanKey& key) {
  const DataType type = onednn::TypeOf(key.dtype);
  Plan plan{.x = Desc({key.m, key.k}, type, Tag::ab),
            .y = Desc({key.m, key.n}, type, Tag::ab),
            .w = Desc({key.k, key.n}, type, Tag::ba)};
  if (key.bias != Bias::kNone) {
    plan.bias = Desc({1, key.n}, key.bias == Bias::kF32 ? DataType::f32 : DataType::bf16, Tag::ab);
  }
  plan.product =
      onednn::Make<dnnl::matmul>(onednn::Describe<dnnl::matmul>(engine, plan.x, plan.w, plan.bias, plan.y));
  return plan;
}

Plan MakeBackward(const dnnl::engine& engine, const PlanKey& key) {
  const DataType type = onednn::TypeOf(key.dtype);
  const Desc w({key.n, key.k}, type, Tag::ab);
  Plan plan{.x = Desc({key.m, key.k}, type, Tag::ab), .y = Desc({key.m, key.n}, type, Tag::ab), .w = w};
  if (key.bias != Bias::kNone) plan.bias = Desc({key.n}, DataType::f32, Tag::a);
  const auto forward = onednn::Describe<dnnl::inner_product_forward>(
      engine, dnnl::prop_kind::forward_training, plan.x, w, plan.bias, plan.y);
  if (key.direction == Direction::kBackwardData) {
    plan.product = onednn::Make<dnnl::inner_product_backward_data>(
        onednn::DescribeBackward<dnnl::inner_product_backward_data>(engine, forward, plan.x, w, plan.y));
  } else {
    plan.w = Desc({key.n, key.k}, DataType::f32, Tag::ab);
    plan.product = onednn::Make<dnnl::inner_product_backward_weights>(
        onednn::DescribeBackward<dnnl::inner_product_backward_weights>(engine, forward, plan.x, plan.w,
                                                                       plan.bias, plan.y));
  }
  return plan;
}

const Plan& PlanFor(Device& device, const PlanKey& key) {
  const dnnl::engine& engine = device.Resource<onednn::Engine>().engine;
  return device.Resource<onednn::PlanCache<PlanKey, Plan>>().Get(key, [&] {
    return key.direction == Direction::kForward ? MakeForward(engine, key) : MakeBackward(engine, key);
  });
}

PlanKey Key(const LinearProblem& p, Direction direction, const Tensor& bias) {
  const Bias type = !bias.defined() ? Bias::kNone : bias.dtype() == DType::kF32 ? Bias::kF32 : Bias::kBF16;
  return {p.dtype, p.m, p.k, p.n, direction, type};
}

bool OneDnnSupports(const LinearProblem& p) {
  return !p.Empty() && !p.wide_x && !p.wide_y &&
         (p.dtype == DType::kF32 || (p.dtype == DType::kBF16 && onednn::HasFastBFloat16()));
}

void OneDnnForward(const LinearProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias, Tensor* y) {
  const Plan& plan = PlanFor(w.device(), Key(p, Direction::kForward, bias));
  absl::InlinedVector<onednn::Argument, 4> arguments = {
      {DNNL_ARG_SRC, plan.x, x.raw()}, {DNNL_ARG_WEIGHTS, plan.w, w.raw()}, {DNNL_ARG_DST, plan.y, y->raw()}};
  if (bias.defined()) arguments.push_back({DNNL_ARG_BIAS, plan.bias, bias.raw()});
  onednn::Execute(w.device(), plan.product, arguments);
}

void OneDnnBackwardData(const LinearProblem& p, const Tensor& dy, const Tensor& w, Tensor* dx) {
  const Plan& plan = PlanFor(dy.device(), Key(p, Direction::kBackwardData, Tensor()));
  onednn::Execute(dy.device(), plan.product,
                  {{DNNL_ARG_DIFF_DST, plan.y, dy.raw()},
                   {DNNL_ARG_WEIGHTS, plan.w, w.raw()},
                   {DNNL_ARG_DIFF_SRC, plan.x, dx->raw()}});
}

void OneDnnBackwardWeights(const LinearProblem& p, const Tensor& x, const Tensor& dy,
                           WeightGradients* grads) {
  const Plan& plan = PlanFor(x.device(), Key(p, Direction::kBackwardWeights, grads->db));
  absl::InlinedVector<onednn::Argument, 4> arguments = {{DNNL_ARG_SRC, plan.x, x.raw()},
                                                        {DNNL_ARG_DIFF_DST, plan.y, dy.raw()},
                                                        {DNNL_ARG_DIFF_WEIGHTS, plan.w, grads->dw.raw()}};
  if (grads->db.defined()) arguments.push_back({DNNL_ARG_DIFF_BIAS, plan.bias, grads->db.raw()});
  onednn::Execute(x.device(), plan.product, arguments);
}

}  // namespace

constinit const LinearImplementation kLinearOneDnn = {
    .name = "onednn",
    .supports = OneDnnSupports,
    .forward = OneDnnForward,
    .backward_data = OneDnnBackwardData,
    .backward_weights = OneDnnBackwardWeights,
};

}  // namespace halftone::ops
