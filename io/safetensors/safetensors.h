// Safetensors files: named tensors and a map of strings, as Hugging Face's safetensors reads and writes them.
// https://github.com/huggingface/safetensors#format
//
//   ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::Open("weights.safetensors"));
//   for (const ArrayInfo& info : reader.arrays()) ...
//   ASSIGN_OR_RETURN(const Tensor w, reader.Read(device, "conv1.weight"));
//
// Opening reads and checks the header alone: every array lies within the file, has as many bytes as its dtype
// and shape ask for, and the arrays fill the file without a hole or an overlap. A file that breaks a rule of
// the format, however it came about, is refused with one line that names the file, the tensor and the rule.
// Elements are read when asked for, straight into the memory that they go to.
//
// Dtypes: F64, F32, F16, BF16, I64, I32, U8.
#ifndef HALFTONE_IO_SAFETENSORS_SAFETENSORS_H_
#define HALFTONE_IO_SAFETENSORS_SAFETENSORS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "io/array.h"
#include "io/input_file.h"
#include "tensor/device.h"
#include "tensor/tensor.h"

namespace halftone {

// Thread safe. Keeps the file open. Errors: DataLoss (the file breaks a rule), Unimplemented (a dtype that
// Halftone does not have), NotFound, InvalidArgument (the caller's tensor does not match), and what the file
// system says.
class SafetensorsReader {
 public:
  static absl::StatusOr<SafetensorsReader> Open(const std::string& path);

  // In the order of their bytes in the file.
  const std::vector<ArrayInfo>& arrays() const { return arrays_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Null when the file has no array of this name.
  const ArrayInfo* Find(absl::string_view name) const;

  absl::StatusOr<Tensor> Read(Device& device, absl::string_view name) const;
  // Into a tensor of exactly the dtype and the shape that the file has. After an error its elements are
  // unspecified.
  absl::Status ReadInto(absl::string_view name, Tensor& to) const;
  // Into memory of exactly as many bytes as the array has; little-endian elements, slowest dimension first.
  absl::Status ReadInto(absl::string_view name, absl::Span<char> to) const;

 private:
  explicit SafetensorsReader(std::unique_ptr<InputFile> file) : file_(std::move(file)) {}

  absl::StatusOr<const ArrayInfo*> Get(absl::string_view name) const;

  std::unique_ptr<InputFile> file_;
  std::vector<ArrayInfo> arrays_;
  absl::flat_hash_map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
};

// Writes a file that appears under its name only when it is whole. Every array starts at a multiple of its
// element's size, which the format reaches by order: larger elements come first, and otherwise `tensors`'
// order is kept. The same arguments give the same bytes. InvalidArgument: two tensors of one name, a tensor
// named "__metadata__", text that is not UTF-8, a header above the format's 100 MB.
absl::Status WriteSafetensors(const std::string& path, absl::Span<const NamedTensor> tensors,
                              const std::map<std::string, std::string>& metadata = {});

}  // namespace halftone

#endif  // HALFTONE_IO_SAFETENSORS_SAFETENSORS_H_
