#include "io/numpy/npy.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "io/array_writer.h"
#include "io/element_type.h"
#include "io/file_errors.h"
#include "io/input_file.h"
#include "io/numpy/npy_header.h"

namespace halftone {
namespace {

static_assert(std::endian::native == std::endian::little, "big-endian files are the ones swapped");

// Calls f with an unsigned integer of the element's size: enough to move elements about.
template <typename F>
void VisitSize(size_t size, F&& f) {
  switch (size) {
    case 1:
      return f(uint8_t());
    case 2:
      return f(uint16_t());
    case 4:
      return f(uint32_t());
    default:
      HALFTONE_CHECK(size == 8);
      return f(uint64_t());
  }
}

uint8_t Swapped(uint8_t x) { return x; }
uint16_t Swapped(uint16_t x) { return __builtin_bswap16(x); }
uint32_t Swapped(uint32_t x) { return __builtin_bswap32(x); }
uint64_t Swapped(uint64_t x) { return __builtin_bswap64(x); }

void SwapBytes(Tensor& tensor) {
  VisitSize(SizeOf(tensor.dtype()), [&](auto zero) {
    char* p = static_cast<char*>(tensor.raw());
    for (int64_t i = 0; i < tensor.elements(); ++i, p += sizeof(zero)) {
      auto x = zero;
      std::memcpy(&x, p, sizeof(x));
      x = Swapped(x);
      std::memcpy(p, &x, sizeof(x));
    }
  });
}

// `from` has the elements of `to` in Fortran order: the first index runs fastest.
void CopyFromFortran(const Tensor& from, Tensor& to) {
  if (to.elements() == 0) return;
  const int rank = to.shape().rank();
  std::vector<int64_t> stride(rank), index(rank);  // in `from`, in elements
  int64_t elements_below = 1;
  for (int i = 0; i < rank; ++i) {
    stride[i] = elements_below;
    elements_below *= to.shape()[i];
  }
  VisitSize(SizeOf(to.dtype()), [&](auto element) {
    const char* src = static_cast<const char*>(from.raw());
    char* dst = static_cast<char*>(to.raw());
    int64_t at = 0;
    for (int64_t n = 0; n < to.elements(); ++n) {
      std::memcpy(dst + n * sizeof(element), src + at * sizeof(element), sizeof(element));
      // The next index in C order, the last one fastest.
      for (int i = rank - 1; i >= 0; --i) {
        at += stride[i];
        if (++index[i] < to.shape()[i]) break;
        at -= stride[i] * index[i];
        index[i] = 0;
      }
    }
  });
}

}  // namespace

absl::StatusOr<Tensor> ReadNpy(Device& device, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<InputFile> file, InputFile::Open(path));
  uint64_t at = 0;
  ASSIGN_OR_RETURN(const NpyHeader header, ReadNpyHeader(path, file->size(), [&](absl::Span<char> to) {
                     const uint64_t from = std::exchange(at, at + to.size());
                     return file->ReadAt(from, to);
                   }));
  const absl::optional<DType> dtype = DTypeOf(header.type);
  if (!dtype.has_value()) {
    return absl::UnimplementedError(
        absl::StrCat(path, ": ", NameOf(header.type),
                     " is not a dtype that a tensor has: float64, float32, float16, "
                     "int64, int32 or uint8"));
  }
  ASSIGN_OR_RETURN(Tensor tensor, AllocateFor(device, path, *dtype, header.shape));
  RETURN_IF_ERROR(
      file->ReadAt(header.offset, absl::MakeSpan(static_cast<char*>(tensor.raw()), tensor.bytes())));
  if (header.big_endian) SwapBytes(tensor);
  if (!header.fortran_order || header.shape.rank() < 2) return tensor;
  ASSIGN_OR_RETURN(Tensor ordered, AllocateFor(device, path, *dtype, header.shape));
  CopyFromFortran(tensor, ordered);
  return ordered;
}

absl::Status WriteNpy(const std::string& path, const Tensor& tensor) {
  HALFTONE_CHECK(tensor.defined());
  ASSIGN_OR_RETURN(const std::unique_ptr<ArrayWriter> writer,
                   ArrayWriter::CreateNpy(path, {"", ElementTypeOf(tensor.dtype()), tensor.shape()}));
  RETURN_IF_ERROR(writer->Append({static_cast<const char*>(tensor.raw()), tensor.bytes()}));
  return writer->Commit();
}

}  // namespace halftone
