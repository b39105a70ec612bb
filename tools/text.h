// Numbers and names as the reports show them.
#ifndef HALFTONE_TOOLS_TEXT_H_
#define HALFTONE_TOOLS_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace halftone {

// Three digits: "6.55e+04", "0.25", "inf".
std::string NumberText(double value);
// All digits up to 6 of them, else three: "123456", "1.23e+07".
std::string CountText(uint64_t count);
// "1 tensor", "2 tensors".
std::string Plural(uint64_t count, absl::string_view noun);

// A name as it can be shown: UTF-8 without characters that steer a terminal or turn the direction of the
// text. Each of those, and each byte that is not UTF-8, becomes U+FFFD.
std::string Printable(absl::string_view name);
// Columns that a Printable text takes: one a character.
size_t TextWidth(absl::string_view text);
// At most `width` (>= 5) columns of a Printable text, its middle replaced by "...": the beginning and the end
// of a tensor's name tell the most.
std::string ShortenMiddle(absl::string_view text, size_t width);
// The same with the end replaced.
std::string ShortenEnd(absl::string_view text, size_t width);

// As HTML's text, and as an attribute's value between any quotes.
std::string EscapeHtml(absl::string_view text);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_TEXT_H_
