// Trains a model as a config says. Without --config: a CNN on the sample of CIFAR-10 that the repository
// carries.
//
//   train --config=configs/cifar10_cnn.textproto --set='data { root: "/data/cifar-10-batches-bin" }'
//
// Exit code: 0 done, 1 an error (one line on stderr), 130 stopped by a signal with a checkpoint to go on
// from.

#include <atomic>
#include <csignal>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tools/command_line.h"
#include "tools/parse_flags.h"
#include "train/config.h"
#include "train/run.h"

ABSL_FLAG(std::string, config, "configs/quickstart.textproto", "a TrainConfig in Protobuf's text format");
ABSL_FLAG(
    std::string, set, "",
    "config text that is merged over the file's, for example --set='precision { recipe: \"amp_fp16\" }'; "
    "may be given again and again");
ABSL_FLAG(bool, resume, false, "go on from the checkpoint in run.out");
ABSL_FLAG(bool, debug_overflow, false,
          "take every skipped step once more and say where its first infinity or NaN arose, not the first "
          "three alone");
ABSL_FLAG(bool, overwrite, false, "replace the run that run.out holds");

namespace {

std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // or a signal handler could not use it

// The first signal asks for a checkpoint and an end; a second one ends at once.
void RequestStop(int signal) {
  stop_requested = true;
  std::signal(signal, SIG_DFL);
}

absl::StatusOr<halftone::RunResult> Train(const std::vector<std::string>& sets) {
  absl::StatusOr<halftone::TrainConfig> config = halftone::LoadTrainConfig(absl::GetFlag(FLAGS_config), sets);
  if (!config.ok()) return config.status();
  if (absl::GetFlag(FLAGS_resume)) config->mutable_run()->set_resume(true);
  if (absl::GetFlag(FLAGS_debug_overflow)) config->mutable_watch()->set_explain_overflows(-1);
  if (absl::GetFlag(FLAGS_overwrite)) config->mutable_run()->set_overwrite(true);
  try {
    return halftone::RunTraining(*std::move(config), {.stop = &stop_requested});
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory; lower data.batch_size or model.width");
  }
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("trains a model as a config says: --config=FILE --set='TEXT' ...");
  const std::vector<std::string> sets = halftone::TakeRepeatedFlag("set", &argc, argv);
  const absl::StatusOr<std::vector<char*>> rest = halftone::ParseFlags("train", argc, argv);
  if (!rest.ok()) return halftone::Fail("train", rest.status());
  if (rest->size() > 1) {
    return halftone::Fail(
        "train", absl::InvalidArgumentError(absl::StrCat("unexpected argument \"", (*rest)[1],
                                                         "\"; expected --config=FILE and --set='TEXT'")));
  }
  std::signal(SIGINT, RequestStop);
  std::signal(SIGTERM, RequestStop);
  const absl::StatusOr<halftone::RunResult> result = Train(sets);
  if (!result.ok()) return halftone::Fail("train", result.status());
  return result->stopped && stop_requested ? 130 : 0;
}
