#include "tools/report/gnuplot.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "tools/text.h"

namespace halftone::report {
namespace {

namespace fs = std::filesystem;

// "" where PATH has none.
std::string FindGnuplot() {
  const char* path = std::getenv("PATH");
  for (const absl::string_view folder : absl::StrSplit(path != nullptr ? path : "", ':', absl::SkipEmpty())) {
    const std::string program = absl::StrCat(folder, "/gnuplot");
    std::error_code ignored;
    if (fs::is_regular_file(program, ignored) && access(program.c_str(), X_OK) == 0) {
      return fs::absolute(program, ignored);
    }
  }
  return "";
}

// A folder of its own that goes with all that is in it.
class TemporaryFolder {
 public:
  static absl::StatusOr<TemporaryFolder> MakeIn(const std::string& folder) {
    std::string path = absl::StrCat(folder, "/.drawing.XXXXXX");
    if (mkdtemp(path.data()) == nullptr) return ErrnoError("create", path);
    return TemporaryFolder(std::move(path));
  }
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  TemporaryFolder(TemporaryFolder&& other) : path_(std::move(other.path_)) { other.path_.clear(); }
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  std::string File(absl::string_view name) const { return absl::StrCat(path_, "/", name); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Starts gnuplot on <name>.gp in the folder, its messages going to <name>.err. Returns the process.
absl::StatusOr<pid_t> Start(const std::string& gnuplot, const TemporaryFolder& folder,
                            const std::string& name) {
  const std::string script = absl::StrCat(name, ".gp"), messages = absl::StrCat(name, ".err");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.path().c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, messages.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0644);
  // -d: without the user's own settings, which could be anything.
  std::string arguments[] = {"gnuplot", "-d", script};
  char* argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  pid_t process = -1;
  const int error = posix_spawn(&process, gnuplot.c_str(), &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    errno = error;
    return ErrnoError("run", gnuplot);
  }
  return process;
}

// "" on success; else the line that says what is wrong.
std::string Await(pid_t process, const TemporaryFolder& folder, const std::string& name) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) return std::strerror(errno);
  }
  if (WIFSIGNALED(status)) return absl::StrCat("ended by signal ", WTERMSIG(status));
  if (WEXITSTATUS(status) == 0) return "";
  const std::string messages = ReadFile(folder.File(absl::StrCat(name, ".err"))).value_or("");
  std::string first;
  for (absl::string_view line : absl::StrSplit(messages, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) continue;
    // After the command itself and an arrow: "memory.gp" line 3: undefined variable: x
    if (line[0] == '"' && absl::StrContains(line, "\" line ") && !absl::StrContains(line, ": warning: "))
      return ShortenEnd(Printable(line), 300);
    if (first.empty()) first = ShortenEnd(Printable(line), 300);
  }
  return first.empty() ? absl::StrCat("exit code ", WEXITSTATUS(status)) : first;
}

absl::Status Move(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return ErrnoError("write", to);
  return absl::OkStatus();
}

absl::Status WritePlain(const std::string& path, absl::string_view bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) return ErrnoError("create", path);
  const bool written =
      std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() && std::fflush(file) == 0;
  const absl::Status status = written ? absl::OkStatus() : ErrnoError("write", path);
  std::fclose(file);
  return status;
}

// "" or why there is no picture.
std::vector<std::string> Draw(const std::string& gnuplot, absl::Span<const Plot> plots,
                              const TemporaryFolder& folder) {
  std::vector<absl::StatusOr<pid_t>> processes;
  for (const Plot& plot : plots) processes.push_back(Start(gnuplot, folder, plot.name));
  std::vector<std::string> failures;
  for (size_t i = 0; i < plots.size(); ++i) {
    failures.push_back(processes[i].ok() ? Await(*processes[i], folder, plots[i].name)
                                         : std::string(processes[i].status().message()));
  }
  return failures;
}

}  // namespace

absl::StatusOr<Drawing> DrawPlots(absl::Span<const Plot> plots, const std::string& folder) {
  if (plots.empty()) return Drawing();
  RETURN_IF_ERROR(MakeDirectories(folder));
  ASSIGN_OR_RETURN(const TemporaryFolder temporary, TemporaryFolder::MakeIn(folder));
  const auto file = [&](absl::string_view name) { return absl::StrCat(folder, "/", name); };
  RETURN_IF_ERROR(WritePlain(temporary.File("style.gp"), PlotStyle()));
  for (const Plot& plot : plots) {
    RETURN_IF_ERROR(WritePlain(temporary.File(plot.name + ".gp"), plot.script));
    RETURN_IF_ERROR(WritePlain(temporary.File(plot.name + ".dat"), plot.data));
  }
  Drawing drawing;
  drawing.svgs.resize(plots.size());
  std::vector<std::string> failures(plots.size(), "no gnuplot");
  if (const std::string gnuplot = FindGnuplot(); gnuplot.empty()) {
    drawing.warnings.push_back(
        "no pictures: there is no gnuplot on PATH; install the package gnuplot-nox (or gnuplot) and run this "
        "again");
  } else {
    failures = Draw(gnuplot, plots, temporary);
  }
  RETURN_IF_ERROR(Move(temporary.File("style.gp"), file("style.gp")));
  for (size_t i = 0; i < plots.size(); ++i) {
    const std::string& name = plots[i].name;
    for (const char* end : {".gp", ".dat"})
      RETURN_IF_ERROR(Move(temporary.File(name + end), file(name + end)));
    if (failures[i].empty()) {
      const absl::StatusOr<std::string> svg = ReadFile(temporary.File(name + ".svg"));
      absl::Status moved = svg.status();
      for (const char* end : {".png", ".svg"})
        moved.Update(Move(temporary.File(name + end), file(name + end)));
      if (moved.ok()) {
        drawing.svgs[i] = *svg;
        continue;
      }
      failures[i] = std::string(moved.message());
    }
    for (const char* end : {".png", ".svg"}) {
      std::error_code ignored;
      fs::remove(file(name + end), ignored);
    }
    if (drawing.warnings.empty()) drawing.warnings.push_back(absl::StrCat("gnuplot failed: ", failures[i]));
  }
  return drawing;
}

}  // namespace halftone::report
