// A file with quantised arrays (io/quantized/quantized_array.h), read as if it held their numbers.
#ifndef HALFTONE_IO_QUANTIZED_DEQUANTIZED_FILE_H_
#define HALFTONE_IO_QUANTIZED_DEQUANTIZED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "io/array_file.h"
#include "io/quantized/quantized_array.h"
#include "quant/codebook.h"

namespace halftone {

class DequantizedFile final : public ArrayFile {
 public:
  // `quantized`: those of the file's arrays (FindQuantized) that are to be numbers: float32, of their shapes,
  // with exactly the bits that DequantizeBlocks (quant/block_format.h) or Dequantize (quant/scaled.h,
  // quant/codebook.h) gives.
  // Their scales and entries of metadata are left out; all other arrays are as they are. `path` is for
  // messages. Scales of float32 are kept in memory. DataLoss: a float32 scale or a codebook that is none.
  static absl::StatusOr<std::unique_ptr<ArrayFile>> Create(absl::string_view path,
                                                           std::unique_ptr<ArrayFile> file,
                                                           std::vector<QuantizedArray> quantized);

  bool random_access() const override { return file_->random_access(); }

 private:
  // One of arrays(): one of the file's, or numbers of codes and scales.
  struct Origin {
    size_t index = 0;         // into the file's arrays: of the array or its codes
    size_t scales_index = 0;  // of block scales
    const QuantizedArray* quantized = nullptr;
    std::vector<float> scales;  // float32: of the rows, or the tensor's
    absl::optional<Codebook> codebook;
  };

  DequantizedFile(std::unique_ptr<ArrayFile> file, std::vector<QuantizedArray> quantized,
                  std::vector<FileArray> arrays, std::vector<Origin> origins,
                  std::map<std::string, std::string> metadata);

  absl::Status Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const override;
  // The codes of the numbers [first, last), of which the first begins a byte, one a byte.
  absl::Status ReadCodes(const Origin& origin, uint64_t first, uint64_t last,
                         std::vector<uint8_t>& codes) const;
  // The numbers [first, last), whole blocks or of codes that fill bytes.
  absl::Status Dequantize(const Origin& origin, uint64_t first, uint64_t last,
                          absl::Span<float> numbers) const;

  std::unique_ptr<ArrayFile> file_;
  std::vector<QuantizedArray> quantized_;
  std::vector<Origin> origins_;  // of arrays()
};

}  // namespace halftone

#endif  // HALFTONE_IO_QUANTIZED_DEQUANTIZED_FILE_H_
