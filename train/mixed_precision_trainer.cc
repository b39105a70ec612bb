#include "train/mixed_precision_trainer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "fp16/convert.h"
#include "io/array.h"
#include "io/array_writer.h"
#include "io/element_type.h"
#include "io/safetensors/safetensors.h"
#include "nn/optim/sgd.h"
#include "train/checkpoint/numerics_state.h"
#include "train/config.h"

namespace halftone {
namespace {

constexpr int kOptimizer = 0;  // the only one
constexpr char kStateKey[] = "halftone.mixed_precision";

template <typename T>
constexpr ElementType kElementType = std::is_same_v<T, half> ? ElementType::kF16 : ElementType::kBF16;

template <typename U>
absl::Span<const char> Bytes(absl::Span<const U> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(U)};
}

}  // namespace

template <typename T>
MixedPrecisionTrainer<T>::MixedPrecisionTrainer(const MixedPrecisionOptions& options,
                                                std::unique_ptr<Optimizer> optimizer)
    : options_(options), optimizer_(std::move(optimizer)) {}

template <typename T>
absl::StatusOr<MixedPrecisionTrainer<T>> MixedPrecisionTrainer<T>::Create(
    const MixedPrecisionOptions& options, std::unique_ptr<Optimizer> optimizer) {
  if (options.max_norm > 0 && options.max_value > 0) {
    return absl::InvalidArgumentError(
        "gradients are clipped by their norm or by value: max_norm and max_value are both set");
  }
  if (options.loss_scale.floor_policy == FloorPolicy::kFallback) {
    return absl::InvalidArgumentError(
        "loss scale: floor_policy is kFallback, but the precision is the caller's own; expected kSkip or "
        "kError");
  }
  if (optimizer == nullptr) {
    ASSIGN_OR_RETURN(optimizer, MakeSgd({}));
  }
  MixedPrecisionTrainer trainer(options, std::move(optimizer));
  trainer.options_.statistics.floor_scale =
      options.loss_scale.enabled && options.loss_scale.dynamic ? options.loss_scale.min_scale : 0;
  RETURN_IF_ERROR(trainer.Reset());
  return trainer;
}

template <typename T>
absl::Status MixedPrecisionTrainer<T>::Reset() {
  ASSIGN_OR_RETURN(GradScaler scaler, GradScaler::Create(options_.loss_scale));
  ASSIGN_OR_RETURN(StepStatistics statistics, StepStatistics::Create(options_.statistics));
  RETURN_IF_ERROR(optimizer_->Restore({}, {}));
  scaler_ = std::move(scaler);
  statistics_ = std::move(statistics);
  weights_.reset();
  names_.clear();
  scaled_.clear();
  gradients_.clear();
  step_ = 0;
  return absl::OkStatus();
}

template <typename T>
absl::Status MixedPrecisionTrainer<T>::InitializeWeights(absl::Span<const absl::Span<const float>> weights) {
  if (weights_.has_value()) {
    return absl::FailedPreconditionError(
        "the trainer has its weights already: call Reset before InitializeWeights");
  }
  if (weights.empty()) return absl::InvalidArgumentError("InitializeWeights was given no weights");
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto bad =
        std::find_if(weights[i].begin(), weights[i].end(), [](float w) { return !std::isfinite(w); });
    if (bad == weights[i].end()) continue;
    return absl::InvalidArgumentError(absl::StrCat("weight ", bad - weights[i].begin(), " of tensor ", i,
                                                   " is ", *bad, ", expected a finite number"));
  }
  weights_.emplace(WeightManagerOptions{.stochastic = options_.stochastic_rounding, .seed = options_.seed},
                   weights);
  for (size_t i = 0; i < weights.size(); ++i) {
    names_.push_back(absl::StrCat(i));
    scaled_.emplace_back(weights[i].size());
    gradients_.emplace_back(weights[i].size());
  }
  return optimizer_->Restore(Params(), {});
}

template <typename T>
std::vector<ParamRef> MixedPrecisionTrainer<T>::Params() {
  std::vector<ParamRef> params;
  for (size_t i = 0; i < names_.size(); ++i) {
    params.push_back({.name = names_[i], .value = weights_->MutableMaster(i), .grad = gradients_[i]});
  }
  return params;
}

template <typename T>
absl::StatusOr<MixedPrecisionStep> MixedPrecisionTrainer<T>::TrainStep(absl::Span<const float> x,
                                                                       absl::Span<const float> y,
                                                                       GradientFunction gradients,
                                                                       double learning_rate) {
  if (!weights_.has_value()) {
    return absl::FailedPreconditionError(
        "the trainer has no weights: call InitializeWeights before TrainStep");
  }
  if (!(learning_rate >= 0 && std::isfinite(learning_rate))) {
    return absl::InvalidArgumentError(
        absl::StrCat("the learning rate is ", learning_rate, ", expected a finite number, at least 0"));
  }
  std::vector<T> inputs(x.size());
  Convert(x.data(), inputs.data(), x.size());
  weights_->Sync();
  GradientCall<T> call = {.x = inputs, .y = y, .scale = scaler_->scale()};
  for (size_t i = 0; i < names_.size(); ++i) {
    std::fill(scaled_[i].begin(), scaled_[i].end(), T(0.0f));
    call.weights.push_back(weights_->Working(i));
    call.gradients.push_back(absl::MakeSpan(scaled_[i]));
  }
  MixedPrecisionStep result;
  ASSIGN_OR_RETURN(result.loss, gradients(call));

  const std::vector<absl::Span<const T>> scaled(scaled_.begin(), scaled_.end());
  std::vector<absl::Span<float>> unscaled;
  for (std::vector<float>& g : gradients_) unscaled.push_back(absl::MakeSpan(g));
  ASSIGN_OR_RETURN(const GradStats stats,
                   scaler_->Unscale(kOptimizer, absl::Span<const absl::Span<const T>>(scaled), unscaled));
  result.grad_norm = stats.norm;
  float clip_factor = 1;
  if (options_.max_value > 0) {
    RETURN_IF_ERROR(scaler_->ClipByValue(kOptimizer, unscaled, options_.max_value));
  } else {
    ASSIGN_OR_RETURN(clip_factor, scaler_->ClipFactor(kOptimizer, options_.max_norm));
  }
  ASSIGN_OR_RETURN(const bool finite, scaler_->ShouldStep(kOptimizer));
  result.skipped = !finite;
  ++step_;
  if (finite) {
    weights_->StartStep(step_);
    optimizer_->Step(Params(), {.learning_rate = learning_rate, .gradient_factor = clip_factor});
    weights_->Sync();
  }
  ASSIGN_OR_RETURN(result.update, scaler_->Update());
  statistics_->Add({.loss = result.loss,
                    .grad_norm = result.grad_norm,
                    .skip = finite ? SkipReason::kNone : SkipReason::kNonFiniteGradients,
                    .update = result.update});
  if (result.update.action == FloorAction::kRaise) {
    return absl::AbortedError(absl::StrCat(scaler_->loss_scale().state().skipped_in_a_row,
                                           " steps in a row, to step ", step_,
                                           ", gave gradients that are not finite, with the loss scale at ",
                                           scaler_->scale(), "; lower the learning rate, or use bfloat16"));
  }
  return result;
}

template <typename T>
MixedPrecisionStats MixedPrecisionTrainer<T>::stats() const {
  const StepSummary& totals = statistics_->totals();
  return {.total_steps = totals.steps,
          .skipped_steps = totals.skipped(),
          .overflow_rate = totals.overflow_rate(),
          .current_scale = current_scale(),
          .avg_grad_norm = totals.avg_grad_norm(),
          .scale_increases = totals.scale_increases,
          .scale_decreases = totals.scale_decreases};
}

template <typename T>
absl::Status MixedPrecisionTrainer<T>::Save(const std::string& path) {
  if (!weights_.has_value())
    return absl::FailedPreconditionError("there is nothing to save: the trainer has no weights");
  const WeightManagerState<T> weights = weights_->State();
  const OptimizerState optimizer = optimizer_->State();
  MixedPrecisionProto state;
  *state.mutable_loss_scale() = ToProto(scaler_->loss_scale().state());
  *state.mutable_statistics() = ToProto(statistics_->state());
  state.set_step(static_cast<int64_t>(step_));
  state.set_optimizer_steps(optimizer.steps);

  std::vector<FileArray> arrays;
  std::map<std::string, absl::Span<const char>> bytes;
  const auto add = [&](std::string name, ElementType type, auto values) {
    arrays.push_back({.name = name, .type = type, .shape = {static_cast<int64_t>(values.size())}});
    bytes[std::move(name)] = Bytes(values);
  };
  for (size_t i = 0; i < names_.size(); ++i) {
    add(absl::StrCat("master/", i), ElementType::kF32, weights.masters[i]);
    add(absl::StrCat("working/", i), kElementType<T>, weights.working[i]);
  }
  for (const StateTensor& t : optimizer.tensors)
    add(absl::StrCat("optimizer/", t.name), ElementType::kF32, t.value);
  ASSIGN_OR_RETURN(
      const std::unique_ptr<ArrayWriter> writer,
      ArrayWriter::CreateSafetensors(path, std::move(arrays), {{kStateKey, PrintConfig(state)}}));
  for (const FileArray& array : writer->arrays()) RETURN_IF_ERROR(writer->Append(bytes[array.name]));
  return writer->Commit();
}

template <typename T>
absl::Status MixedPrecisionTrainer<T>::Load(const std::string& path) {
  if (!weights_.has_value()) {
    return absl::FailedPreconditionError("the trainer has no weights: call InitializeWeights before Load");
  }
  ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::Open(path));
  const auto text = reader.metadata().find(kStateKey);
  if (text == reader.metadata().end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " was not saved by MixedPrecisionTrainer: its metadata has no ", kStateKey));
  }
  MixedPrecisionProto state;
  RETURN_IF_ERROR(MergeText(text->second, absl::StrCat(path, " (", kStateKey, ")"), state));
  if (state.step() < 0) return absl::DataLossError(absl::StrCat(path, ": it is of step ", state.step()));

  // All of it is read, and compared with what is here, before anything changes.
  std::vector<std::vector<float>> masters(names_.size());
  std::vector<std::vector<T>> working(names_.size());
  WeightManagerState<T> weights = {.step = static_cast<uint64_t>(state.step())};
  const auto read = [&](const std::string& name, DType dtype, auto& to) -> absl::Status {
    const ArrayInfo* info = reader.Find(name);
    if (info == nullptr || info->dtype != dtype || info->bytes != to.size() * SizeOf(dtype)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": ", name, " is missing or is not ", to.size(),
                                                     " ", NameOf(dtype),
                                                     " numbers, as this trainer has them"));
    }
    return reader.ReadInto(name, absl::MakeSpan(reinterpret_cast<char*>(to.data()), info->bytes));
  };
  for (size_t i = 0; i < names_.size(); ++i) {
    masters[i].resize(scaled_[i].size());
    working[i].resize(scaled_[i].size());
    RETURN_IF_ERROR(read(absl::StrCat("master/", i), DType::kF32, masters[i]));
    RETURN_IF_ERROR(read(absl::StrCat("working/", i), kDTypeOf<T>, working[i]));
    weights.masters.push_back(masters[i]);
    weights.working.push_back(working[i]);
  }
  OptimizerState optimizer = {.steps = state.optimizer_steps()};
  std::vector<std::vector<float>> remembered;
  remembered.reserve(reader.arrays().size());
  for (const ArrayInfo& info : reader.arrays()) {
    absl::string_view name = info.name;
    if (!absl::ConsumePrefix(&name, "optimizer/")) continue;
    remembered.emplace_back(info.bytes / sizeof(float));
    RETURN_IF_ERROR(read(info.name, DType::kF32, remembered.back()));
    optimizer.tensors.push_back({std::string(name), remembered.back()});
  }
  GradScaler scaler = *scaler_;
  StepStatistics statistics = *statistics_;
  ASSIGN_OR_RETURN(const StepStatisticsState saved, FromProto(state.statistics()));
  RETURN_IF_ERROR(scaler.Restore(FromProto(state.loss_scale())));
  RETURN_IF_ERROR(statistics.Restore(saved));
  RETURN_IF_ERROR(optimizer_->Restore(Params(), optimizer));
  const absl::Status restored = weights_->Restore(weights);
  HALFTONE_CHECK(restored.ok());  // the sizes were compared above
  scaler_ = std::move(scaler);
  statistics_ = std::move(statistics);
  step_ = static_cast<uint64_t>(state.step());
  return absl::OkStatus();
}

template class MixedPrecisionTrainer<half>;
template class MixedPrecisionTrainer<bfloat16>;

}  // namespace halftone
