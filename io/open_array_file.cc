#include "io/open_array_file.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/binary_formats.h"
#include "io/csv.h"
#include "io/input_file.h"
#include "io/npz.h"

namespace halftone {
namespace {

// A length that the format allows, then JSON: eight bytes of length, of which the upper four are zero.
bool LooksLikeSafetensors(absl::string_view start) {
  return start.size() > 8 && start.substr(4, 4) == absl::string_view("\0\0\0\0", 4) && start[8] == '{';
}

bool EndsWithAnyOf(absl::string_view text, std::initializer_list<absl::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(),
                     [&](absl::string_view end) { return absl::EndsWith(text, end); });
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenArrayFile(const std::string& path,
                                                         const OpenOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<InputFile> file, InputFile::Open(path));
  if (options.raw_type.has_value()) {
    return OpenRawArray(std::move(file), *options.raw_type, options.raw_shape);
  }
  if (options.raw_shape.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": a shape is given without an element type"));
  }
  char bytes[16];
  const absl::string_view start(bytes, std::min<uint64_t>(sizeof(bytes), file->size()));
  RETURN_IF_ERROR(file->ReadAt(0, absl::MakeSpan(bytes, start.size())));
  const std::string name = absl::AsciiStrToLower(path);

  if (LooksLikeSafetensors(start)) return OpenSafetensorsArrays(std::move(file));
  if (absl::StartsWith(start, "\x93NUMPY")) return OpenNpyArray(std::move(file));
  if (absl::StartsWith(start, "PK\3\4") || absl::StartsWith(start, "PK\5\6")) return OpenNpz(std::move(file));
  // What follows says why the file is not what its name says.
  if (absl::EndsWith(name, ".safetensors")) return OpenSafetensorsArrays(std::move(file));
  if (absl::EndsWith(name, ".npy")) return OpenNpyArray(std::move(file));
  if (absl::EndsWith(name, ".npz")) return OpenNpz(std::move(file));
  if (EndsWithAnyOf(name, {".idx", "-ubyte"}) || IsIdx(*file)) return OpenIdxArray(std::move(file));
  if (absl::EndsWith(name, ".csv")) return OpenCsv(std::move(file), ',');
  if (absl::EndsWith(name, ".tsv")) return OpenCsv(std::move(file), '\t');
  const std::string base = std::filesystem::path(name).filename().string();
  const bool batch = absl::StartsWith(base, "data_batch_") && absl::EndsWith(base, ".bin");
  if (batch || base == "test_batch.bin") return OpenCifarArrays(std::move(file), 1);
  if (base == "train.bin" || base == "test.bin") return OpenCifarArrays(std::move(file), 2);
  return absl::InvalidArgumentError(
      absl::StrCat(path,
                   ": neither its first bytes nor its name tell a format that Halftone reads: safetensors, "
                   "npy, npz, IDX, CIFAR, csv, tsv; for raw numbers, give their element type and shape"));
}

}  // namespace halftone
