// Reports with known values, for tests.
#ifndef HALFTONE_TOOLS_FP16_CHECK_SAMPLE_REPORT_H_
#define HALFTONE_TOOLS_FP16_CHECK_SAMPLE_REPORT_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "io/array_file.h"
#include "io/element_type.h"
#include "tools/fp16_check/report.h"

namespace halftone {

// A file of arrays that is nowhere but in memory.
class MemoryFile : public ArrayFile {
 public:
  struct Entry {
    FileArray array;
    std::string bytes;
  };

  explicit MemoryFile(std::vector<Entry> entries);
  bool random_access() const override { return true; }

 private:
  absl::Status Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const override;

  std::vector<Entry> entries_;
};

// One dimension.
template <typename T>
MemoryFile::Entry MakeEntry(std::string name, ElementType type, const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  FileArray array = {.name = std::move(name),
                     .type = type,
                     .shape = Shape({static_cast<int64_t>(values.size())}),
                     .bytes = bytes.size()};
  return {std::move(array), std::move(bytes)};
}

// A file "sample" in float16 and bfloat16 with these tensors, in this order:
//   fine    1, 2, -0.5, 0            safe and exact in both
//   large   2^17, 1, 2, 4            overflows float16; exact with 2^-2
//   broken  NaN, infinity, 1         safe in none
//   wide    2^100, 2^-100            in float16 an overflow under one scale and an underflow under all others
//   tie     1 + 2^-11                float16's largest relative error: an SQNR of 20 log10(2049)
//   ids     1, 2, 3, of int64        not converted
// and a file "gone" that could not be opened.
Report SampleReport();

// SampleReport with the first tensor called so.
Report SampleReportNamed(absl::string_view name);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_SAMPLE_REPORT_H_
