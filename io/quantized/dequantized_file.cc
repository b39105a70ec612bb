#include "io/quantized/dequantized_file.h"

#include <algorithm>
#include <cfloat>
#include <set>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/element_type.h"
#include "io/file_errors.h"
#include "quant/block_format.h"
#include "quant/pack.h"
#include "quant/scaled.h"

namespace halftone {
namespace {

constexpr uint64_t kNumbersPerChunk = kMaxChunkBytes / sizeof(float);
// So many codes of any bits end with a byte.
constexpr uint64_t kWholeBytes = 8;

absl::Status AppendBytes(const ArrayFile& file, size_t index, uint64_t begin, uint64_t end,
                         std::vector<uint8_t>& to) {
  return file.ReadRange(index, begin, end, [&](absl::Span<const char> bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<float>> ReadFloats(const ArrayFile& file, size_t index) {
  std::vector<float> floats;
  RETURN_IF_ERROR(file.ReadChunks(index, [&](absl::Span<const char> bytes) {
    const size_t n = bytes.size() / sizeof(float), before = floats.size();
    floats.resize(before + n);
    ConvertElements(ElementType::kF32, bytes, absl::MakeSpan(floats).subspan(before));
    return absl::OkStatus();
  }));
  return floats;
}

void DequantizeRows(const QuantFormat& format, const absl::optional<Codebook>& codebook,
                    absl::Span<const uint8_t> codes, absl::Span<const float> scales,
                    absl::Span<float> numbers) {
  if (codebook.has_value()) return halftone::Dequantize(*codebook, codes, scales, numbers);
  if (const auto* integers = std::get_if<IntegerFormat>(&format)) {
    return halftone::Dequantize(*integers, codes, scales, {}, numbers);
  }
  halftone::Dequantize(std::get<FloatFormat>(format), codes, scales, numbers);
}

}  // namespace

DequantizedFile::DequantizedFile(std::unique_ptr<ArrayFile> file, std::vector<QuantizedArray> quantized,
                                 std::vector<FileArray> arrays, std::vector<Origin> origins,
                                 std::map<std::string, std::string> metadata)
    : ArrayFile(file->format(), std::move(arrays), std::move(metadata)),
      file_(std::move(file)),
      quantized_(std::move(quantized)),
      origins_(std::move(origins)) {}

absl::StatusOr<std::unique_ptr<ArrayFile>> DequantizedFile::Create(absl::string_view path,
                                                                   std::unique_ptr<ArrayFile> file,
                                                                   std::vector<QuantizedArray> quantized) {
  std::map<std::string, size_t> index_of;
  for (size_t i = 0; i < file->arrays().size(); ++i) index_of[file->arrays()[i].name] = i;
  std::map<std::string, std::string> metadata = file->metadata();
  std::set<std::string> scales;
  std::map<std::string, const QuantizedArray*> by_name;
  for (const QuantizedArray& q : quantized) {
    metadata.erase(q.Metadata().first);
    by_name[q.name] = &q;
    scales.insert(q.scale_name());
    if (q.has_tensor_scale()) scales.insert(q.tensor_scale_name());
    if (q.has_codebook()) scales.insert(q.codebook_name());
  }
  std::vector<FileArray> arrays;
  std::vector<Origin> origins;
  for (size_t i = 0; i < file->arrays().size(); ++i) {
    const FileArray& array = file->arrays()[i];
    if (scales.count(array.name) > 0) continue;
    const auto found = by_name.find(array.name);
    if (found == by_name.end()) {
      arrays.push_back(array);
      origins.push_back({.index = i});
      continue;
    }
    const QuantizedArray& q = *found->second;
    arrays.push_back({q.name, ElementType::kF32, q.shape, 0, q.numbers() * sizeof(float)});
    Origin origin = {.index = i, .scales_index = index_of.at(q.scale_name()), .quantized = &q};
    if (q.block() == nullptr || q.has_tensor_scale()) {
      const std::string name = q.block() == nullptr ? q.scale_name() : q.tensor_scale_name();
      ASSIGN_OR_RETURN(origin.scales, ReadFloats(*file, index_of.at(name)));
      for (const float scale : origin.scales) {
        if (scale >= FLT_MIN && scale <= FLT_MAX) continue;
        return Damaged(path, absl::StrCat("array ", QuotedForError(name), ": ", scale,
                                          " is no scale; expected are normal positive numbers"));
      }
    }
    if (q.has_codebook()) {
      ASSIGN_OR_RETURN(const std::vector<float> values, ReadFloats(*file, index_of.at(q.codebook_name())));
      const absl::StatusOr<Codebook> codebook = Codebook::Create(values);
      if (!codebook.ok()) {
        return Damaged(path, absl::StrCat("array ", QuotedForError(q.codebook_name()), ": ",
                                          codebook.status().message()));
      }
      origin.codebook = *codebook;
    }
    origins.push_back(std::move(origin));
  }
  // Moving a vector leaves its elements where they are, and so the origins' pointers valid.
  return std::unique_ptr<ArrayFile>(new DequantizedFile(
      std::move(file), std::move(quantized), std::move(arrays), std::move(origins), std::move(metadata)));
}

absl::Status DequantizedFile::ReadCodes(const Origin& origin, uint64_t first, uint64_t last,
                                        std::vector<uint8_t>& codes) const {
  const int bits = origin.quantized->code_bits();
  codes.clear();
  if (bits == 8 || file_->arrays()[origin.index].type != ElementType::kU8) {
    return AppendBytes(*file_, origin.index, first, last, codes);  // one a byte by the file itself
  }
  std::vector<uint8_t> packed;
  const uint64_t begin = PackedBytes(bits, first);
  RETURN_IF_ERROR(AppendBytes(*file_, origin.index, begin, begin + PackedBytes(bits, last - first), packed));
  codes.resize(last - first);
  UnpackBits(bits, packed, absl::MakeSpan(codes));
  if (origin.quantized->has_codebook()) return absl::OkStatus();
  // Integers in two's complement of 8 bits: the sign goes on.
  for (uint8_t& code : codes)
    code = static_cast<uint8_t>(static_cast<int8_t>(code << (8 - bits)) >> (8 - bits));
  return absl::OkStatus();
}

absl::Status DequantizedFile::Dequantize(const Origin& origin, uint64_t first, uint64_t last,
                                         absl::Span<float> numbers) const {
  const QuantizedArray& q = *origin.quantized;
  std::vector<uint8_t> codes;
  RETURN_IF_ERROR(ReadCodes(origin, first, last, codes));
  if (const BlockFormat* format = q.block()) {
    // Rows are whole blocks, so that the blocks of all are one after the other.
    const auto block = static_cast<uint64_t>(format->block);
    std::vector<uint8_t> scales;
    RETURN_IF_ERROR(AppendBytes(*file_, origin.scales_index, first / block, last / block, scales));
    DequantizeBlocks(*format, codes, scales, origin.scales.empty() ? 1 : origin.scales[0], codes.size(),
                     numbers);
    return absl::OkStatus();
  }
  for (uint64_t at = first; at < last;) {
    const uint64_t row = at / q.row, row_end = (row + 1) * q.row;
    const uint64_t rows = at % q.row == 0 ? (last - at) / q.row : 0;
    const uint64_t n = rows > 0 ? rows * q.row : std::min(last, row_end) - at;
    DequantizeRows(q.format, origin.codebook, absl::MakeConstSpan(codes).subspan(at - first, n),
                   absl::MakeConstSpan(origin.scales).subspan(row, std::max<uint64_t>(rows, 1)),
                   numbers.subspan(at - first, n));
    at += n;
  }
  return absl::OkStatus();
}

absl::Status DequantizedFile::Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const {
  const Origin& origin = origins_[index];
  if (origin.quantized == nullptr) return file_->ReadRange(origin.index, begin, end, f);
  const QuantizedArray& q = *origin.quantized;
  const uint64_t unit = q.block() != nullptr ? static_cast<uint64_t>(q.block()->block) : kWholeBytes;
  std::vector<float> numbers;
  begin /= sizeof(float);
  end /= sizeof(float);
  while (begin < end) {
    const uint64_t n = std::min(end - begin, kNumbersPerChunk);
    const uint64_t first = begin / unit * unit;
    const uint64_t last = std::min(q.numbers(), (begin + n + unit - 1) / unit * unit);
    numbers.resize(last - first);
    RETURN_IF_ERROR(Dequantize(origin, first, last, absl::MakeSpan(numbers)));
    const absl::Span<const float> wanted = absl::MakeConstSpan(numbers).subspan(begin - first, n);
    RETURN_IF_ERROR(f({reinterpret_cast<const char*>(wanted.data()), wanted.size() * sizeof(float)}));
    begin += n;
  }
  return absl::OkStatus();
}

}  // namespace halftone
