#include "tools/sweep/grid.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "amp/recipe.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/unknown_name.h"
#include "datasets/dataset.h"
#include "models/model.h"
#include "nn/cast_policy.h"
#include "tensor/ops/activation/activation.h"
#include "train/config.h"

namespace halftone::sweep {
namespace {

// The row of that name; an error that lists the names of all.
template <typename Rows>
auto FindRow(absl::string_view what, absl::string_view name, const Rows& rows)
    -> absl::StatusOr<decltype(&*rows.begin())> {
  for (const auto& row : rows) {
    if (row.name == name) return &row;
  }
  return UnknownName(what, name, rows);
}

// "fp4", "FP4".
absl::StatusOr<amp::Recipe> RecipeOf(absl::string_view precision) {
  const absl::StatusOr<amp::Recipe> lower = amp::FindRecipe(absl::AsciiStrToLower(precision));
  return lower.ok() ? lower : amp::FindRecipe(precision);
}

bool Glob(absl::string_view pattern, absl::string_view text) {
  return nn::MatchesPath(absl::AsciiStrToLower(pattern), absl::AsciiStrToLower(text));
}

// SweepPattern and SweepChange.
template <typename Pattern>
bool Matches(const Pattern& p, const Run& run) {
  return (!p.has_model() || Glob(p.model(), run.model)) &&
         (!p.has_activation() || Glob(p.activation(), run.activation)) &&
         (!p.has_dataset() || Glob(p.dataset(), run.dataset)) &&
         (!p.has_precision() || Glob(p.precision(), run.precision) ||
          Glob(p.precision(), run.config.precision().recipe()));
}

template <typename Pattern>
bool AnyMatches(const google::protobuf::RepeatedPtrField<Pattern>& patterns, const Run& run) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const Pattern& p) { return Matches(p, run); });
}

template <typename Pattern>
void WarnOfIdle(absl::string_view field, const google::protobuf::RepeatedPtrField<Pattern>& patterns,
                const Grid& grid, std::vector<std::string>& warnings) {
  for (const Pattern& p : patterns) {
    const auto matches = [&](const Run& run) { return Matches(p, run); };
    if (std::any_of(grid.runs.begin(), grid.runs.end(), matches)) continue;
    warnings.push_back(absl::StrCat(field, " { ", p.ShortDebugString(), " } matches no run"));
  }
}

absl::Status Twice(absl::string_view what, absl::string_view name) {
  return absl::InvalidArgumentError(absl::StrCat(
      what, " ", name, " is there twice: the CSV could not tell the two apart; make two sweeps"));
}

absl::Status NoData(const Run& run, absl::string_view found) {
  return absl::NotFoundError(absl::StrCat(run.id, ": ", found, "; expected the folder of the ", run.dataset,
                                          " files: --set='change { dataset: \"", run.dataset,
                                          "\" config { data { root: \"...\" } } }'"));
}

absl::Status Missing(absl::string_view field, absl::string_view example) {
  return absl::InvalidArgumentError(
      absl::StrCat("the grid is empty: no ", field, "; expected ", field, example, " once for each"));
}

// Every list of the config filled in, every name looked up.
absl::Status FillLists(SweepConfig& config) {
  if (config.model().empty()) return Missing("model", " { name: \"cnn\" }");
  if (config.dataset().empty()) return Missing("dataset", " { name: \"cifar10\" root: \"...\" }");
  if (config.precision().empty()) return Missing("precision", ": \"fp32\"");
  std::set<std::string> seen;
  for (ModelConfig& model : *config.mutable_model()) {
    model.set_name(model.name());
    RETURN_IF_ERROR(FindRow("model", model.name(), models::Models()).status());
    if (!seen.insert(model.name()).second) return Twice("model", model.name());
    if (model.has_activation() && !config.activation().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model ", model.name(), " has an activation, and so has ", "the sweep; leave one of them out"));
    }
  }
  seen.clear();
  for (const std::string& activation : config.activation()) {
    RETURN_IF_ERROR(FindRow("activation", activation, ops::Activations()).status());
    if (!seen.insert(activation).second) return Twice("activation", activation);
  }
  seen.clear();
  for (DataConfig& dataset : *config.mutable_dataset()) {
    dataset.set_name(dataset.name());
    RETURN_IF_ERROR(FindRow("data set", dataset.name(), Datasets()).status());
    if (!seen.insert(dataset.name()).second) return Twice("dataset", dataset.name());
  }
  seen.clear();
  for (const std::string& precision : config.precision()) {
    ASSIGN_OR_RETURN(const amp::Recipe recipe, RecipeOf(precision));
    if (!seen.insert(std::string(recipe.name)).second) return Twice("precision", precision);
  }
  if (config.seed().empty()) config.add_seed(config.base().run().seed());
  std::set<uint64_t> seeds;
  for (const uint64_t seed : config.seed()) {
    if (!seeds.insert(seed).second) return Twice("seed", absl::StrCat(seed));
  }
  return absl::OkStatus();
}

// The activations of a model: the sweep's, or its own alone.
absl::StatusOr<std::vector<std::string>> ActivationsOf(const SweepConfig& config, const ModelConfig& model) {
  if (!config.activation().empty())
    return std::vector<std::string>(config.activation().begin(), config.activation().end());
  ModelConfig whole = config.base().model();
  whole.MergeFrom(model);
  ASSIGN_OR_RETURN(const models::ModelRow* row, FindRow("model", model.name(), models::Models()));
  const std::string name = whole.activation().empty() ? std::string(row->activation) : whole.activation();
  RETURN_IF_ERROR(FindRow("activation", name, ops::Activations()).status());
  return std::vector<std::string>{name};
}

// One cell of the grid, without the changes.
absl::StatusOr<Run> MakeRun(const SweepConfig& config, const ModelConfig& model,
                            const std::string& activation, const DataConfig& dataset,
                            const std::string& precision, uint64_t seed) {
  Run run = {.model = model.name(),
             .activation = activation,
             .dataset = dataset.name(),
             .precision = precision,
             .seed = seed,
             .config = config.base()};
  run.id = absl::StrJoin({run.model, run.activation, run.dataset, run.precision}, "-");
  if (config.seed_size() > 1) absl::StrAppend(&run.id, "-seed", seed);
  TrainConfig& c = run.config;
  c.mutable_model()->MergeFrom(model);
  c.mutable_model()->set_activation(activation);
  if (config.has_limit()) c.mutable_data()->set_limit(config.limit());
  c.mutable_data()->MergeFrom(dataset);
  ASSIGN_OR_RETURN(const amp::Recipe recipe, RecipeOf(precision));
  c.mutable_precision()->set_recipe(std::string(recipe.name));
  if (config.has_epochs()) c.mutable_run()->set_epochs(config.epochs());
  c.mutable_run()->set_seed(seed);
  return run;
}

absl::Status CheckChange(const SweepChange& change) {
  const TrainConfig& c = change.config();
  const std::pair<bool, const char*> fixed[] = {
      {c.model().has_name(), "model.name"}, {c.model().has_activation(), "model.activation"},
      {c.data().has_name(), "data.name"},   {c.precision().has_recipe(), "precision.recipe"},
      {c.run().has_seed(), "run.seed"},     {c.run().has_out(), "run.out"},
      {c.run().has_resume(), "run.resume"}, {c.run().has_overwrite(), "run.overwrite"}};
  for (const auto& [is_set, field] : fixed) {
    if (!is_set) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("change sets ", field, ", which is the grid's; take it out of there"));
  }
  return absl::OkStatus();
}

// Applies the changes, and fills in every default.
absl::Status Finish(const SweepConfig& config, Run& run) {
  for (const SweepChange& change : config.change()) {
    if (Matches(change, run)) run.config.MergeFrom(change.config());
  }
  RunConfig& r = *run.config.mutable_run();
  r.set_out(run.id);  // until it is known
  r.clear_resume();
  r.clear_overwrite();
  if (run.config.data().root().empty()) return NoData(run, "data.root is empty");
  const absl::Status status = ResolveTrainConfig(run.config);
  if (!status.ok()) return absl::Status(status.code(), absl::StrCat(run.id, ": ", status.message()));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Grid> MakeGrid(SweepConfig config) {
  RETURN_IF_ERROR(FillLists(config));
  config.set_out(config.out());
  config.set_keep_checkpoints(config.keep_checkpoints());
  if (config.out().empty()) {
    return absl::InvalidArgumentError("out is empty; expected a folder for the sweep's files");
  }
  Grid grid;
  for (const ModelConfig& model : config.model()) {
    ASSIGN_OR_RETURN(const std::vector<std::string> activations, ActivationsOf(config, model));
    for (const std::string& activation : activations) {
      for (const DataConfig& dataset : config.dataset()) {
        for (const std::string& precision : config.precision()) {
          for (const uint64_t seed : config.seed()) {
            ASSIGN_OR_RETURN(Run run, MakeRun(config, model, activation, dataset, precision, seed));
            grid.runs.push_back(std::move(run));
          }
        }
      }
    }
  }
  WarnOfIdle("include", config.include(), grid, grid.warnings);
  WarnOfIdle("exclude", config.exclude(), grid, grid.warnings);
  WarnOfIdle("change", config.change(), grid, grid.warnings);
  for (const SweepChange& change : config.change()) RETURN_IF_ERROR(CheckChange(change));
  const auto left_out = [&](const Run& run) {
    return (!config.include().empty() && !AnyMatches(config.include(), run)) ||
           AnyMatches(config.exclude(), run);
  };
  const size_t all = grid.runs.size();
  grid.runs.erase(std::remove_if(grid.runs.begin(), grid.runs.end(), left_out), grid.runs.end());
  if (grid.runs.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the grid is empty: include and exclude leave none of its ", all, " runs"));
  }
  for (Run& run : grid.runs) RETURN_IF_ERROR(Finish(config, run));
  grid.config = std::move(config);
  return grid;
}

absl::Status CheckDataFolders(const Grid& grid) {
  for (const Run& run : grid.runs) {
    const std::string& root = run.config.data().root();
    std::error_code ignored;
    if (std::filesystem::is_directory(ResolveInputPath(root), ignored)) continue;
    return NoData(run, absl::StrCat("no folder ", root));
  }
  return absl::OkStatus();
}

SweepConfig Identity(SweepConfig config) {
  const auto forget_places = [](DataConfig* data) {
    data->clear_root();
    data->clear_vocabulary();
  };
  config.clear_out();
  config.clear_keep_checkpoints();
  config.clear_jobs();
  RunConfig* run = config.mutable_base()->mutable_run();
  const RunConfig was = *run;
  run->Clear();
  if (was.has_epochs()) run->set_epochs(was.epochs());
  if (was.has_seed()) run->set_seed(was.seed());
  forget_places(config.mutable_base()->mutable_data());
  for (DataConfig& data : *config.mutable_dataset()) forget_places(&data);
  // A change that is about nothing but places is none.
  google::protobuf::RepeatedPtrField<SweepChange> changes;
  for (SweepChange& change : *config.mutable_change()) {
    TrainConfig& c = *change.mutable_config();
    if (c.has_data()) forget_places(c.mutable_data());
    if (c.has_data() && c.data().ByteSizeLong() == 0) c.clear_data();
    if (c.ByteSizeLong() > 0) *changes.Add() = change;
  }
  config.mutable_change()->Swap(&changes);
  return config;
}

absl::StatusOr<Shard> ParseShard(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  Shard shard;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &shard.index) ||
      !absl::SimpleAtoi(parts[1], &shard.count) || shard.index < 1 || shard.index > shard.count) {
    return absl::InvalidArgumentError(
        absl::StrCat("--shard=", text, ": expected i/n with i from 1 to n, for example --shard=1/8"));
  }
  return shard;
}

std::string ThreadsText(const Grid& grid, const Shard& shard, int otherwise) {
  int least = otherwise, most = 0;
  for (size_t i = 0; i < grid.runs.size(); ++i) {
    if (!shard.Has(i)) continue;
    const int chosen = grid.runs[i].config.run().threads();
    const int threads = chosen == 0 ? otherwise : chosen;
    least = most == 0 ? threads : std::min(least, threads);
    most = std::max(most, threads);
  }
  most = std::max(least, most);  // of a shard without runs
  return absl::StrCat(least < most ? absl::StrCat(least, " to ") : "", most,
                      most == 1 ? " thread" : " threads");
}

}  // namespace halftone::sweep
