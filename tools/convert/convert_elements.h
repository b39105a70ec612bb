// The elements of an array in another float type.
#ifndef HALFTONE_TOOLS_CONVERT_CONVERT_ELEMENTS_H_
#define HALFTONE_TOOLS_CONVERT_CONVERT_ELEMENTS_H_

#include <cstdint>
#include <vector>

#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "fp16/format.h"
#include "io/element_type.h"

namespace halftone {

// The format of a file's floats but float64, which is none of FloatFormat's.
absl::optional<FloatFormat> FormatOf(ElementType type);

// Thread safe.
class ElementConverter {
 public:
  // Both types are floats, or the same; `to` has 8 bits and more, or is the same. To a type that holds every
  // number of the other, and to the same type, nothing is rounded and infinities stay. `rng`: element i of
  // the array is rounded with rng.Bits(i), where the rounding is stochastic.
  ElementConverter(ElementType from, ElementType to, Rounding rounding, Overflow overflow, const Rng& rng)
      : from_(from), to_(to), rounding_(rounding), overflow_(overflow), rng_(rng) {}

  // Whether numbers may be changed.
  bool rounds() const;

  // Appends to `out` the elements first, first + 1, ... of the array, which are `bytes`: little endian, as
  // are the results. bytes.data() is aligned for its elements. Codes of fewer than 8 bits come one a byte, as
  // files are read, and go packed, as they are written; of them `first` is a multiple of 8, and so is their
  // number but at the end of the array.
  void Append(absl::Span<const char> bytes, uint64_t first, std::vector<char>& out) const;

 private:
  template <typename Value>
  void AppendRounded(absl::Span<const Value> values, uint64_t first, std::vector<char>& out) const;
  template <typename Value>
  void AppendValues(absl::Span<const Value> values, uint64_t first, std::vector<char>& out) const;

  ElementType from_, to_;
  Rounding rounding_;
  Overflow overflow_;
  Rng rng_;
};

}  // namespace halftone

#endif  // HALFTONE_TOOLS_CONVERT_CONVERT_ELEMENTS_H_
