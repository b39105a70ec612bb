// Chooses a format for each layer's weights under a budget, and writes the config of a run that trains with
// them.
//
//   allocate_bits runs/cnn --budget_bits=3.5 --out=cnn_mixed.textproto
//   allocate_bits runs/cnn --budget_bytes=500000 --formats=mxfp8,mxfp4,fp3 --out=cnn_mixed.textproto
//
// A table on stdout; progress and errors (one line) on stderr. Exit code: 0 done, 1 an error.

#include "train/evaluation/allocate_bits.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "tools/command_line.h"
#include "tools/parse_flags.h"
#include "train/config.h"

ABSL_FLAG(double, budget_bytes, 0, "bytes that all weights together may take");
ABSL_FLAG(double, budget_bits, 0, "bits that a weight may take on average");
ABSL_FLAG(std::vector<std::string>, formats, (std::vector<std::string>{"fp8", "fp6", "fp4", "fp3", "fp2"}),
          "what to choose from, separated by commas: rows of //tools:formats, and none for float32");
ABSL_FLAG(int64_t, limit, 2048, "training examples to measure on; 0: all");
ABSL_FLAG(std::string, out, "", "the config to write");
ABSL_FLAG(std::string, set, "", "config text that is merged over the run's; may be given again and again");

namespace {

absl::StatusOr<std::string> Allocate(const std::vector<char*>& folders, std::vector<std::string> sets) {
  if (folders.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(folders.size(),
                     " folders given; expected one, that of a run: allocate_bits runs/cnn --budget_bits=4"));
  }
  const std::string out = absl::GetFlag(FLAGS_out);
  if (out.empty()) return absl::InvalidArgumentError("--out is missing; expected the config to write");
  if (absl::GetFlag(FLAGS_limit) < 0) {
    return absl::InvalidArgumentError(absl::StrCat("--limit is ", absl::GetFlag(FLAGS_limit),
                                                   "; expected a number of examples, or 0 for all"));
  }
  halftone::AllocateBitsOptions options = {.formats = absl::GetFlag(FLAGS_formats),
                                           .budget_bytes = absl::GetFlag(FLAGS_budget_bytes),
                                           .budget_bits = absl::GetFlag(FLAGS_budget_bits),
                                           .sets = std::move(sets),
                                           .limit = absl::GetFlag(FLAGS_limit)};
  // Before what takes long: a path that cannot be written shows at once.
  ASSIGN_OR_RETURN(const std::unique_ptr<halftone::AtomicFile> file,
                   halftone::AtomicFile::Create(halftone::ResolveUserPath(out)));
  ASSIGN_OR_RETURN(halftone::BitAllocation allocation, halftone::AllocateBits(folders[0], options));
  allocation.config.mutable_run()->set_out(absl::StrCat(allocation.config.run().out(), "_allocated"));
  const std::string table = halftone::PrintAllocation(allocation);
  RETURN_IF_ERROR(file->Append(halftone::PrintConfig(allocation.config)));
  RETURN_IF_ERROR(file->Commit());
  return absl::StrCat(table, "written: ", out, "; train with --config=", out, "\n");
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("chooses a format for each layer: FOLDER --budget_bits=N --out=FILE ...");
  std::vector<std::string> sets = halftone::TakeRepeatedFlag("set", &argc, argv);
  absl::StatusOr<std::vector<char*>> folders = halftone::ParseFlags("allocate_bits", argc, argv);
  if (!folders.ok()) return halftone::Fail("allocate_bits", folders.status());
  folders->erase(folders->begin());  // the program
  return halftone::PrintResult("allocate_bits", "lower data.batch_size",
                               [&] { return Allocate(*folders, std::move(sets)); });
}
