#include "tools/fp16_check/sample_report.h"

#include <algorithm>
#include <limits>

#include "absl/status/statusor.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "fp16/format.h"
#include "tools/fp16_check/check_file.h"

namespace halftone {
namespace {

std::vector<FileArray> Arrays(const std::vector<MemoryFile::Entry>& entries) {
  std::vector<FileArray> arrays;
  for (const MemoryFile::Entry& entry : entries) arrays.push_back(entry.array);
  return arrays;
}

}  // namespace

MemoryFile::MemoryFile(std::vector<Entry> entries)
    : ArrayFile("memory", Arrays(entries)), entries_(std::move(entries)) {}

absl::Status MemoryFile::Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const {
  while (begin < end) {
    const uint64_t n = std::min<uint64_t>(end - begin, kMaxChunkBytes);
    // A copy: chunks begin where operator new does.
    const std::vector<char> chunk(entries_[index].bytes.data() + begin,
                                  entries_[index].bytes.data() + begin + n);
    RETURN_IF_ERROR(f(chunk));
    begin += n;
  }
  return absl::OkStatus();
}

Report SampleReportNamed(absl::string_view name) {
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  const MemoryFile file({
      MakeEntry<float>(std::string(name), ElementType::kF32, {1, 2, -0.5f, 0}),
      MakeEntry<float>("large", ElementType::kF32, {0x1p17f, 1, 2, 4}),
      MakeEntry<float>("broken", ElementType::kF32, {kNan, kInf, 1}),
      MakeEntry<float>("wide", ElementType::kF32, {0x1p100f, 0x1p-100f}),
      MakeEntry<float>("tie", ElementType::kF32, {1 + 0x1p-11f}),
      MakeEntry<int64_t>("ids", ElementType::kI64, {1, 2, 3}),
  });
  CheckOptions options = {.formats = {kFloat16, kBfloat16}};
  absl::StatusOr<FileResult> result = CheckFile(file, options, [](uint64_t, uint64_t) {});
  HALFTONE_CHECK(result.ok());
  result->path = "sample";
  return {.formats = options.formats,
          .limits = options.limits,
          .files = {*std::move(result), {.path = "gone", .error = "cannot open gone: No such file"}}};
}

Report SampleReport() { return SampleReportNamed("fine"); }

}  // namespace halftone
