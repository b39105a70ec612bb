#include "quant/quant_format.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/unknown_name.h"
#include "quant/formats.h"

namespace halftone {
namespace {

absl::string_view View(std::string_view name) { return {name.data(), name.size()}; }

// What a number can be rounded to and still be one: not the format of scales, not 16 bits.
bool Quantizes(const FloatFormat& format) { return format.bits() <= 8 && format.has_sign; }

}  // namespace

absl::string_view NameOf(const QuantFormat& format) {
  return std::visit([](const auto& f) { return View(f.name); }, format);
}

double BitsPerElement(const QuantFormat& format) {
  struct {
    double operator()(const FloatFormat& f) const { return f.bits(); }
    double operator()(const IntegerFormat& f) const { return f.bits; }
    double operator()(const BlockFormat& f) const { return f.bits_per_element(); }
    double operator()(const CodebookFormat& f) const { return f.bits; }
  } bits;
  return std::visit(bits, format);
}

double StoredBytes(const QuantFormat& format, int64_t rows, int64_t row, int64_t scales) {
  constexpr double kFloat = 4;
  const auto n = static_cast<double>(rows * row), all_scales = kFloat * static_cast<double>(scales);
  if (const auto* f = std::get_if<BlockFormat>(&format)) {
    const auto blocks =
        static_cast<double>(static_cast<size_t>(rows) * f->BlocksPerRow(static_cast<size_t>(row)));
    return n * f->element_bits() / 8 + blocks + (f->scale == BlockScale::kE4m3 ? all_scales : 0);
  }
  double bytes = n * BitsPerElement(format) / 8 + all_scales;
  if (const auto* f = std::get_if<IntegerFormat>(&format); f != nullptr && f->affine) {
    bytes += static_cast<double>(scales) * f->bits / 8;
  }
  if (const auto* f = std::get_if<CodebookFormat>(&format)) bytes += kFloat * f->size();
  return bytes;
}

std::vector<QuantFormat> QuantFormats() {
  std::vector<QuantFormat> formats;
  for (const FloatFormat& f : kFloatFormats) {
    if (Quantizes(f)) formats.push_back(f);
  }
  formats.insert(formats.end(), kIntegerFormats.begin(), kIntegerFormats.end());
  formats.insert(formats.end(), kBlockFormats.begin(), kBlockFormats.end());
  formats.insert(formats.end(), kCodebookFormats.begin(), kCodebookFormats.end());
  return formats;
}

absl::StatusOr<QuantFormat> FindQuantFormat(absl::string_view name) {
  const std::vector<QuantFormat> formats = QuantFormats();
  for (const QuantFormat& format : formats) {
    if (NameOf(format) == name) return format;
  }
  if (const absl::StatusOr<FloatFormat> f = FindFloatFormat(name); f.ok() && Quantizes(*f)) return *f;
  if (const absl::StatusOr<BlockFormat> f = FindBlockFormat(name); f.ok()) return *f;
  return UnknownName("quantisation format", name, formats, [](const QuantFormat& f) { return NameOf(f); });
}

}  // namespace halftone
