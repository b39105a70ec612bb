#include "io/float_batches.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "io/element_type.h"

namespace halftone {
namespace {

constexpr size_t kPart = 1 << 16;  // elements that a thread reads at once

// Elements [first, first + to.size()).
absl::Status ReadFloats(const ArrayFile& file, size_t index, uint64_t first, absl::Span<float> to) {
  const ElementType type = file.arrays()[index].type;
  const uint64_t size = SizeOf(type);
  std::vector<absl::Status> statuses((to.size() + kPart - 1) / kPart);
  ParallelForBlocks(to.size(), kPart, [&](size_t part, size_t begin, size_t end) {
    size_t at = begin;
    statuses[part] = file.ReadRange(index, (first + begin) * size, (first + end) * size,
                                    [&](absl::Span<const char> bytes) {
                                      const size_t n = bytes.size() / size;
                                      ConvertElements(type, bytes, to.subspan(at, n));
                                      at += n;
                                      return absl::OkStatus();
                                    });
  });
  for (const absl::Status& status : statuses) RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadFloatBatches(
    const ArrayFile& file, size_t index, uint64_t row,
    absl::FunctionRef<absl::Status(uint64_t first, absl::Span<const float> floats)> f) {
  const FileArray& array = file.arrays()[index];
  const uint64_t size = SizeOf(array.type), elements = array.bytes / size;
  HALFTONE_CHECK(row > 0 && elements % row == 0);
  const auto batch_from = [&](uint64_t first) -> size_t {
    if (row <= kFloatBatch) return std::min(elements - first, kFloatBatch / row * row);
    return std::min<uint64_t>(row - first % row, kFloatBatch);
  };
  std::vector<float> floats;
  if (file.random_access()) {
    for (uint64_t first = 0; first < elements; first += floats.size()) {
      floats.resize(batch_from(first));
      RETURN_IF_ERROR(ReadFloats(file, index, first, absl::MakeSpan(floats)));
      RETURN_IF_ERROR(f(first, floats));
    }
    return absl::OkStatus();
  }
  uint64_t first = 0;
  size_t filled = 0;
  floats.resize(batch_from(first));
  return file.ReadChunks(index, [&](absl::Span<const char> bytes) {
    while (!bytes.empty()) {
      const size_t n = std::min(bytes.size() / size, floats.size() - filled);
      ConvertElements(array.type, bytes.first(n * size), absl::MakeSpan(floats).subspan(filled, n));
      bytes.remove_prefix(n * size);
      if ((filled += n) < floats.size()) continue;
      RETURN_IF_ERROR(f(first, floats));
      first += filled;
      filled = 0;
      floats.resize(batch_from(first));
    }
    return absl::OkStatus();
  });
}

}  // namespace halftone
