#include "tools/text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace halftone {
namespace {

constexpr char kReplacement[] = "\xef\xbf\xbd";  // U+FFFD

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The length of the UTF-8 character that the text begins with, and the character; 0 where there is none.
// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
size_t DecodeUtf8(absl::string_view text, uint32_t& character) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) {
    character = lead;
    return 1;
  }
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  character = lead & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if (!Continues(text[i])) return 0;
    character = character << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
  }
  const bool overlong = (length == 3 && character < 0x800) || (length == 4 && character < 0x10000);
  const bool surrogate = character >= 0xd800 && character < 0xe000;
  return overlong || surrogate || character > 0x10ffff ? 0 : length;
}

bool Steers(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) ||        // C0, DEL, C1
         c == 0x200e || c == 0x200f || c == 0x61c ||   // marks of direction
         (c >= 0x2028 && c <= 0x202e) ||               // line ends, embeddings, overrides
         (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;  // isolates, byte-order mark
}

// The first byte of that character.
size_t ByteOf(absl::string_view text, size_t character) {
  size_t i = 0;
  while (i < text.size() && (Continues(text[i]) || character-- > 0)) ++i;
  return i;
}

}  // namespace

std::string NumberText(double value) { return absl::StrFormat("%.3g", value); }

std::string CountText(uint64_t count) {
  return count < 1000000 ? absl::StrCat(count) : NumberText(static_cast<double>(count));
}

std::string Plural(uint64_t count, absl::string_view noun) {
  return absl::StrCat(CountText(count), " ", noun, count == 1 ? "" : "s");
}

std::string Printable(absl::string_view name) {
  std::string text;
  while (!name.empty()) {
    uint32_t character = 0;
    const size_t length = DecodeUtf8(name, character);
    if (length == 0 || Steers(character)) {
      text += kReplacement;
    } else {
      absl::StrAppend(&text, name.substr(0, length));
    }
    name.remove_prefix(std::max<size_t>(length, 1));
  }
  return text;
}

size_t TextWidth(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !Continues(c); }));
}

std::string ShortenMiddle(absl::string_view text, size_t width) {
  const size_t characters = TextWidth(text);
  if (characters <= width) return std::string(text);
  const size_t tail = (width - 3) / 2;
  return absl::StrCat(ShortenEnd(text, width - tail), text.substr(ByteOf(text, characters - tail)));
}

std::string ShortenEnd(absl::string_view text, size_t width) {
  if (TextWidth(text) <= width) return std::string(text);
  return absl::StrCat(text.substr(0, ByteOf(text, width - 3)), "...");
}

std::string EscapeHtml(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

}  // namespace halftone
