#include "train/build.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "models/model.h"
#include "nn/optim/adam.h"
#include "nn/optim/sgd.h"
#include "quant/formats.h"
#include "tensor/cuda/math_options.h"

namespace halftone {
namespace {

double PeakLearningRate(const OptimizerConfig& config) {
  if (config.has_adam()) return config.adam().learning_rate();
  if (config.has_adamw()) return config.adamw().learning_rate();
  return config.sgd().learning_rate();
}

Anneal AnnealOf(OneCycleConfig::Anneal anneal) {
  return anneal == OneCycleConfig::COSINE ? Anneal::kCosine : Anneal::kLinear;
}

Decay DecayOf(LinearWarmupConfig::Decay decay) {
  switch (decay) {
    case LinearWarmupConfig::LINEAR:
      return Decay::kLinear;
    case LinearWarmupConfig::COSINE:
      return Decay::kCosine;
    case LinearWarmupConfig::CONSTANT:
      break;
  }
  return Decay::kConstant;
}

WeightRounding RoundingOf(PrecisionConfig::WeightRounding rounding) {
  switch (rounding) {
    case PrecisionConfig::KAHAN:
      return WeightRounding::kKahan;
    case PrecisionConfig::NEAREST:
      return WeightRounding::kNearest;
    case PrecisionConfig::STOCHASTIC:
      break;
  }
  return WeightRounding::kStochastic;
}

// The enumerators of the proto are in the order of these.
constexpr nn::ScaleSource kScaleSources[] = {nn::ScaleSource::kCurrent,    nn::ScaleSource::kDelayed,
                                             nn::ScaleSource::kPercentile, nn::ScaleSource::kMse,
                                             nn::ScaleSource::kLearned,    nn::ScaleSource::kNone};
constexpr BlockScaleRule kBlockRules[] = {BlockScaleRule::kFloor, BlockScaleRule::kCeil,
                                          BlockScaleRule::kEven, BlockScaleRule::kRceil};
constexpr nn::CodebookStart kCodebookStarts[] = {nn::CodebookStart::kGrid, nn::CodebookStart::kQuantiles,
                                                 nn::CodebookStart::kAdditivePowersOfTwo};

amp::QuantizationRule RuleOf(const QuantizeConfig& c) {
  amp::QuantizationRule rule = {.path = c.path()};
  for (const int role : c.role()) rule.roles.push_back(static_cast<amp::Role>(role));
  if (c.has_format()) rule.format = c.format();
  if (c.has_scale()) rule.scale = kScaleSources[c.scale()];
  if (c.has_per_channel()) rule.per_channel = c.per_channel();
  if (c.has_history()) rule.history = c.history();
  if (c.has_percentile()) rule.percentile = c.percentile();
  if (c.has_rounding()) {
    rule.rounding =
        c.rounding() == QuantizeConfig::STOCHASTIC ? Rounding::kStochastic : Rounding::kNearestEven;
  }
  if (c.has_block_rule()) rule.block_rule = kBlockRules[c.block_rule()];
  if (c.has_block_size()) rule.block_size = c.block_size();
  if (c.has_start()) rule.start = kCodebookStarts[c.start()];
  rule.values.assign(c.value().begin(), c.value().end());
  if (c.has_learned()) rule.learned = c.learned();
  return rule;
}

StepStatisticsOptions WatchOptions(const WatchConfig& c) {
  return {.max_overflow_rate = c.max_overflow_rate(),
          .max_recent_overflow_rate = c.max_recent_overflow_rate(),
          .max_grad_norm = c.max_grad_norm(),
          .max_loss_z = c.max_loss_z(),
          .max_zero_share = c.max_zero_share()};
}

// How many logits the model has for this data set. One tells two classes apart.
absl::StatusOr<int64_t> Logits(int64_t chosen, const Dataset& dataset) {
  const int64_t classes = dataset.num_classes();
  if (chosen == 0) return classes == 2 ? 1 : classes;
  if (chosen >= classes || (chosen == 1 && classes == 2)) return chosen;
  return absl::InvalidArgumentError(
      absl::StrCat("model.num_classes is ", chosen, "; ", dataset.name(), " has ", classes, " classes"));
}

class PathCollector : public nn::Visitor {
 public:
  std::vector<std::string> paths;

 private:
  void OnModule(const std::string& path, nn::Module&) override { paths.push_back(path); }
};

absl::Status CheckMatches(const std::string& pattern, nn::Module& model) {
  PathCollector layers;
  model.Visit(layers);
  const auto matches = [&](const std::string& path) { return nn::MatchesPath(pattern, path); };
  if (std::any_of(layers.paths.begin(), layers.paths.end(), matches)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("precision.override: path \"", pattern,
                                                 "\" matches no layer; the model has ",
                                                 absl::StrJoin(layers.paths, ", ")));
}

absl::Status CheckOverrides(const PrecisionConfig& precision, nn::Module& model) {
  for (const PrecisionOverride& o : precision.override()) {
    if (o.has_path() == o.has_op() || o.has_path() != o.has_recipe() || o.has_op() != o.has_cast()) {
      return absl::InvalidArgumentError(absl::StrCat("precision.override { ", o.ShortDebugString(),
                                                     " }: expected path and recipe, or op and cast"));
    }
    if (o.has_op()) continue;
    RETURN_IF_ERROR(CheckMatches(o.path(), model));
    ASSIGN_OR_RETURN(const amp::Recipe recipe, amp::FindRecipe(o.recipe()));
    if (recipe.pure) {
      return absl::InvalidArgumentError(absl::StrCat(
          "precision.override: ", recipe.name, " is about all weights; expected a recipe that is not pure"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const OptimizerConfig& config) {
  if (config.has_adam()) {
    const AdamConfig& c = config.adam();
    return MakeAdam(
        {.beta1 = c.beta1(), .beta2 = c.beta2(), .epsilon = c.epsilon(), .weight_decay = c.weight_decay()});
  }
  if (config.has_adamw()) {
    const AdamWConfig& c = config.adamw();
    return MakeAdamW(
        {.beta1 = c.beta1(), .beta2 = c.beta2(), .epsilon = c.epsilon(), .weight_decay = c.weight_decay()});
  }
  const SgdConfig& c = config.sgd();
  return MakeSgd({.momentum = c.momentum(),
                  .dampening = c.dampening(),
                  .weight_decay = c.weight_decay(),
                  .nesterov = c.nesterov()});
}

absl::StatusOr<std::unique_ptr<Schedule>> MakeSchedule(const ScheduleConfig& config,
                                                       const OptimizerConfig& optimizer,
                                                       int64_t total_steps) {
  const double peak = PeakLearningRate(optimizer);
  switch (config.kind_case()) {
    case ScheduleConfig::kStep:
      return MakeStepSchedule({.step_size = config.step().step_size(), .gamma = config.step().gamma()}, peak,
                              total_steps);
    case ScheduleConfig::kMultiStep: {
      const MultiStepConfig& c = config.multi_step();
      const std::vector<int64_t> milestones(c.milestones().begin(), c.milestones().end());
      return MakeMultiStepSchedule({.milestones = milestones, .gamma = c.gamma()}, peak, total_steps);
    }
    case ScheduleConfig::kCosine:
      return MakeCosineSchedule({.final_fraction = config.cosine().final_fraction()}, peak, total_steps);
    case ScheduleConfig::kOneCycle: {
      const OneCycleConfig& c = config.one_cycle();
      return MakeOneCycleSchedule({.warmup_fraction = c.warmup_fraction(),
                                   .anneal = AnnealOf(c.anneal()),
                                   .initial_divisor = c.initial_divisor(),
                                   .final_divisor = c.final_divisor(),
                                   .min_momentum = c.min_momentum(),
                                   .max_momentum = c.max_momentum()},
                                  peak, total_steps);
    }
    case ScheduleConfig::kLinearWarmup: {
      const LinearWarmupConfig& c = config.linear_warmup();
      return MakeLinearWarmupSchedule({.warmup_steps = c.warmup_steps(),
                                       .initial_fraction = c.initial_fraction(),
                                       .decay = DecayOf(c.decay()),
                                       .final_fraction = c.final_fraction()},
                                      peak, total_steps);
    }
    case ScheduleConfig::kConstant:
    case ScheduleConfig::KIND_NOT_SET:
      break;
  }
  return MakeConstantSchedule({}, peak, total_steps);
}

absl::StatusOr<GradScaler> MakeScaler(const LossScaleConfig& c, const amp::Recipe& recipe) {
  constexpr FloorPolicy kFloorPolicies[] = {FloorPolicy::kSkip, FloorPolicy::kError, FloorPolicy::kFallback};
  return GradScaler::Create({.initial = static_cast<float>(c.initial()),
                             .growth_factor = c.growth_factor(),
                             .backoff_factor = c.backoff_factor(),
                             .growth_interval = c.growth_interval(),
                             .min_scale = static_cast<float>(c.min()),
                             .max_scale = static_cast<float>(c.max()),
                             .hysteresis = c.hysteresis(),
                             .dynamic = c.dynamic(),
                             .enabled = c.has_enabled() ? c.enabled() : recipe.scales_loss,
                             .floor_policy = kFloorPolicies[c.floor()],
                             .floor_patience = c.floor_patience(),
                             .fallback_steps = c.fallback_steps()});
}

absl::StatusOr<PrecisionPolicies> MakePolicies(const PrecisionConfig& config, const amp::Recipe& recipe,
                                               const absl::optional<amp::Recipe>& instead_of_float16) {
  PrecisionPolicies policies = {.whole = amp::MakePolicy(recipe)};
  for (const PrecisionOverride& o : config.override()) {
    if (!o.has_path()) continue;
    ASSIGN_OR_RETURN(amp::Recipe part, amp::FindRecipe(o.recipe()));
    if (instead_of_float16.has_value() && part.lower == DType::kF16) part = *instead_of_float16;
    policies.parts.push_back({o.path(), amp::MakePartPolicy(part)});
  }
  for (const PrecisionOverride& o : config.override()) {
    if (!o.has_op()) continue;
    RETURN_IF_ERROR(amp::OverrideOp(o.op(), o.cast(), policies.whole));
    for (nn::PolicyOverride& part : policies.parts) {
      RETURN_IF_ERROR(amp::OverrideOp(o.op(), o.cast(), part.policy));
    }
  }
  return policies;
}

absl::StatusOr<amp::QuantizationOptions> MakeQuantization(const PrecisionConfig& config,
                                                          const amp::Recipe& recipe) {
  amp::QuantizationOptions options = {.formats = recipe.quantization,
                                      .edges_in_8_bits = config.edges_in_8_bits()};
  for (const PrecisionOverride& o : config.override()) {
    if (!o.has_path()) continue;
    ASSIGN_OR_RETURN(const amp::Recipe part, amp::FindRecipe(o.recipe()));
    for (const amp::Role role : amp::kRoles) {
      const absl::string_view format = part.quantization[role];
      options.rules.push_back({.path = o.path(),
                               .roles = {role},
                               .format = std::string(format.empty() ? "none" : format),
                               .must_match = !format.empty()});
    }
  }
  for (const QuantizeConfig& c : config.quantize()) options.rules.push_back(RuleOf(c));
  return options;
}

absl::StatusOr<Dataset> LoadConfiguredDataset(const DataConfig& config) {
  return LoadDataset(config.name(),
                     {.root = ResolveInputPath(config.root()),
                      .limit = config.limit(),
                      .vocabulary = config.vocabulary().empty() ? "" : ResolveInputPath(config.vocabulary()),
                      .max_length = config.max_length(),
                      .lower_case = config.lower_case()});
}

absl::StatusOr<std::unique_ptr<nn::Module>> MakeConfiguredModel(const TrainConfig& config,
                                                                const Dataset& dataset) {
  const ModelConfig& m = config.model();
  models::ModelOptions model_options = {
      .name = m.name(),
      .activation = m.activation(),
      .width = m.width(),
      .depth = m.depth(),
      .heads = m.heads(),
      .dropout = m.has_dropout() ? std::optional(m.dropout()) : std::nullopt,
      .mlp_width = m.mlp_width(),
      .vocabulary = m.vocabulary(),
      .max_position = m.max_position(),
      .to_train = true};
  ASSIGN_OR_RETURN(model_options.num_classes, Logits(m.num_classes(), dataset));
  if (const ImageDataset* d = dataset.images()) {
    model_options.image = {.channels = d->channels, .height = d->height, .width = d->width};
  } else {
    model_options.text = {.vocabulary = dataset.texts()->vocabulary,
                          .max_length = dataset.texts()->max_length};
  }
  return models::MakeModel(model_options);
}

absl::StatusOr<std::unique_ptr<Trainer>> MakeTrainer(const TrainConfig& config, const Dataset& dataset,
                                                     int64_t total_steps, Device& device) {
  if (config.precision().tf32()) {
    if (device.accelerator() == nullptr) {
      return absl::InvalidArgumentError(
          "precision.tf32 is for an NVIDIA GPU; leave it out, or set run { device: CUDA }");
    }
    device.Resource<cuda::MathOptions>().tf32 = true;
  }
  ASSIGN_OR_RETURN(const amp::Recipe recipe, amp::FindRecipe(config.precision().recipe()));
  ASSIGN_OR_RETURN(const amp::Recipe fallback, amp::FindRecipe(config.loss_scale().fallback_recipe()));
  ASSIGN_OR_RETURN(std::unique_ptr<nn::Module> model, MakeConfiguredModel(config, dataset));
  ASSIGN_OR_RETURN(std::unique_ptr<Optimizer> optimizer, MakeOptimizer(config.optimizer()));
  ASSIGN_OR_RETURN(std::unique_ptr<Schedule> schedule,
                   MakeSchedule(config.schedule(), config.optimizer(), total_steps));
  ASSIGN_OR_RETURN(const GradScaler scaler, MakeScaler(config.loss_scale(), recipe));
  RETURN_IF_ERROR(CheckOverrides(config.precision(), *model));
  ASSIGN_OR_RETURN(const amp::QuantizationOptions quantization, MakeQuantization(config.precision(), recipe));
  ASSIGN_OR_RETURN(amp::QuantizationSummary quantized, amp::Quantize(quantization, *model));
  ASSIGN_OR_RETURN(PrecisionPolicies policies, MakePolicies(config.precision(), recipe));
  nn::LossOptions loss = {.label_smoothing = config.loss().label_smoothing()};
  if (config.loss().has_softmax()) {
    ASSIGN_OR_RETURN(const int64_t logits, Logits(config.model().num_classes(), dataset));
    if (logits == 1) {
      return absl::InvalidArgumentError(
          "loss.softmax: the model has one output and no softmax; leave it out");
    }
    const absl::StatusOr<FloatFormat> format = FindFloatFormat(config.loss().softmax());
    if (!format.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("loss.softmax: ", format.status().message()));
    }
    loss.softmax = *format;
    if (!loss.softmax->has_sign) {
      return absl::InvalidArgumentError(
          absl::StrCat("loss.softmax: ", config.loss().softmax(),
                       " has no sign and no zero; expected a format with both"));
    }
  }
  // What overflows in float16 is why there is a fallback.
  ASSIGN_OR_RETURN(PrecisionPolicies in_fallback, MakePolicies(config.precision(), fallback, fallback));
  TrainerOptions options = {.policy = policies.whole,
                            .overrides = std::move(policies.parts),
                            .fallback_policy = in_fallback.whole,
                            .fallback_overrides = std::move(in_fallback.parts),
                            .weight_rounding = RoundingOf(config.precision().weight_rounding()),
                            .quantization = std::move(quantized),
                            .quantize_from_step = config.precision().quantize_from_step(),
                            .loss = loss,
                            .max_norm = config.optimizer().max_norm(),
                            .max_value = static_cast<float>(config.optimizer().max_value()),
                            .micro_batches = config.data().micro_batches(),
                            .seed = config.run().seed(),
                            .statistics = WatchOptions(config.watch()),
                            .count_zeros_every = config.watch().count_zeros_every(),
                            .explain_overflows = config.watch().explain_overflows(),
                            .read_every = config.run().read_every_steps()};
  if (recipe.pure) options.weights16 = recipe.lower;
  return std::make_unique<Trainer>(device, std::move(model), std::move(optimizer), std::move(schedule),
                                   scaler, options);
}

}  // namespace halftone
