#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "nn/functional.h"
#include "nn/optim/parameters.h"
#include "tensor/ops/cast/cast.h"
#include "tensor/ops/elementwise/elementwise.h"

namespace halftone {
namespace {

constexpr int kOptimizer = 0;  // the only one

StepStatistics MakeStatistics(const TrainerOptions& options, const LossScaleOptions& scaling,
                              absl::Span<nn::Parameter* const> params) {
  StepStatisticsOptions statistics = options.statistics;
  statistics.floor_scale = scaling.enabled && scaling.dynamic ? scaling.min_scale : 0;
  std::vector<std::string> names;
  for (const nn::Parameter* p : params) names.push_back(p->path());
  absl::StatusOr<StepStatistics> made = StepStatistics::Create(statistics, std::move(names));
  HALFTONE_CHECK(made.ok());
  return *std::move(made);
}

// Part `part` of `parts` equal ones.
Batch Part(const Batch& batch, int64_t part, int64_t parts) {
  if (parts == 1) return batch;
  const auto rows = [&](const Tensor& whole) {
    std::vector<int64_t> dims(whole.shape().dims().begin(), whole.shape().dims().end());
    HALFTONE_CHECK(dims[0] % parts == 0);
    dims[0] /= parts;
    Tensor tensor = Tensor::Empty(whole.device(), whole.dtype(), Shape(dims));
    std::memcpy(tensor.raw(),
                static_cast<const char*>(whole.raw()) + static_cast<int64_t>(tensor.bytes()) * part,
                tensor.bytes());
    return tensor;
  };
  return {.input = rows(batch.input), .labels = rows(batch.labels)};
}

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
      rng_(options.seed),
      statistics_(MakeStatistics(options, scaler.loss_scale().options(), params_)) {
  if (!options_.weights16.has_value()) return;
  for (nn::Parameter* p : params_) p->SetMaster(ops::Cast(p->master(), *options_.weights16));
  optimizer_->RoundWeights16(options_.weight_rounding, rng_);
}

nn::GraphOptions Trainer::GraphFor(int64_t part) const {
  const bool fallback = scaler_.loss_scale().in_fallback();
  return {.device = &device_,
          .policy = fallback ? &options_.fallback_policy : &options_.policy,
          .overrides = fallback ? options_.fallback_overrides : options_.overrides,
          .rng = rng_.AtStep(static_cast<uint64_t>(step_ * options_.micro_batches + part)),
          .training = true,
          .quantize = step_ >= options_.quantize_from_step,
          .profile = profile_};
}

double Trainer::Differentiate(nn::Graph& graph, const Batch& part, int64_t* correct) {
  const nn::Variable logits = model_->Forward(graph.Input(part.input.To(device_)));
  const Tensor labels = part.labels.To(device_);
  const nn::Variable loss = nn::ClassificationLoss(logits, labels, options_.loss);
  graph.Backward(loss, /*seed=*/scaler_.scale());
  if (correct != nullptr) *correct += nn::CountCorrect(logits.value(), labels);
  return loss.Item();
}

absl::StatusOr<StepResult> Trainer::Step(const Batch& batch) {
  StepResult result = {.scale = scaler_.scale()};
  for (int64_t part = 0; part < options_.micro_batches; ++part) {
    if (options_.micro_batches > 1) RETURN_IF_ERROR(scaler_.BeginMicroBatch(kOptimizer));
    nn::Graph graph(GraphFor(part));
    result.loss += Differentiate(graph, Part(batch, part, options_.micro_batches), &result.correct) /
                   static_cast<double>(options_.micro_batches);
  }
  auto since = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const std::vector<absl::Span<float>> gradients, nn::GradientsOf(params_));
  const bool count_zeros = options_.count_zeros_every > 0 && step_ % options_.count_zeros_every == 0;
  std::vector<int64_t> zeros(count_zeros ? gradients.size() : 0);
  ASSIGN_OR_RETURN(const GradStats grads, scaler_.Unscale(kOptimizer, gradients, absl::MakeSpan(zeros)));
  result.grad_norm = grads.norm;
  float clip_factor = 1;
  if (options_.max_value > 0) {
    RETURN_IF_ERROR(scaler_.ClipByValue(kOptimizer, gradients, options_.max_value));
  } else {
    ASSIGN_OR_RETURN(clip_factor, scaler_.ClipFactor(kOptimizer, options_.max_norm));
  }
  ASSIGN_OR_RETURN(const bool finite, scaler_.ShouldStep(kOptimizer));
  Tell("check gradients", since);
  result.skipped = !finite;
  if (result.skipped && explained_ != options_.explain_overflows) {
    // Before the scale changes.
    result.overflow = Explain(batch);
    ++explained_;
  }
  if (finite) {
    if (before_update_) before_update_();
    StepOptions options = schedule_->At(step_);
    options.gradient_factor = clip_factor;
    nn::Step(*optimizer_, params_, options);
    Tell("optimizer", since);
  }
  ASSIGN_OR_RETURN(result.update, scaler_.Update());
  Watch(result, zeros);
  for (const Warning& w : statistics_.Warnings()) result.warnings.push_back(w.text);
  const absl::Status health = CheckHealth(result, batch);
  nn::ClearGradients(params_);
  RETURN_IF_ERROR(health);
  Tell("other", since);
  ++step_;
  return result;
}

// Profiles the part of a step that ends now, and begins the next.
void Trainer::Tell(absl::string_view part, std::chrono::steady_clock::time_point& since) const {
  if (!profile_) return;
  device_.Synchronize();
  const auto now = std::chrono::steady_clock::now();
  profile_({.op = part, .begin = std::exchange(since, now), .end = now});
}

void Trainer::Watch(const StepResult& result, absl::Span<const int64_t> zeros) {
  std::vector<double> shares;
  for (size_t i = 0; i < zeros.size(); ++i) {
    const auto elements = static_cast<double>(std::max<int64_t>(1, params_[i]->shape().elements()));
    shares.push_back(params_[i]->sparse() ? 0 : static_cast<double>(zeros[i]) / elements);
  }
  statistics_.Add({.loss = result.loss,
                   .grad_norm = result.grad_norm,
                   .skip = !result.skipped              ? SkipReason::kNone
                           : std::isfinite(result.loss) ? SkipReason::kNonFiniteGradients
                                                        : SkipReason::kNonFiniteLoss,
                   .update = result.update,
                   .zero_shares = shares});
}

absl::Status Trainer::CheckHealth(const StepResult& result, const Batch& batch) {
  if (!result.skipped && std::isfinite(result.loss)) return absl::OkStatus();
  const LossScale& loss_scale = scaler_.loss_scale();
  if (!loss_scale.options().enabled) {
    // No smaller scale will mend it.
    const std::string what = std::isfinite(result.loss) ? "gradients became non-finite"
                                                        : absl::StrCat("the loss became ", result.loss);
    return absl::AbortedError(absl::StrCat(what, " in step ", step_ + 1, ": ", FirstNonFinite(result, batch),
                                           "; lower the learning rate, or check the data"));
  }
  if (result.update.action == FloorAction::kRaise) {
    return absl::AbortedError(absl::StrCat(
        loss_scale.state().skipped_in_a_row, " steps in a row, to step ", step_ + 1,
        ", gave gradients that are not finite, with the loss scale down to ", loss_scale.scale(), ": ",
        FirstNonFinite(result, batch), "; lower the learning rate, or train in amp_bf16 or fp32"));
  }
  return absl::OkStatus();
}

// The step once more, on weights and buffers as they are: a skipped step has changed none that it reads.
OverflowReport Trainer::Explain(const Batch& batch) {
  OverflowFinder finder;
  for (int64_t part = 0; part < options_.micro_batches && !finder.report().found; ++part) {
    nn::ClearGradients(params_);
    nn::GraphOptions options = GraphFor(part);
    options.replay = true;
    options.trace = [&](const nn::TraceEvent& event) { finder.See(event); };
    nn::Graph graph(std::move(options));
    Differentiate(graph, Part(batch, part, options_.micro_batches), nullptr);
  }
  return finder.report();
}

// "first in the weights of conv1.weight", "first in the input", "first in backward linear of fc, ...".
std::string Trainer::FirstNonFinite(const StepResult& result, const Batch& batch) {
  for (nn::Parameter* p : params_) {
    if (!ops::AllFinite(p->master())) return absl::StrCat("first in the weights of ", p->path());
  }
  if (IsFloat(batch.input.dtype()) && !ops::AllFinite(batch.input)) return "first in the input";
  const OverflowReport report = result.overflow.has_value() ? *result.overflow : Explain(batch);
  return absl::StrCat("first in ", report.OneLine());
}

Evaluation Trainer::Evaluate(BatchSource& batches) {
  double loss_sum = 0;
  int64_t correct = 0, images = 0;
  for (int64_t b = batches.batches_per_epoch(); b > 0; --b) {
    const Batch batch = batches.Next();
    nn::GraphOptions options = GraphFor(0);
    options.training = false;
    options.gradients = false;
    nn::Graph graph(std::move(options));
    const nn::Variable logits = model_->Forward(graph.Input(batch.input.To(device_)));
    const Tensor labels = batch.labels.To(device_);
    const int64_t n = labels.elements();
    loss_sum += nn::ClassificationLoss(logits, labels, {.softmax = options_.loss.softmax}).Item() * static_cast<double>(n);
    correct += nn::CountCorrect(logits.value(), labels);
    images += n;
  }
  return {.loss = loss_sum / static_cast<double>(images),
          .accuracy = static_cast<double>(correct) / static_cast<double>(images)};
}

}  // namespace halftone
