// Weights spread over several safetensors files, as Hugging Face stores large models: an index in JSON,
//   {"metadata": {"total_size": 123}, "weight_map": {"<tensor>": "model-00001-of-00002.safetensors", ...}}
// and the files that it names, in its own folder.
#ifndef HALFTONE_IO_SAFETENSORS_SHARDED_SAFETENSORS_H_
#define HALFTONE_IO_SAFETENSORS_SHARDED_SAFETENSORS_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/array_file.h"
#include "io/input_file.h"

namespace halftone {

// The longest index that is read; that of a model of 100000 tensors has 10 MB.
inline constexpr uint64_t kMaxSafetensorsIndex = 64 << 20;

struct SafetensorsIndex {
  std::map<std::string, std::string> metadata;    // strings, and whole numbers as text
  std::map<std::string, std::string> weight_map;  // from a tensor to its file
};

// Errors: DataLoss, of one line that begins with `path`. A file's name is one within the index's folder.
absl::StatusOr<SafetensorsIndex> ParseSafetensorsIndex(absl::string_view path, absl::string_view json);

// The arrays by file, and within one in the order of their bytes; their offsets are those in their files.
// Random access. Every file is opened and must hold just those tensors that the index says. The metadata is
// that of the index, and what the files add to it. Errors: as OpenArrayFile.
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenShardedSafetensors(std::unique_ptr<InputFile> index);

}  // namespace halftone

#endif  // HALFTONE_IO_SAFETENSORS_SHARDED_SAFETENSORS_H_
