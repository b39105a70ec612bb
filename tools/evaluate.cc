// Evaluates the checkpoint of a run on its data set's test split, in any recipe, or in several side by side.
//
//   evaluate runs/cnn --recipe=amp_fp16 --set='data { root: "/data/cifar-10-batches-bin" }'
//   evaluate runs/cnn --compare=fp32,amp_fp16,amp_bf16
//   evaluate runs/cnn --what_if=fp8,mxfp4,fp4       # each layer quantised by itself, then all, untrained
//
// A table on stdout; progress and errors (one line) on stderr. Exit code: 0 done, 1 an error.

#include "train/evaluation/evaluate.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "tools/command_line.h"
#include "tools/parse_flags.h"
#include "train/evaluation/what_if.h"

ABSL_FLAG(std::string, recipe, "", "the recipe to evaluate in; empty: the one that the run was trained in");
ABSL_FLAG(std::string, compare, "",
          "several recipes, side by side, separated by commas; differences are from the first one's results");
ABSL_FLAG(std::vector<std::string>, what_if, {},
          "formats, separated by commas: what quantising each layer to them would do, without training");
ABSL_FLAG(std::string, set, "",
          "config text that is merged over the run's, for example --set='data { root: \"/data\" }'; may be "
          "given again and again");
ABSL_FLAG(int64_t, batch_size, 0, "images a batch; 0: as in training");
ABSL_FLAG(int64_t, limit, 0, "evaluate the first so many test images; 0: all");

namespace {

absl::StatusOr<std::string> Evaluate(const std::vector<char*>& folders, std::vector<std::string> sets) {
  if (folders.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(folders.size(), " folders given; expected one, that of a run: evaluate runs/cnn"));
  }
  const std::string recipe = absl::GetFlag(FLAGS_recipe), compare = absl::GetFlag(FLAGS_compare);
  const std::vector<std::string> what_if = absl::GetFlag(FLAGS_what_if);
  if (!recipe.empty() + !compare.empty() + !what_if.empty() > 1) {
    return absl::InvalidArgumentError(
        "of --recipe, --compare and --what_if two are given; expected one of them");
  }
  if (!what_if.empty()) {
    ASSIGN_OR_RETURN(const halftone::WhatIfReport report,
                     halftone::AskWhatIf(folders[0], {.formats = what_if,
                                                      .sets = std::move(sets),
                                                      .batch_size = absl::GetFlag(FLAGS_batch_size),
                                                      .limit = absl::GetFlag(FLAGS_limit)}));
    return halftone::PrintWhatIf(report);
  }
  halftone::EvaluateOptions options = {.sets = std::move(sets),
                                       .batch_size = absl::GetFlag(FLAGS_batch_size),
                                       .limit = absl::GetFlag(FLAGS_limit)};
  if (!recipe.empty()) options.recipes = {recipe};
  if (!compare.empty()) options.recipes = absl::StrSplit(compare, ',');
  ASSIGN_OR_RETURN(const halftone::EvaluationReport report,
                   halftone::EvaluateCheckpoint(folders[0], options));
  return halftone::PrintEvaluation(report);
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "evaluates a checkpoint: FOLDER [--recipe=NAME | --compare=NAME,NAME,... | --what_if=FORMAT,...] ...");
  std::vector<std::string> sets = halftone::TakeRepeatedFlag("set", &argc, argv);
  absl::StatusOr<std::vector<char*>> folders = halftone::ParseFlags("evaluate", argc, argv);
  if (!folders.ok()) return halftone::Fail("evaluate", folders.status());
  folders->erase(folders->begin());  // the program
  return halftone::PrintResult("evaluate", "lower --batch_size, or compare fewer recipes",
                               [&] { return Evaluate(*folders, std::move(sets)); });
}
