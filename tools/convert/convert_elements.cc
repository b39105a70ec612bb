#include "tools/convert/convert_elements.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/status/statusor.h"
#include "base/check.h"
#include "fp16/codec.h"
#include "quant/formats.h"
#include "quant/pack.h"

namespace halftone {
namespace {

constexpr FloatFormat kFloat32 = {.name = "float32",
                                  .exponent_bits = 8,
                                  .mantissa_bits = 23,
                                  .bias = 127,
                                  .has_sign = true,
                                  .has_infinity = true,
                                  .nan_codes = NanCodes::kIeee};
static_assert(kFloat32.valid());

// Elements that are worked on at once: they stay in the first-level cache.
constexpr size_t kAtOnce = 2048;

// The values of floats of at most 32 bits.
void Load(ElementType type, absl::Span<const char> bytes, absl::Span<float> values) {
  if (type == ElementType::kF32) {
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return;
  }
  const FloatFormat format = *FormatOf(type);
  if (format.bits() <= 8) {
    DecodeAll(format, absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), values.size()),
              values);
  } else {
    DecodeAll(format, absl::MakeConstSpan(reinterpret_cast<const uint16_t*>(bytes.data()), values.size()),
              values);
  }
}

}  // namespace

absl::optional<FloatFormat> FormatOf(ElementType type) {
  if (type == ElementType::kF32) return kFloat32;
  const absl::StatusOr<FloatFormat> format = FindFloatFormat(NameOf(type));
  if (!format.ok()) return absl::nullopt;
  return *format;
}

bool ElementConverter::rounds() const {
  if (from_ == to_ || to_ == ElementType::kF64) return false;
  return from_ == ElementType::kF64 || to_ != ElementType::kF32;
}

template <typename Value>
void ElementConverter::AppendRounded(absl::Span<const Value> values, uint64_t first,
                                     std::vector<char>& out) const {
  const FloatFormat format = *FormatOf(to_);
  const size_t start = out.size();
  out.resize(start + values.size() * SizeOf(to_));
  char* const to = out.data() + start;
  const RandomBits random = rounding_ == Rounding::kStochastic ? RandomBits(rng_, first) : RandomBits();
  switch (format.bits()) {
    case 8:
      return EncodeAll(format, values, rounding_, overflow_,
                       absl::MakeSpan(reinterpret_cast<uint8_t*>(to), values.size()), random);
    case 16:
      return EncodeAll(format, values, rounding_, overflow_,
                       absl::MakeSpan(reinterpret_cast<uint16_t*>(to), values.size()), random);
    default:
      for (size_t i = 0; i < values.size(); ++i) {
        const uint32_t bits = rounding_ == Rounding::kStochastic ? rng_.Bits(first + i) : 0;
        const uint32_t code = Encode(format, values[i], rounding_, overflow_, bits);
        std::memcpy(to + i * sizeof(code), &code, sizeof(code));
      }
  }
}

template <typename Value>
void ElementConverter::AppendValues(absl::Span<const Value> values, uint64_t first,
                                    std::vector<char>& out) const {
  if (rounds()) return AppendRounded(values, first, out);
  const char* const bytes = reinterpret_cast<const char*>(values.data());
  out.insert(out.end(), bytes, bytes + values.size() * sizeof(Value));
}

void ElementConverter::Append(absl::Span<const char> bytes, uint64_t first, std::vector<char>& out) const {
  if (from_ == to_) {
    const int bits = BitsOf(to_);
    if (bits >= 8) {
      out.insert(out.end(), bytes.begin(), bytes.end());
      return;
    }
    HALFTONE_CHECK(first % 8 == 0);
    const size_t start = out.size();
    out.resize(start + PackedBytes(bits, bytes.size()));
    PackBits(bits, absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
             absl::MakeSpan(reinterpret_cast<uint8_t*>(out.data() + start), out.size() - start));
    return;
  }
  HALFTONE_CHECK(IsFloat(from_) && IsFloat(to_) && BitsOf(to_) >= 8);
  const size_t size = SizeOf(from_);
  while (!bytes.empty()) {
    const size_t n = std::min(kAtOnce, bytes.size() / size);
    if (from_ == ElementType::kF64 || to_ == ElementType::kF64) {
      double values[kAtOnce];
      ConvertElements(from_, bytes.first(n * size), absl::MakeSpan(values, n));
      AppendValues(absl::MakeConstSpan(values, n), first, out);
    } else {
      float values[kAtOnce];
      Load(from_, bytes.first(n * size), absl::MakeSpan(values, n));
      AppendValues(absl::MakeConstSpan(values, n), first, out);
    }
    first += n;
    bytes.remove_prefix(n * size);
  }
}

}  // namespace halftone
