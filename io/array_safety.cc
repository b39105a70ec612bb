#include "io/array_safety.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "io/element_type.h"
#include "tensor/ops/safety/safety.h"
#include "tensor/tensor.h"

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

bool CheckedAsDoubles(ElementType type) {
  return type == ElementType::kF64 || type == ElementType::kI64 || type == ElementType::kI32 ||
         type == ElementType::kU64 || type == ElementType::kU32;
}

void AddElements(ElementType type, absl::Span<const char> bytes, SafetyCheck& check) {
  if (type == ElementType::kF32) {
    // Chunks begin where operator new does, and where an element does.
    return check.Add(
        absl::MakeConstSpan(reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)));
  }
  CheckedAsDoubles(type) ? AddConverted<double>(type, bytes, check) : AddConverted<float>(type, bytes, check);
}

// Gathers elements until they are worth a device's while.
template <typename T>
class DeviceAdder {
 public:
  DeviceAdder(Device& device, ElementType type, SafetyCheck& check)
      : device_(device),
        type_(type),
        check_(check),
        gathered_(Tensor::Empty(device.host(), kDTypeOf<T>, {kAtOnce})) {}

  void Add(absl::Span<const char> bytes) {
    const size_t size = SizeOf(type_);
    while (!bytes.empty()) {
      const size_t n = std::min(static_cast<size_t>(kAtOnce - count_), bytes.size() / size);
      ConvertElements(type_, bytes.first(n * size), absl::MakeSpan(gathered_.data<T>() + count_, n));
      count_ += static_cast<int64_t>(n);
      bytes.remove_prefix(n * size);
      if (count_ == kAtOnce) Flush();
    }
  }
  void Flush() {
    if (count_ == 0) return;
    Tensor there = Tensor::Empty(device_, kDTypeOf<T>, {count_});
    there.CopyFrom(count_ == kAtOnce ? gathered_
                                     : Tensor::From<T>(device_.host(), {count_},
                                                       {gathered_.data<T>(), static_cast<size_t>(count_)}));
    ops::AddToCheck(there, check_);
    count_ = 0;
  }

 private:
  static constexpr int64_t kAtOnce = int64_t{1} << 22;

  Device& device_;
  const ElementType type_;
  SafetyCheck& check_;
  Tensor gathered_;
  int64_t count_ = 0;
};

absl::StatusOr<SafetyCheck> CheckPiece(const ArrayFile& file, const ArraySafetyRequest& request,
                                       uint64_t begin, uint64_t end, Device* device) {
  SafetyCheck check(request.formats, request.scale_exponents);
  const ElementType type = file.arrays()[request.index].type;
  const auto add_all = [&](auto add) {
    return file.ReadRange(request.index, begin, end, [&](absl::Span<const char> bytes) {
      add(bytes);
      return absl::OkStatus();
    });
  };
  const auto on_device = [&](auto adder) -> absl::Status {
    RETURN_IF_ERROR(add_all([&](absl::Span<const char> bytes) { adder.Add(bytes); }));
    adder.Flush();
    return absl::OkStatus();
  };
  if (device == nullptr) {
    RETURN_IF_ERROR(add_all([&](absl::Span<const char> bytes) { AddElements(type, bytes, check); }));
  } else if (CheckedAsDoubles(type)) {
    RETURN_IF_ERROR(on_device(DeviceAdder<double>(*device, type, check)));
  } else {
    RETURN_IF_ERROR(on_device(DeviceAdder<float>(*device, type, check)));
  }
  return check;
}

}  // namespace

absl::Status CheckArrays(const ArrayFile& file, absl::Span<const ArraySafetyRequest> requests,
                         absl::FunctionRef<absl::Status(size_t request, const SafetyCheck& check)> done,
                         absl::FunctionRef<void(uint64_t bytes)> read, Device* device) {
  const uint64_t piece_bytes = file.random_access() ? kPieceBytes : ~uint64_t{0};
  std::vector<Piece> pieces;
  absl::optional<SafetyCheck> whole;  // of the request whose pieces are being merged
  const auto check_pieces = [&]() -> absl::Status {
    std::vector<absl::StatusOr<SafetyCheck>> checks(pieces.size());
    const auto check_piece = [&](size_t i) {
      const Piece& p = pieces[i];
      checks[i] = CheckPiece(file, requests[p.request], p.begin, p.end, device);
    };
    if (device == nullptr) {
      ParallelForBlocks(pieces.size(), 1, [&](size_t i, size_t, size_t) { check_piece(i); });
    } else {
      for (size_t i = 0; i < pieces.size(); ++i) check_piece(i);
      if (device->accelerator() != nullptr) RETURN_IF_ERROR(device->accelerator()->status());
    }
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
