// Makes a sweep's results something to look at: plots and a report, from the folder that //tools:sweep wrote.
//
//   report runs/sweep_cifar10      # writes report.html, summary.md and plots/ there
//
// Exit code: 0 the report is written (warnings on stderr: damaged rows, no gnuplot), 1 an error (one line on
// stderr).

#include <cstdio>
#include <new>
#include <string>
#include <vector>

#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "tools/command_line.h"
#include "tools/parse_flags.h"
#include "tools/report/write_report.h"
#include "tools/text.h"

namespace {

constexpr char kProgram[] = "report";

// One line, whatever names the message quotes.
int Fail(const absl::Status& status) {
  return halftone::Fail(kProgram, absl::Status(status.code(), halftone::Printable(status.message())));
}

absl::StatusOr<halftone::report::WrittenReport> Write(const std::string& folder) {
  try {
    return halftone::report::WriteReport(folder);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(folder, ": out of memory"));
  }
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("plots and a report of a sweep's results: report FOLDER");
  const absl::StatusOr<std::vector<char*>> arguments = halftone::ParseFlags(kProgram, argc, argv);
  if (!arguments.ok()) return Fail(arguments.status());
  if (arguments->size() != 2 || *(*arguments)[1] == '\0') {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("expected one folder, a sweep's, with its final_results.csv; got ",
                     arguments->size() - 1, " arguments")));
  }
  const absl::StatusOr<halftone::report::WrittenReport> report =
      Write(halftone::ResolveUserPath((*arguments)[1]));
  if (!report.ok()) return Fail(report.status());
  for (const std::string& warning : report->warnings)
    std::fprintf(stderr, "%s: warning: %s\n", kProgram, warning.c_str());
  const bool printed = std::printf("%s\n", report->html.c_str()) >= 0 && std::fflush(stdout) == 0;
  return printed ? 0 : Fail(halftone::ErrnoError("write to", "stdout"));
}
