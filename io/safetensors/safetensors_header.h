// The JSON header of a safetensors file: 8 bytes of little-endian length, the header, then the arrays' bytes.
// https://github.com/huggingface/safetensors#format
//
// Of the order of codes within the bytes of its F4, F6_E2M3 and F6_E3M2 the format says nothing; here it is
// that of quant/pack.h, which is PyTorch's of F4.
#ifndef HALFTONE_IO_SAFETENSORS_SAFETENSORS_HEADER_H_
#define HALFTONE_IO_SAFETENSORS_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "io/array.h"
#include "io/input_file.h"

namespace halftone {

inline constexpr uint64_t kSafetensorsLengthBytes = 8;
inline constexpr uint64_t kSafetensorsMaxHeader = 100'000'000;  // the format's own limit

struct SafetensorsHeader {
  std::vector<FileArray> arrays;  // in the order of their bytes in the file
  std::map<std::string, std::string> metadata;
};

// `json`: the header without its length; `file_bytes`: the whole file's size, at least 8 + json.size().
// Checks every rule of the format, names unique and the arrays covering the rest of the file among them.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view path, absl::string_view json,
                                                         uint64_t file_bytes);

// The same from the file itself.
absl::StatusOr<SafetensorsHeader> ReadSafetensorsHeader(const InputFile& file);

// The bytes before the arrays, length included, a multiple of 8. `arrays`' order is the order of their bytes;
// their offsets and bytes are not looked at. All are in C order and no larger than any memory.
absl::StatusOr<std::string> MakeSafetensorsHeader(absl::string_view path, absl::Span<const FileArray> arrays,
                                                  const std::map<std::string, std::string>& metadata);

}  // namespace halftone

#endif  // HALFTONE_IO_SAFETENSORS_SAFETENSORS_HEADER_H_
