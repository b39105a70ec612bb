#include <algorithm>

#include "tensor/onednn/onednn.h"
#include "tensor/ops/conv2d/implementations.h"
#include "tensor/ops/conv2d/onednn.h"

namespace halftone::ops {
namespace {

// Images are widened, convolved and narrowed so many at a time that their float32 copies stay in the last
// cache, and no fewer: every chunk is three loops that end with all threads waiting for the slowest.
constexpr int64_t kChunkBytes = int64_t{16} << 20;

int64_t ImagesPerChunk(const Conv2dProblem& p) {
  const int64_t image_bytes = (p.h * p.w * p.c + p.out_h * p.out_w * p.o) * sizeof(float);
  return std::clamp<int64_t>(kChunkBytes / image_bytes, std::min<int64_t>(p.n, 8), p.n);
}

// Calls body(first, count) for the chunks of a batch.
template <typename F>
void ForEachChunk(const Conv2dProblem& p, F&& body) {
  const int64_t chunk = ImagesPerChunk(p);
  for (int64_t first = 0; first < p.n; first += chunk) body(first, std::min(chunk, p.n - first));
}

void Say(const Tensor& t) {
  t.device().SayOnce(
      t.dtype() == DType::kF16
          ? "float16 convolution: 16-bit storage, float32 arithmetic (this CPU has no fast float16)"
          : "bfloat16 convolution: 16-bit storage, float32 arithmetic (this CPU has no fast bfloat16)");
}

// Weights in float32, reordered once for all chunks, or twice where oneDNN wants another layout for the last,
// smaller one.
class WideWeights {
 public:
  explicit WideWeights(const Tensor& w) : wide_(onednn::Widen(w)) {}

  const void* In(const Conv2dPlan& plan) {
    if (!plan.reorder.primitive) return wide_.raw();
    if (plan.weights != desc_) {
      onednn::Reordered(wide_.device(), plan.reorder, plan.plain_weights, wide_.raw(), plan.weights,
                        &reordered_);
      desc_ = plan.weights;
    }
    return reordered_.raw();
  }

 private:
  Tensor wide_, reordered_;
  onednn::Desc desc_;
};

bool Supports(const Conv2dProblem& problem) {
  return !problem.Empty() && (problem.dtype == DType::kF16 || problem.dtype == DType::kBF16);
}

void Forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias, Tensor* y) {
  Say(x);
  Device& device = x.device();
  WideWeights weights(w);
  const Tensor wide_bias = bias.defined() && bias.dtype() != DType::kF32 ? onednn::Widen(bias) : bias;
  const int64_t chunk = ImagesPerChunk(p), x_image = p.h * p.w * p.c, y_image = p.out_h * p.out_w * p.o;
  Tensor wide_x = Tensor::Empty(device, DType::kF32, {chunk, x_image});
  Tensor wide_y = Tensor::Empty(device, DType::kF32, {chunk, y_image});
  ForEachChunk(p, [&](int64_t first, int64_t count) {
    const Conv2dPlan& plan = ForwardPlan(device, p.With(DType::kF32, count),
                                         bias.defined() ? Conv2dBias::kF32 : Conv2dBias::kNone);
    onednn::WidenRange(x, first * x_image, count * x_image, wide_x.data<float>());
    RunForward(device, plan, wide_x.raw(), weights.In(plan), bias.defined() ? wide_bias.raw() : nullptr,
               wide_y.raw());
    onednn::NarrowRange(wide_y.data<float>(), first * y_image, count * y_image, y);
  });
}

void BackwardData(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, Tensor* dx) {
  Say(dy);
  Device& device = dy.device();
  WideWeights weights(w);
  const int64_t chunk = ImagesPerChunk(p), x_image = p.h * p.w * p.c, y_image = p.out_h * p.out_w * p.o;
  Tensor wide_dy = Tensor::Empty(device, DType::kF32, {chunk, y_image});
  Tensor wide_dx = Tensor::Empty(device, DType::kF32, {chunk, x_image});
  ForEachChunk(p, [&](int64_t first, int64_t count) {
    const Conv2dPlan& plan = BackwardDataPlan(device, p.With(DType::kF32, count));
    onednn::WidenRange(dy, first * y_image, count * y_image, wide_dy.data<float>());
    RunBackwardData(device, plan, wide_dy.raw(), weights.In(plan), wide_dx.raw());
    onednn::NarrowRange(wide_dx.data<float>(), first * x_image, count * x_image, dx);
  });
}

// The whole batch at once: dw of a chunk would cost a pass over the weights to add up.
void BackwardWeights(const Conv2dProblem& p, const Tensor& x, const Tensor& dy, WeightGradients* grads) {
  Say(x);
  const Tensor wide_x = onednn::Widen(x), wide_dy = onednn::Widen(dy);
  const Conv2dPlan& plan = BackwardWeightsPlan(x.device(), p.With(DType::kF32, p.n), grads->db.defined());
  RunBackwardWeights(x.device(), plan, wide_x.raw(), wide_dy.raw(), grads);
}

}  // namespace

constinit const Conv2dImplementation kConv2dWidened = {
    .name = "widened",
    .supports = Supports,
    .forward = Forward,
    .backward_data = BackwardData,
    .backward_weights = BackwardWeights,
};

}  // namespace halftone::ops
