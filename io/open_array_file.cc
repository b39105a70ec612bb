#include "io/open_array_file.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <iterator>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/binary_formats.h"
#include "io/csv.h"
#include "io/file_errors.h"
#include "io/input_file.h"
#include "io/numpy/npz.h"
#include "io/pytorch/pytorch.h"
#include "io/safetensors/sharded_safetensors.h"
#include "io/zip/zip_archive.h"

namespace halftone {
namespace {

using FilePtr = std::unique_ptr<InputFile>;
using ArrayFileOr = absl::StatusOr<std::unique_ptr<ArrayFile>>;

struct Format {
  absl::string_view name;
  ArrayFileOr (*open)(FilePtr file);
};

constexpr Format kFormats[] = {
    {"safetensors", OpenSafetensorsArrays},
    {"safetensors-index", OpenShardedSafetensors},
    {"npy", OpenNpyArray},
    {"npz",
     [](FilePtr file) -> ArrayFileOr {
       ASSIGN_OR_RETURN(std::unique_ptr<ZipArchive> archive, ZipArchive::Open(std::move(file)));
       return OpenNpz(std::move(archive));
     }},
    {"pytorch", OpenPytorch},
    {"idx", OpenIdxArray},
    {"cifar10", [](FilePtr file) { return OpenCifarArrays(std::move(file), 1); }},
    {"cifar100", [](FilePtr file) { return OpenCifarArrays(std::move(file), 2); }},
    {"csv", [](FilePtr file) { return OpenCsv(std::move(file), ','); }},
    {"tsv", [](FilePtr file) { return OpenCsv(std::move(file), '\t'); }},
};

std::string FormatNames() {
  return absl::StrJoin(kFormats, ", ",
                       [](std::string* out, const Format& row) { absl::StrAppend(out, row.name); });
}

// A length that the format allows, then JSON: eight bytes of length, of which the upper four are zero.
bool LooksLikeSafetensors(absl::string_view start) {
  return start.size() > 8 && start.substr(4, 4) == absl::string_view("\0\0\0\0", 4) && start[8] == '{';
}

bool EndsWithAnyOf(absl::string_view text, std::initializer_list<absl::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(),
                     [&](absl::string_view end) { return absl::EndsWith(text, end); });
}

// The format's name, or "" when neither the first bytes nor the name tell it. `name`: in lower case.
absl::StatusOr<absl::string_view> TellFormat(const InputFile& file, absl::string_view name) {
  char bytes[32];
  const absl::string_view start(bytes, std::min<uint64_t>(sizeof(bytes), file.size()));
  RETURN_IF_ERROR(file.ReadAt(0, absl::MakeSpan(bytes, start.size())));
  if (LooksLikeSafetensors(start)) return "safetensors";
  if (absl::StartsWith(start, "\x93NUMPY")) return "npy";
  if (IsPytorchLegacy(start)) return "pytorch";
  // What follows says why the file is not what its name says.
  if (EndsWithAnyOf(name, {".pt", ".pth"})) return "pytorch";
  if (absl::EndsWith(name, ".safetensors")) return "safetensors";
  if (absl::EndsWith(name, ".index.json")) return "safetensors-index";
  if (absl::EndsWith(name, ".npy")) return "npy";
  if (absl::EndsWith(name, ".npz")) return "npz";
  if (EndsWithAnyOf(name, {".idx", "-ubyte"}) || IsIdx(file)) return "idx";
  if (absl::EndsWith(name, ".csv")) return "csv";
  if (absl::EndsWith(name, ".tsv")) return "tsv";
  const std::string base = std::filesystem::path(std::string(name)).filename().string();
  const bool batch = absl::StartsWith(base, "data_batch_") && absl::EndsWith(base, ".bin");
  if (batch || base == "test_batch.bin") return "cifar10";
  if (base == "train.bin" || base == "test.bin") return "cifar100";
  return "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenArrayFile(const std::string& path,
                                                         const OpenOptions& options) {
  const bool raw = options.raw_type.has_value();
  const std::string wanted = options.format.value_or(raw ? "raw" : "");
  const auto row = [](absl::string_view name) {
    return std::find_if(std::begin(kFormats), std::end(kFormats),
                        [&](const Format& format) { return format.name == name; });
  };
  if (!wanted.empty() && wanted != "raw" && row(wanted) == std::end(kFormats)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no format ", QuotedForError(wanted),
                                                   "; Halftone reads ", FormatNames(), ", raw"));
  }
  if (raw != (wanted == "raw")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, raw ? ": an element type is given, but the format is not raw"
                               : ": raw numbers need an element type"));
  }
  if (options.raw_shape.has_value() && !raw) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": a shape is given without an element type"));
  }

  ASSIGN_OR_RETURN(FilePtr file, InputFile::OpenOrSpool(path));
  if (raw) return OpenRawArray(std::move(file), *options.raw_type, options.raw_shape);
  if (!wanted.empty()) return row(wanted)->open(std::move(file));
  const std::string name = absl::AsciiStrToLower(file->path());
  ASSIGN_OR_RETURN(const bool zip, ZipArchive::IsZip(*file));
  if (zip && !EndsWithAnyOf(name, {".pt", ".pth"})) {
    ASSIGN_OR_RETURN(std::unique_ptr<ZipArchive> archive, ZipArchive::Open(std::move(file)));
    if (IsPytorchZip(*archive)) return OpenPytorchZip(std::move(archive));
    return OpenNpz(std::move(archive));
  }
  ASSIGN_OR_RETURN(const absl::string_view format, TellFormat(*file, name));
  if (!format.empty()) return row(format)->open(std::move(file));
  return absl::InvalidArgumentError(absl::StrCat(
      file->path(), ": neither its first bytes nor its name tell a format that Halftone reads: ",
      FormatNames(), "; rename it (to .npy, .csv, ...), or for raw numbers give --dtype and --shape"));
}

}  // namespace halftone
