#include "train/evaluation/trained_model.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "io/safetensors/safetensors.h"
#include "nn/quantizer.h"
#include "tensor/ops/cast/cast.h"
#include "train/checkpoint/checkpoint.h"
#include "train/checkpoint/state_dict.h"
#include "train/config.h"

namespace halftone {
namespace {

constexpr int64_t kMaxBatch = 65536;

// The folder that holds the checkpoint's two files.
absl::StatusOr<std::string> FindCheckpoint(const std::string& folder) {
  const std::string path = ResolveUserPath(folder);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return absl::NotFoundError(
        absl::StrCat("there is no ", folder, "; expected the folder of a run, its run.out"));
  }
  for (const std::string& candidate : {path + "/checkpoint", path}) {
    if (std::filesystem::exists(candidate + "/training_state.safetensors", ignored)) return candidate;
  }
  return absl::NotFoundError(absl::StrCat(
      folder,
      " has no checkpoint (its training_state.safetensors); expected the folder of a run (its run.out) "
      "or the checkpoint within it"));
}

absl::StatusOr<TrainConfig> MergedConfig(const TrainConfig& run, const std::vector<std::string>& sets) {
  ASSIGN_OR_RETURN(const TrainConfig changes, LoadTrainConfig("", sets));
  TrainConfig config = run;
  config.MergeFrom(changes);
  RETURN_IF_ERROR(ResolveTrainConfig(config));
  return config;
}

// In the dtype that a recipe stores weights in; what quantisers have learned is float32 in all of them.
void KeepWeightsIn(const amp::Recipe& recipe, nn::Module& model) {
  const DType stored = recipe.pure ? *recipe.lower : DType::kF32;
  for (nn::Parameter* p : nn::Parameters(model)) {
    if (!nn::BelongsToQuantizer(p->path()) && p->master().dtype() != stored)
      p->SetMaster(ops::Cast(p->master(), stored));
  }
}

}  // namespace

absl::StatusOr<Dataset> TrainedRun::LoadData(int64_t limit) const {
  // data.limit is of training images: mean and deviation are theirs.
  ASSIGN_OR_RETURN(Dataset dataset, LoadConfiguredDataset(config.data()));
  if (limit > 0) dataset.LimitTest(limit);
  return dataset;
}

absl::StatusOr<TrainedRun> OpenRun(const std::string& folder, const std::vector<std::string>& sets) {
  TrainedRun run;
  ASSIGN_OR_RETURN(run.checkpoint, FindCheckpoint(folder));
  ASSIGN_OR_RETURN(run.state, ReadCheckpointState(run.checkpoint));
  ASSIGN_OR_RETURN(run.config, MergedConfig(run.state.config(), sets));
  ASSIGN_OR_RETURN(run.trained_in, amp::FindRecipe(run.state.config().precision().recipe()));
  return run;
}

absl::Status CheckLimits(int64_t batch_size, int64_t limit) {
  if (batch_size < 0 || batch_size > kMaxBatch) {
    return absl::InvalidArgumentError(
        absl::StrCat("--batch_size is ", batch_size, "; expected 1 to ", kMaxBatch, ", or 0 for the run's"));
  }
  if (limit < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--limit is ", limit, "; expected a number of examples, or 0 for all"));
  }
  return absl::OkStatus();
}

absl::StatusOr<TrainedModel> LoadModel(const TrainedRun& run, const amp::Recipe& recipe,
                                       const Dataset& dataset, Device& device,
                                       const std::optional<std::vector<amp::QuantizationRule>>& instead) {
  const bool as_trained = recipe.name == run.trained_in.name && !instead.has_value();
  PrecisionConfig precision = run.config.precision();
  // Changes to what one recipe quantises are not for another.
  if (!as_trained) precision.clear_quantize();
  if (instead.has_value()) precision.clear_override();
  TrainedModel trained;
  ASSIGN_OR_RETURN(trained.model, MakeConfiguredModel(run.config, dataset));
  ASSIGN_OR_RETURN(amp::QuantizationOptions quantization, MakeQuantization(precision, recipe));
  if (instead.has_value()) quantization.rules = *instead;
  ASSIGN_OR_RETURN(trained.quantization, amp::Quantize(quantization, *trained.model));
  if (trained.quantization.any()) device.SayOnce(amp::EmulationNote(device));
  ASSIGN_OR_RETURN(trained.policies, MakePolicies(precision, recipe));
  nn::Initialize(*trained.model, device, Rng(run.config.run().seed()));
  KeepWeightsIn(run.trained_in, *trained.model);
  const std::string file = run.checkpoint + "/model.safetensors";
  ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::Open(file));
  RETURN_IF_ERROR(LoadStateDict(reader, file, *trained.model,
                                as_trained ? QuantizerState::kLoad : QuantizerState::kLeaveOut));
  KeepWeightsIn(recipe, *trained.model);
  return trained;
}

}  // namespace halftone
