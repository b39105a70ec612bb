#include "train/checkpoint/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>  // renameat2
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "io/safetensors/safetensors.h"
#include "nn/optim/parameters.h"
#include "train/checkpoint/numerics_state.h"
#include "train/checkpoint/state_dict.h"
#include "train/config.h"

namespace halftone {
namespace {

constexpr char kModelFile[] = "/model.safetensors";
constexpr char kStateFile[] = "/training_state.safetensors";
constexpr char kStateKey[] = "halftone.state";
constexpr char kStepKey[] = "halftone.step";  // in both files: they must be of one step

// Puts the finished folder `from` in the place of `to`, and removes what was there.
absl::Status MoveIntoPlace(const std::string& from, const std::string& to) {
  std::error_code error;
  if (!std::filesystem::exists(to, error)) {
    if (std::rename(from.c_str(), to.c_str()) != 0) return ErrnoError("create", to);
    return absl::OkStatus();
  }
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) != 0) {
    // A file system that cannot swap: there is a moment without a checkpoint, and the whole one is then in
    // `from`.
    std::filesystem::remove_all(to, error);
    if (std::rename(from.c_str(), to.c_str()) != 0) return ErrnoError("create", to);
  }
  std::filesystem::remove_all(from, error);
  return absl::OkStatus();
}

}  // namespace

absl::Status SaveCheckpoint(const std::string& folder, Trainer& trainer, CheckpointState state) {
  // What an error left behind must not replace what is good.
  trainer.device().Synchronize();
  RETURN_IF_ERROR(trainer.device().status());
  Device& host = trainer.device().host();
  state.set_step(trainer.step());
  *state.mutable_loss_scale() = ToProto(trainer.scaler().loss_scale().state());
  *state.mutable_statistics() = ToProto(trainer.statistics().state());
  const OptimizerState optimizer = trainer.optimizer().State();
  state.set_optimizer_steps(optimizer.steps);

  const std::string temporary = folder + ".tmp";
  std::error_code ignored;
  std::filesystem::remove_all(temporary, ignored);
  RETURN_IF_ERROR(MakeDirectories(temporary));
  const auto write = [&]() -> absl::Status {
    const std::string step = absl::StrCat(trainer.step());
    RETURN_IF_ERROR(WriteSafetensors(temporary + kModelFile, StateDict(trainer.model()),
                                     {{"format", "pt"}, {kStepKey, step}}));
    std::vector<NamedTensor> remembered;
    for (const StateTensor& t : optimizer.tensors) {
      remembered.push_back(
          {t.name, Tensor::From<float>(host, {static_cast<int64_t>(t.value.size())}, t.value)});
    }
    RETURN_IF_ERROR(WriteSafetensors(temporary + kStateFile, remembered,
                                     {{kStateKey, PrintConfig(state)}, {kStepKey, step}}));
    return MoveIntoPlace(temporary, folder);
  };
  const absl::Status status = write();
  if (!status.ok()) std::filesystem::remove_all(temporary, ignored);
  return status;
}

absl::StatusOr<CheckpointState> ReadCheckpointState(const std::string& folder) {
  const std::string file = folder + kStateFile;
  ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::Open(file));
  const auto text = reader.metadata().find(kStateKey);
  if (text == reader.metadata().end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, " is no checkpoint of Halftone: its metadata has no ", kStateKey));
  }
  CheckpointState state;
  RETURN_IF_ERROR(MergeText(text->second, absl::StrCat(file, " (", kStateKey, ")"), state));
  return state;
}

absl::Status LoadCheckpoint(const std::string& folder, const CheckpointState& state, Trainer& trainer) {
  const std::string model_file = folder + kModelFile;
  ASSIGN_OR_RETURN(const SafetensorsReader model, SafetensorsReader::Open(model_file));
  const auto step = model.metadata().find(kStepKey);
  if (step == model.metadata().end() || step->second != absl::StrCat(state.step())) {
    return absl::DataLossError(
        absl::StrCat(model_file, " and training_state.safetensors beside it are not of the same step"));
  }
  RETURN_IF_ERROR(LoadStateDict(model, model_file, trainer.model()));

  ASSIGN_OR_RETURN(const SafetensorsReader remembered, SafetensorsReader::Open(folder + kStateFile));
  std::vector<Tensor> storage;
  OptimizerState optimizer = {.steps = state.optimizer_steps(), .tensors = {}};
  for (const ArrayInfo& info : remembered.arrays()) {
    if (info.dtype != DType::kF32) {
      return absl::DataLossError(absl::StrCat(folder, kStateFile, ": ", info.name, " is not float32"));
    }
    ASSIGN_OR_RETURN(Tensor t, remembered.Read(trainer.device().host(), info.name));
    storage.push_back(t);
    optimizer.tensors.push_back({info.name, storage.back().span<float>()});
  }
  RETURN_IF_ERROR(trainer.optimizer().Restore(nn::ParamRefs(trainer.parameters()), optimizer));
  RETURN_IF_ERROR(trainer.scaler().Restore(FromProto(state.loss_scale())));
  ASSIGN_OR_RETURN(const StepStatisticsState statistics, FromProto(state.statistics()));
  RETURN_IF_ERROR(trainer.RestoreStatistics(statistics));
  trainer.set_step(state.step());
  return absl::OkStatus();
}

}  // namespace halftone
