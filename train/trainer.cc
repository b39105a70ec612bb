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
#include "nn/optim/device_scaler.h"
#include "nn/optim/parameters.h"
#include "nn/quantizer.h"
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
    const size_t offset = tensor.bytes() * static_cast<size_t>(part);
    if (Accelerator* const accelerator = whole.device().accelerator()) {
      accelerator->Copy(tensor.device_raw(), static_cast<const char*>(whole.device_raw()) + offset,
                        tensor.bytes());
    } else {
      std::memcpy(tensor.raw(), static_cast<const char*>(whole.raw()) + offset, tensor.bytes());
    }
    return tensor;
  };
  return {.input = rows(batch.input), .labels = rows(batch.labels)};
}

Tensor Scalar(Device& device, float value) {
  return Tensor::From<float>(device, {}, absl::MakeConstSpan(&value, 1));
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
  // A fallback needs the host to know of each step at once.
  if (device.accelerator() != nullptr &&
      scaler.loss_scale().options().floor_policy != FloorPolicy::kFallback) {
    device_scaler_ = std::make_unique<nn::DeviceScaler>(device, scaler.loss_scale());
    device_state_ = scaler.loss_scale().state();
    schedule_now_ = Tensor::Zeros(device, DType::kF64, {2});
  }
  if (!options_.weights16.has_value()) return;
  for (nn::Parameter* p : params_) {
    if (!nn::BelongsToQuantizer(p->path())) p->SetMaster(ops::Cast(p->master(), *options_.weights16));
  }
  optimizer_->RoundWeights16(options_.weight_rounding, rng_);
}

nn::GraphOptions Trainer::GraphFor(int64_t part) const {
  const bool fallback = scaler_.loss_scale().in_fallback();
  return {.device = &device_,
          .policy = fallback ? &options_.fallback_policy : &options_.policy,
          .overrides = fallback ? options_.fallback_overrides : options_.overrides,
          .rng = rng_.AtStep(static_cast<uint64_t>(step_ * options_.micro_batches + part)),
          .training = true,
          .quantize = Quantizes(),
          .profile = profile_};
}

void Trainer::Differentiate(nn::Graph& graph, const Batch& part, const Tensor& seed, Tally* tally) {
  const nn::Variable logits = model_->Forward(graph.Input(part.input.To(device_)));
  const Tensor labels = part.labels.To(device_);
  const nn::Variable loss = nn::ClassificationLoss(logits, labels, options_.loss);
  graph.Backward(loss, seed);
  if (tally == nullptr) return;
  tally->losses.push_back(loss.value());
  tally->corrects.push_back(nn::CountCorrect(logits.value(), labels));
}

void Trainer::DifferentiateParts(const Batch& batch, const Tensor& seed, Tally& tally) {
  for (int64_t part = 0; part < options_.micro_batches; ++part) {
    nn::Graph graph(GraphFor(part));
    Differentiate(graph, Part(batch, part, options_.micro_batches), seed, &tally);
    tally.random |= graph.random();
  }
}

void Trainer::Read(const Tally& tally, StepResult& result) {
  const auto parts = static_cast<double>(tally.losses.size());
  for (const Tensor& loss : tally.losses) result.loss += ops::Item(loss) / parts;
  for (const Tensor& correct : tally.corrects) result.correct += *correct.data<int64_t>();
}

bool Trainer::CountsZeros() const {
  return options_.count_zeros_every > 0 && step_ % options_.count_zeros_every == 0;
}

absl::StatusOr<StepResult> Trainer::Step(const Batch& batch) {
  if (device_scaler_ == nullptr) return StepOnHost(batch);
  HALFTONE_CHECK(pending_.empty());
  RETURN_IF_ERROR(StepOnDevice(batch));
  ASSIGN_OR_RETURN(std::vector<StepResult> results, Finish());
  return std::move(results.back());
}

absl::StatusOr<std::vector<StepResult>> Trainer::Enqueue(const Batch& batch) {
  if (device_scaler_ == nullptr) {
    ASSIGN_OR_RETURN(StepResult result, StepOnHost(batch));
    return std::vector<StepResult>{std::move(result)};
  }
  RETURN_IF_ERROR(StepOnDevice(batch));
  if (static_cast<int64_t>(pending_.size()) < options_.read_every) return std::vector<StepResult>();
  return Finish();
}

absl::StatusOr<std::vector<StepResult>> Trainer::Finish() {
  std::vector<StepResult> results;
  if (pending_.empty()) return results;
  device_.Synchronize();
  RETURN_IF_ERROR(device_.status());
  const int64_t taken = step_;
  for (const Pending& pending : std::exchange(pending_, {})) {
    step_ = pending.step;
    absl::StatusOr<StepResult> result = ReadStep(pending);
    step_ = taken;
    RETURN_IF_ERROR(result.status());
    results.push_back(*std::move(result));
  }
  return results;
}

absl::StatusOr<StepResult> Trainer::StepOnHost(const Batch& batch) {
  StepResult result = {.step = step_ + 1, .examples = batch.labels.elements(), .scale = scaler_.scale()};
  if (options_.micro_batches > 1) {
    for (int64_t part = 0; part < options_.micro_batches; ++part)
      RETURN_IF_ERROR(scaler_.BeginMicroBatch(kOptimizer));
  }
  Tally tally;
  DifferentiateParts(batch, Scalar(device_, scaler_.scale()), tally);
  Read(tally, result);
  RETURN_IF_ERROR(device_.status());
  auto since = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const std::vector<absl::Span<float>> gradients, nn::GradientsOf(params_));
  std::vector<int64_t> zeros(CountsZeros() ? gradients.size() : 0);
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
  MaybeExplain(batch, result);
  if (finite) {
    if (before_update_) before_update_();
    StepOptions options = schedule_->At(step_);
    options.gradient_factor = clip_factor;
    nn::Step(*optimizer_, params_, options);
    Tell("optimizer", since);
  }
  ASSIGN_OR_RETURN(result.update, scaler_.Update());
  const absl::Status health = Conclude(batch, zeros, result);
  nn::ClearGradients(params_);
  RETURN_IF_ERROR(health);
  Tell("other", since);
  ++step_;
  return result;
}

// The same with everything left on the device, and nothing waited for.
absl::Status Trainer::StepOnDevice(const Batch& batch) {
  if (pending_.empty() && scaler_.loss_scale().state() != device_state_) {
    device_state_ = scaler_.loss_scale().state();
    RETURN_IF_ERROR(device_scaler_->Restore(device_state_));
  }
  const StepOptions schedule = schedule_->At(step_);
  const double now[] = {schedule.learning_rate, schedule.momentum.value_or(std::nan(""))};
  schedule_now_.CopyFrom(Tensor::From<double>(device_.host(), {2}, now));

  Pending pending = {.step = step_, .batch = {batch.input.To(device_), batch.labels.To(device_)}};
  if (CountsZeros()) {
    pending.zeros = Tensor::Empty(device_, DType::kI64, {static_cast<int64_t>(params_.size())});
  }
  const bool plain = record_ && !profile_ && !before_update_ && !pending.zeros.defined();
  if (plain && CanReplay(pending.batch)) {
    recording_->batch.input.CopyFrom(pending.batch.input);
    recording_->batch.labels.CopyFrom(pending.batch.labels);
    device_.accelerator()->Replay(recording_->steps);
    ForgetWorkingCopies();
    for (const Tensor& t : recording_->tally.losses) pending.tally.losses.push_back(t.Clone());
    for (const Tensor& t : recording_->tally.corrects) pending.tally.corrects.push_back(t.Clone());
    pending.report = recording_->report.Clone();
  } else {
    MakeRoom();
    const int64_t waits = device_.accelerator()->waits();
    RETURN_IF_ERROR(Compute(pending.batch, pending.zeros, pending.tally));
    pending.report = device_scaler_->Snapshot();
    const bool alike = device_.accelerator()->waits() == waits && !pending.tally.random;
    if (recording_ != nullptr && recording_->quantize != Quantizes()) DropRecording();
    // At once: nothing that the host knows, and no plan of a library, can have changed in between.
    if (plain && alike && recording_ == nullptr) RETURN_IF_ERROR(Record(pending.batch));
  }
  pending_.push_back(std::move(pending));
  ++step_;
  return absl::OkStatus();
}

absl::Status Trainer::Compute(const Batch& batch, const Tensor& zeros, Tally& tally) {
  DifferentiateParts(batch, device_scaler_->scale(), tally);
  auto since = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(device_scaler_->Unscale(params_, {.micro_batches = options_.micro_batches,
                                                    .max_norm = options_.max_norm,
                                                    .max_value = options_.max_value,
                                                    .zeros = zeros}));
  Tell("check gradients", since);
  if (before_update_) before_update_();
  DeviceStep known = device_scaler_->known();
  known.schedule = schedule_now_;
  nn::Step(*optimizer_, params_, {}, known);
  Tell("optimizer", since);
  device_scaler_->Update();
  nn::ClearGradients(params_);
  Tell("other", since);
  return absl::OkStatus();
}

// The step that was just taken, once more: it is recorded, not done.
absl::Status Trainer::Record(const Batch& batch) {
  auto recording = std::make_unique<Recording>();
  recording->quantize = Quantizes();
  absl::Status computed;
  bool begun = false, fits = true;
  device_.allocator().BeginPool();
  try {
    recording->batch = {batch.input.Clone(), batch.labels.Clone()};
    device_.accelerator()->BeginRecording();
    begun = true;
    computed = Compute(recording->batch, Tensor(), recording->tally);
    recording->report = device_scaler_->Snapshot();
  } catch (const OutOfMemory&) {  // there is enough for a step, and not for a second one's memory beside it
    fits = false;
    recording->tally = {};
    nn::ClearGradients(params_);
    device_scaler_->Abandon();
  }
  if (begun) recording->steps = device_.accelerator()->EndRecording();
  recording->pool = device_.allocator().EndPool();
  ForgetWorkingCopies();
  RETURN_IF_ERROR(computed);
  if (!fits) {
    record_ = false;
    return absl::OkStatus();
  }
  if (recording->steps == nullptr) return device_.accelerator()->status();
  recording_ = std::move(recording);
  return absl::OkStatus();
}

// A recorded step makes the working copies that it needs, and changes weights where the host does not see it:
// what the host thinks of its copies does not hold. Those of 16 bits beside float32 masters are updated with
// them.
void Trainer::ForgetWorkingCopies() {
  for (nn::Parameter* p : params_) {
    if (p->mutable_working16() == nullptr) p->MarkUpdated();
  }
}

// A recording keeps the memory of a step. Where there is not as much again, what is computed beside it needs
// it: it is recorded anew.
void Trainer::MakeRoom() {
  if (recording_ == nullptr) return;
  const auto free = static_cast<int64_t>(device_.accelerator()->FreeBytes());
  if (free < CachingAllocator::PoolBytes(recording_->pool)) DropRecording();
}

void Trainer::DropRecording() {
  device_.Synchronize();  // it may be under way
  recording_ = nullptr;
}

bool Trainer::CanReplay(const Batch& batch) const {
  return recording_ != nullptr && recording_->quantize == Quantizes() &&
         recording_->batch.input.shape() == batch.input.shape() &&
         recording_->batch.input.dtype() == batch.input.dtype() &&
         recording_->batch.labels.shape() == batch.labels.shape() &&
         recording_->batch.labels.dtype() == batch.labels.dtype();
}

absl::StatusOr<StepResult> Trainer::ReadStep(const Pending& pending) {
  const nn::ScalerReport report = nn::DeviceScaler::Read(pending.report);
  StepResult result = {.step = pending.step + 1,
                       .examples = pending.batch.labels.elements(),
                       .grad_norm = report.grads.norm,
                       .scale = report.update.old_scale,
                       .skipped = !report.grads.finite,
                       .update = report.update};
  Read(pending.tally, result);
  MaybeExplain(pending.batch, result);
  RETURN_IF_ERROR(scaler_.Restore(report.loss_scale));
  device_state_ = report.loss_scale;
  const absl::Span<const int64_t> zeros =
      pending.zeros.defined() ? pending.zeros.span<int64_t>() : absl::Span<const int64_t>();
  RETURN_IF_ERROR(Conclude(pending.batch, zeros, result));
  return result;
}

// Before the scale changes.
void Trainer::MaybeExplain(const Batch& batch, StepResult& result) {
  if (!result.skipped || explained_ == options_.explain_overflows) return;
  result.overflow = Explain(batch);
  ++explained_;
}

absl::Status Trainer::Conclude(const Batch& batch, absl::Span<const int64_t> zeros, StepResult& result) {
  Watch(result, zeros);
  for (const Warning& w : statistics_.Warnings()) result.warnings.push_back(w.text);
  return CheckHealth(result, batch);
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
// Leaves no gradients.
OverflowReport Trainer::Explain(const Batch& batch) {
  MakeRoom();
  OverflowFinder finder;
  for (int64_t part = 0; part < options_.micro_batches && !finder.report().found; ++part) {
    nn::ClearGradients(params_);
    nn::GraphOptions options = GraphFor(part);
    options.replay = true;
    options.trace = [&](const nn::TraceEvent& event) { finder.See(event); };
    nn::Graph graph(std::move(options));
    Differentiate(graph, Part(batch, part, options_.micro_batches), Scalar(device_, scaler_.scale()),
                  nullptr);
  }
  nn::ClearGradients(params_);
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

absl::StatusOr<Evaluation> Trainer::Evaluate(BatchSource& batches) {
  MakeRoom();
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
    loss_sum += nn::ClassificationLoss(logits, labels, {.softmax = options_.loss.softmax}).Item() *
                static_cast<double>(n);
    correct += *nn::CountCorrect(logits.value(), labels).data<int64_t>();
    images += n;
  }
  RETURN_IF_ERROR(device_.status());
  return Evaluation{.loss = loss_sum / static_cast<double>(images),
                    .accuracy = static_cast<double>(correct) / static_cast<double>(images)};
}

}  // namespace halftone
