#include "train/trainer.h"

#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nn/functional.h"
#include "tensor/ops/cross_entropy/cross_entropy.h"
#include "tensor/ops/elementwise/elementwise.h"

namespace halftone {
namespace {

constexpr int kOptimizer = 0;  // the only one

nn::Module& Initialized(nn::Module& model, Device& device, const Rng& rng) {
  nn::Initialize(model, device, rng);
  return model;
}

}  // namespace

Trainer::Trainer(Device& device, std::unique_ptr<nn::Module> model, std::unique_ptr<Optimizer> optimizer,
                 std::unique_ptr<Schedule> schedule, const GradScaler& scaler, const TrainerOptions& options)
    : device_(device),
      model_(std::move(model)),
      params_(nn::Parameters(Initialized(*model_, device, Rng(options.seed)))),
      optimizer_(std::move(optimizer)),
      schedule_(std::move(schedule)),
      scaler_(scaler),
      options_(options),
      rng_(options.seed) {}

absl::StatusOr<StepResult> Trainer::Step(const Batch& batch) {
  nn::Graph graph(
      {.device = &device_, .policy = &Policy(), .rng = rng_.AtStep(step_), .training = true});
  const nn::Variable logits = model_->Forward(graph.Input(batch.images));
  const nn::Variable loss = nn::CrossEntropy(logits, batch.labels, options_.label_smoothing);
  graph.Backward(loss, /*seed=*/scaler_.scale());

  StepResult result = {.loss = loss.Item(),
                       .correct = ops::CountCorrect(logits.value(), batch.labels),
                       .scale = scaler_.scale()};
  const std::vector<absl::Span<float>> gradients = Gradients();
  ASSIGN_OR_RETURN(const GradStats grads, scaler_.Unscale(kOptimizer, gradients));
  result.grad_norm = grads.norm;
  RETURN_IF_ERROR(scaler_.ClipByGlobalNorm(kOptimizer, gradients, options_.max_norm));
  ASSIGN_OR_RETURN(const bool finite, scaler_.ShouldStep(kOptimizer));
  if (finite) {
    optimizer_->Step(Params(), schedule_->At(step_));
    MarkWeightsUpdated();
  }
  ASSIGN_OR_RETURN(result.update, scaler_.Update());
  result.skipped = !finite;
  const absl::Status health = CheckHealth(result, batch);
  for (nn::Parameter* p : params_) p->ClearGradient();
  RETURN_IF_ERROR(health);
  ++step_;
  return result;
}

std::vector<absl::Span<float>> Trainer::Gradients() {
  std::vector<absl::Span<float>> gradients;
  gradients.reserve(params_.size());
  for (nn::Parameter* p : params_) gradients.push_back(p->mutable_gradient().span<float>());
  return gradients;
}

std::vector<ParamRef> Trainer::Params() {
  std::vector<ParamRef> refs;
  refs.reserve(params_.size());
  for (nn::Parameter* p : params_) {
    ParamRef ref = {.name = p->path(), .value = p->mutable_master().span<float>(), .grad = {}};
    if (p->gradient().defined()) ref.grad = p->gradient().span<float>();
    refs.push_back(ref);
  }
  return refs;
}

void Trainer::MarkWeightsUpdated() {
  for (nn::Parameter* p : params_) p->MarkUpdated();
}

const nn::CastPolicy& Trainer::Policy() const {
  return scaler_.loss_scale().in_fallback() ? options_.fallback_policy : options_.policy;
}

absl::Status Trainer::CheckHealth(const StepResult& result, const Batch& batch) {
  if (!result.skipped && std::isfinite(result.loss)) return absl::OkStatus();
  const LossScale& loss_scale = scaler_.loss_scale();
  if (!loss_scale.options().enabled) {
    // No smaller scale will mend it.
    const std::string what = std::isfinite(result.loss) ? "gradients became non-finite" : absl::StrCat("the loss became ", result.loss);
    return absl::AbortedError(absl::StrCat(what, " in step ", step_ + 1, ": ", FirstNonFinite(batch),
                                           "; lower the learning rate, or check the data"));
  }
  if (result.update.action == FloorAction::kRaise) {
    return absl::AbortedError(absl::StrCat(loss_scale.state().skipped_in_a_row, " steps in a row, to step ", step_ + 1,
                                           ", gave gradients that are not finite, with the loss scale down to ",
                                           loss_scale.scale(), ": ", FirstNonFinite(batch),
                                           "; lower the learning rate, or train in amp_bf16 or fp32"));
  }
  return absl::OkStatus();
}

// "first in the weights of conv1.weight", "first in the output of bn2", "first in the gradient of fc.bias".
std::string Trainer::FirstNonFinite(const Batch& batch) {
  for (nn::Parameter* p : params_) {
    if (!ops::AllFinite(p->master())) return absl::StrCat("first in the weights of ", p->path());
  }
  if (!ops::AllFinite(batch.images)) return "first in the input";
  std::string where;
  nn::Graph graph({.device = &device_,
                   .policy = &Policy(),
                   .rng = rng_.AtStep(step_),
                   .training = true,
                   .gradients = false,
                   .observe = [&where](const std::string& path, const Tensor& output) {
                     if (where.empty() && !ops::AllFinite(output)) where = absl::StrCat("first in the output of ", path);
                   }});
  model_->Forward(graph.Input(batch.images));
  if (!where.empty()) return where;
  // Backward goes from the last layer to the first: that is where it began.
  for (auto p = params_.rbegin(); p != params_.rend(); ++p) {
    if ((*p)->gradient().defined() && !ops::AllFinite((*p)->gradient())) {
      return absl::StrCat("first in the gradient of ", (*p)->path());
    }
  }
  return "first in the loss itself";
}

Evaluation Trainer::Evaluate(DataLoader& loader) {
  double loss_sum = 0;
  int64_t correct = 0, images = 0;
  for (int64_t b = loader.batches_per_epoch(); b > 0; --b) {
    const Batch batch = loader.Next();
    nn::Graph graph({.device = &device_, .policy = &Policy(), .gradients = false});
    const nn::Variable logits = model_->Forward(graph.Input(batch.images));
    const int64_t n = batch.labels.elements();
    loss_sum += nn::CrossEntropy(logits, batch.labels).Item() * static_cast<double>(n);
    correct += ops::CountCorrect(logits.value(), batch.labels);
    images += n;
  }
  return {.loss = loss_sum / static_cast<double>(images),
          .accuracy = static_cast<double>(correct) / static_cast<double>(images)};
}

}  // namespace halftone
