// Audits files of numbers or weights before they are converted to a narrower format: what would overflow,
// underflow or lose accuracy, tensor by tensor. docs/safety.md explains the report.
//
//   fp16_check model.safetensors
//   fp16_check weights.pth activations.npz --format=half,bfloat16 --json=report.json --html=report.html
//
// Exit code: 0 every tensor is safe as it is, 1 some are not, 2 something could not be checked (one line on
// stderr).

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "io/open_array_file.h"
#include "tensor/allocator.h"
#include "tools/command_line.h"
#include "tools/fp16_check/check_file.h"
#include "tools/fp16_check/command.h"
#include "tools/fp16_check/report.h"
#include "tools/fp16_check/report_html.h"
#include "tools/fp16_check/report_json.h"
#include "tools/fp16_check/report_table.h"
#include "tools/progress.h"
#include "tools/text.h"
#include "train/open_device.h"

namespace halftone {
namespace {

constexpr int kSafe = 0, kUnsafe = 1, kNotChecked = 2;
constexpr char kProgram[] = "fp16_check";

// One line, whatever names the message quotes.
int NotChecked(const absl::Status& status) {
  Fail(kProgram, absl::Status(status.code(), Printable(status.message())));
  return kNotChecked;
}

absl::Status CheckOutput(const std::string& output, const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    std::error_code ignored;
    if (!output.empty() &&
        std::filesystem::equivalent(ResolveUserPath(output), ResolveInputPath(input), ignored)) {
      return absl::InvalidArgumentError(absl::StrCat(output, ": the report would replace a file to check"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<FileResult> CheckPath(const std::string& path, const Command& command,
                                     const CheckOptions& options, FileProgress& progress) {
  try {
    ASSIGN_OR_RETURN(const std::unique_ptr<ArrayFile> file,
                     OpenArrayFile(path == "-" ? path : ResolveInputPath(path), command.open));
    return CheckFile(*file, options, [&](uint64_t done, uint64_t all) { progress.Update(done, all); });
  } catch (const OutOfMemory& error) {
    return absl::ResourceExhaustedError(absl::StrCat(path, ": ", error.what()));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(path, ": out of memory"));
  }
}

TableOptions TableFor(const Command& command) {
  const char* no_color = std::getenv("NO_COLOR");  // https://no-color.org
  const size_t width = TerminalWidth(stdout);
  return {
      .top = command.top, .width = width, .color = width > 0 && (no_color == nullptr || *no_color == '\0')};
}

absl::Status Write(const Report& report, const Command& command) {
  const bool json_only = command.json == "-";
  const std::string text = json_only ? ReportJson(report) : ReportTable(report, TableFor(command));
  // A full disk or a closed pipe shows only when the output is flushed.
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    return ErrnoError("write to", "stdout");
  }
  if (!json_only && !command.json.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(ResolveUserPath(command.json), ReportJson(report)));
  }
  if (!command.html.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(ResolveUserPath(command.html), ReportHtml(report)));
  }
  return absl::OkStatus();
}

int Run(int argc, char** argv) {
  const absl::StatusOr<Command> parsed = ParseCommand(argc, argv);
  if (!parsed.ok()) return NotChecked(parsed.status());
  const Command& command = *parsed;
  if (command.help) {
    const absl::string_view usage = CommandUsage();
    return std::fwrite(usage.data(), 1, usage.size(), stdout) == usage.size() && std::fflush(stdout) == 0
               ? kSafe
               : kNotChecked;
  }
  for (const std::string& output : {command.json, command.html}) {
    const absl::Status status = CheckOutput(output, command.files);
    if (!status.ok()) return NotChecked(status);
  }
  std::unique_ptr<Device> gpu;
  CheckOptions options = command.check;
  if (command.on_gpu) {
    absl::StatusOr<std::unique_ptr<Device>> opened = OpenGpu(0, stderr);
    if (!opened.ok()) {
      return NotChecked(
          absl::Status(opened.status().code(), absl::StrCat("--device=cuda: ", opened.status().message())));
    }
    gpu = *std::move(opened);
    options.device = gpu.get();
  }
  Report report = {.formats = command.check.formats, .limits = command.check.limits};
  FileProgress progress(stderr, TerminalWidth(stderr));
  bool all_checked = true, all_safe = true;
  size_t tensors = 0;
  for (const std::string& path : command.files) {
    progress.Start(path);
    absl::StatusOr<FileResult> result = CheckPath(path, command, options, progress);
    progress.Finish();
    if (!result.ok()) {
      all_checked = false;
      NotChecked(result.status());
      result = FileResult{.error = std::string(result.status().message())};
    }
    result->path = path;
    tensors += result->tensors.size();
    for (const TensorResult& tensor : result->tensors) all_safe &= WorstOutcome(tensor) == Outcome::kSafe;
    report.files.push_back(*std::move(result));
  }
  const absl::Status written = Write(report, command);
  if (!written.ok()) return NotChecked(written);
  if (!all_checked) return kNotChecked;
  if (tensors == 0) {
    return NotChecked(absl::NotFoundError("no tensor matches; leave out --tensor and --exclude to see all"));
  }
  return all_safe ? kSafe : kUnsafe;
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) { return halftone::Run(argc, argv); }
