#include "io/pytorch/strided_file.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/element_type.h"
#include "io/range_file.h"
#include "tensor/shape.h"

namespace halftone {
namespace {

// Whether the elements follow one another in the order of their indices.
bool IsContiguous(const Shape& shape, const std::vector<int64_t>& strides) {
  int64_t expected = 1;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    if (shape[d] != 1 && strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

// The places of an array's elements, in units of elements, one after the other.
class Walk {
 public:
  Walk(const Shape& shape, const std::vector<int64_t>& strides, uint64_t first)
      : shape_(shape), strides_(strides), index_(shape.rank()) {
    for (int d = shape.rank() - 1; d >= 0; --d) {
      index_[d] = static_cast<int64_t>(first % static_cast<uint64_t>(shape[d]));
      first /= static_cast<uint64_t>(shape[d]);
      at_ += static_cast<uint64_t>(index_[d] * strides[d]);
    }
  }

  uint64_t Next() {
    const uint64_t at = at_;
    for (int d = shape_.rank() - 1; d >= 0; --d) {
      at_ += static_cast<uint64_t>(strides_[d]);
      if (++index_[d] < shape_[d]) break;
      at_ -= static_cast<uint64_t>(strides_[d] * shape_[d]);
      index_[d] = 0;
    }
    return at;
  }

 private:
  const Shape& shape_;
  const std::vector<int64_t>& strides_;
  std::vector<int64_t> index_;
  uint64_t at_ = 0;
};

// Fetches elements in the order of their places, neighbours together: a transposed matrix would otherwise
// take a read for every element.
class Gatherer {
 public:
  // The elements that are gathered at once: the more, the more neighbours. A multiple of any chunk.
  static constexpr size_t kElements = size_t{1} << 19;

  Gatherer(const StridedPlace& place, size_t element_bytes) : place_(place), size_(element_bytes) {}

  // Fills `to` with the walk's next elements.
  absl::Status Gather(Walk& walk, absl::Span<char> to) {
    order_.resize(to.size() / size_);
    for (size_t i = 0; i < order_.size(); ++i) order_[i] = {walk.Next(), static_cast<uint32_t>(i)};
    const auto earlier = [](const Element& a, const Element& b) { return a.place < b.place; };
    if (!std::is_sorted(order_.begin(), order_.end(), earlier)) {
      std::sort(order_.begin(), order_.end(), earlier);
    }
    for (size_t i = 0; i < order_.size();) {
      const uint64_t first = order_[i].place;
      size_t end = i + 1;
      while (end < order_.size() && (order_[end].place - order_[end - 1].place) * size_ <= kGap &&
             (order_[end].place - first + 1) * size_ <= kMaxChunkBytes) {
        ++end;
      }
      buffer_.resize((order_[end - 1].place - first + 1) * size_);
      RETURN_IF_ERROR(place_.file->ReadAt(place_.offset + first * size_, absl::MakeSpan(buffer_)));
      for (; i < end; ++i) {
        std::memcpy(&to[order_[i].index * size_], &buffer_[(order_[i].place - first) * size_], size_);
      }
    }
    return absl::OkStatus();
  }

 private:
  static constexpr uint64_t kGap = 512;  // bytes that are cheaper to read than to step over

  struct Element {
    uint64_t place;
    uint32_t index;
  };

  const StridedPlace& place_;
  size_t size_;
  std::vector<Element> order_;
  std::vector<char> buffer_;
};

}  // namespace

absl::Status StridedFile::Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const {
  const FileArray& array = arrays()[index];
  const StridedPlace& place = places_[index];
  if (begin == end) return absl::OkStatus();
  const size_t size = SizeOf(array.type);
  if (IsContiguous(array.shape, place.strides)) {
    return ReadElements(*place.file, place.offset + begin, place.offset + end, size, big_endian_, f);
  }
  std::vector<char> buffer(std::min<uint64_t>(end - begin, Gatherer::kElements * size));
  Walk walk(array.shape, place.strides, begin / size);
  Gatherer gatherer(place, size);
  for (uint64_t at = begin; at < end; at += buffer.size()) {
    absl::Span<char> piece(buffer.data(), std::min<uint64_t>(buffer.size(), end - at));
    RETURN_IF_ERROR(gatherer.Gather(walk, piece));
    if (big_endian_) SwapElements(size, piece);
    while (!piece.empty()) {
      const absl::Span<char> chunk = piece.first(std::min(piece.size(), kMaxChunkBytes));
      RETURN_IF_ERROR(f(chunk));
      piece.remove_prefix(chunk.size());
    }
  }
  return absl::OkStatus();
}

}  // namespace halftone
