#include "io/array_safety.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "io/element_type.h"

namespace halftone {
namespace {

// What a thread takes at once. The pieces, and so the sums of their results, do not depend on the threads.
constexpr uint64_t kPieceBytes = 16 * kMaxChunkBytes;
// Pieces between two reports of progress.
constexpr size_t kPiecesAtOnce = 64;

struct Piece {
  size_t request;
  uint64_t begin, end;  // bytes
};

template <typename T>
void AddConverted(ElementType type, absl::Span<const char> bytes, SafetyCheck& check) {
  constexpr size_t kAtOnce = 8192;
  T values[kAtOnce];
  const size_t size = SizeOf(type);
  while (!bytes.empty()) {
    const size_t n = std::min(kAtOnce, bytes.size() / size);
    ConvertElements(type, bytes.first(n * size), absl::MakeSpan(values, n));
    check.Add(absl::MakeConstSpan(values, n));
    bytes.remove_prefix(n * size);
  }
}

void AddElements(ElementType type, absl::Span<const char> bytes, SafetyCheck& check) {
  switch (type) {
    case ElementType::kF32:
      // Chunks begin where operator new does, and where an element does.
      check.Add(
          absl::MakeConstSpan(reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)));
      return;
    case ElementType::kF64:
    case ElementType::kI64:
    case ElementType::kI32:
    case ElementType::kU64:
    case ElementType::kU32:
      return AddConverted<double>(type, bytes, check);
    default:
      return AddConverted<float>(type, bytes, check);
  }
}

absl::StatusOr<SafetyCheck> CheckPiece(const ArrayFile& file, const ArraySafetyRequest& request,
                                       uint64_t begin, uint64_t end) {
  SafetyCheck check(request.formats, request.scale_exponents);
  const ElementType type = file.arrays()[request.index].type;
  RETURN_IF_ERROR(file.ReadRange(request.index, begin, end, [&](absl::Span<const char> bytes) {
    AddElements(type, bytes, check);
    return absl::OkStatus();
  }));
  return check;
}

}  // namespace

absl::Status CheckArrays(const ArrayFile& file, absl::Span<const ArraySafetyRequest> requests,
                         absl::FunctionRef<absl::Status(size_t request, const SafetyCheck& check)> done,
                         absl::FunctionRef<void(uint64_t bytes)> read) {
  const uint64_t piece_bytes = file.random_access() ? kPieceBytes : ~uint64_t{0};
  std::vector<Piece> pieces;
  absl::optional<SafetyCheck> whole;  // of the request whose pieces are being merged
  const auto check_pieces = [&]() -> absl::Status {
    std::vector<absl::StatusOr<SafetyCheck>> checks(pieces.size());
    ParallelForBlocks(pieces.size(), 1, [&](size_t i, size_t, size_t) {
      const Piece& p = pieces[i];
      checks[i] = CheckPiece(file, requests[p.request], p.begin, p.end);
    });
    uint64_t bytes = 0;
    for (size_t i = 0; i < pieces.size(); ++i) {
      const Piece& p = pieces[i];
      RETURN_IF_ERROR(checks[i].status());
      if (p.begin == 0) {
        whole = *std::move(checks[i]);
      } else {
        whole->Merge(*checks[i]);
      }
      bytes += p.end - p.begin;
      if (p.end == file.arrays()[requests[p.request].index].bytes) {
        RETURN_IF_ERROR(done(p.request, *whole));
      }
    }
    read(bytes);
    pieces.clear();
    return absl::OkStatus();
  };
  for (size_t r = 0; r < requests.size(); ++r) {
    const uint64_t bytes = file.arrays()[requests[r].index].bytes;
    uint64_t begin = 0;
    do {  // an array of no bytes is a piece as well
      const uint64_t end = bytes - begin <= piece_bytes ? bytes : begin + piece_bytes;
      pieces.push_back({r, begin, end});
      begin = end;
      if (pieces.size() == (file.random_access() ? kPiecesAtOnce : 1)) RETURN_IF_ERROR(check_pieces());
    } while (begin < bytes);
  }
  return check_pieces();
}

}  // namespace halftone
