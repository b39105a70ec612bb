// Measures where a training step's time goes, by layer and by op, forward and backward.
//
//   profile --set='precision { recipe: "amp_bf16" }' --trace=trace.json
//
// Tables on stdout; --trace writes the last step for chrome://tracing or ui.perfetto.dev. Nothing is trained
// to keep. Exit code: 0 done, 1 an error (one line on stderr).

#include "train/profile.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "tools/command_line.h"
#include "tools/parse_flags.h"
#include "train/config.h"

ABSL_FLAG(std::string, config, "configs/quickstart.textproto", "a TrainConfig in Protobuf's text format");
ABSL_FLAG(std::string, set, "", "config text that is merged over the file's; may be given again and again");
ABSL_FLAG(int64_t, warmup, 3, "steps before the clock starts");
ABSL_FLAG(int64_t, steps, 10, "steps that are measured");
ABSL_FLAG(int, rows, 30, "of each table, at most");
ABSL_FLAG(std::string, trace, "", "where to write a Chrome trace of the last step");

namespace {

absl::Status CheckAtLeast(int64_t least, absl::string_view flag, int64_t value) {
  if (value >= least) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, " is ", value, "; expected a number from ", least, " on"));
}

absl::StatusOr<std::string> Profile(const std::vector<std::string>& sets) {
  RETURN_IF_ERROR(CheckAtLeast(1, "warmup", absl::GetFlag(FLAGS_warmup)));
  RETURN_IF_ERROR(CheckAtLeast(1, "steps", absl::GetFlag(FLAGS_steps)));
  RETURN_IF_ERROR(CheckAtLeast(0, "rows", absl::GetFlag(FLAGS_rows)));
  ASSIGN_OR_RETURN(const halftone::TrainConfig config,
                   halftone::LoadTrainConfig(absl::GetFlag(FLAGS_config), sets));
  const std::string trace = absl::GetFlag(FLAGS_trace);
  std::unique_ptr<halftone::AtomicFile> file;
  if (!trace.empty()) {
    // Before what takes long: a path that cannot be written shows at once.
    ASSIGN_OR_RETURN(file, halftone::AtomicFile::Create(halftone::ResolveUserPath(trace)));
  }
  ASSIGN_OR_RETURN(
      const halftone::StepProfile profile,
      halftone::ProfileTraining(config, absl::GetFlag(FLAGS_warmup), absl::GetFlag(FLAGS_steps)));
  if (file != nullptr) {
    RETURN_IF_ERROR(file->Append(profile.trace));
    RETURN_IF_ERROR(file->Commit());
  }
  return absl::StrCat(config.model().name(), ", ", config.precision().recipe(), ", ", halftone::DescribeCpu(),
                      ", ", halftone::NumThreads(),
                      " threads: ", halftone::PrintProfile(profile, absl::GetFlag(FLAGS_rows)),
                      trace.empty() ? "" : absl::StrCat("\ntrace of the last step: ", trace, "\n"));
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("measures where a training step's time goes: --config=FILE --trace=FILE ...");
  const std::vector<std::string> sets = halftone::TakeRepeatedFlag("set", &argc, argv);
  const absl::StatusOr<std::vector<char*>> rest = halftone::ParseFlags("profile", argc, argv);
  if (!rest.ok()) return halftone::Fail("profile", rest.status());
  if (rest->size() > 1) {
    return halftone::Fail("profile", absl::InvalidArgumentError(
                                         absl::StrCat("unexpected argument \"", (*rest)[1],
                                                      "\"; expected flags alone, such as --config=FILE")));
  }
  return halftone::PrintResult("profile", "lower data.batch_size or model.width",
                               [&] { return Profile(sets); });
}
