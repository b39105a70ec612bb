#include "datasets/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.h"

namespace halftone {
namespace {

constexpr int32_t kReplacement = 0xfffd;
constexpr int32_t kCapitalIWithDot = 0x130;
constexpr int32_t kCombiningDotAbove = 0x307;

bool IsAscii(char c) { return static_cast<uint8_t>(c) < 0x80; }

bool IsWhitespace(int32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return true;
  const utf8proc_category_t category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

// Not those without a category (Cn): what a newer Unicode has named since.
bool IsDropped(int32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const utf8proc_category_t category = utf8proc_category(c);
  return c == kReplacement || category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CO;
}

// The blocks that BERT names: Chinese, Japanese and Korean ideographs, but neither Hangul nor Kana.
bool IsCjk(int32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b820 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

void AppendUtf8(int32_t c, std::string& out) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const auto size = utf8proc_encode_char(c, bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), size);
}

// Unicode's unconditional lower case: of one code point, two come of this one alone.
void AppendLowerCase(int32_t c, std::string& out) {
  if (c == kCapitalIWithDot) {
    out += 'i';
    AppendUtf8(kCombiningDotAbove, out);
  } else {
    AppendUtf8(utf8proc_tolower(c), out);
  }
}

// utf8proc's own ordering of marks takes quadratic time for long runs of them.
void DecomposeCanonically(std::vector<int32_t>& text) {
  constexpr int kLongest = 4;  // code points that one decomposes into
  std::vector<int32_t> out;
  out.reserve(text.size() + text.size() / 4 + kLongest);
  for (const int32_t c : text) {
    std::array<utf8proc_int32_t, kLongest> parts;
    int unused = 0;  // the boundary class, which graphemes would need
    const auto count = utf8proc_decompose_char(c, parts.data(), kLongest, UTF8PROC_DECOMPOSE, &unused);
    HALFTONE_CHECK(count >= 1 && count <= kLongest);
    out.insert(out.end(), parts.begin(), parts.begin() + count);
  }
  const auto combining_class = [](int32_t c) { return utf8proc_get_property(c)->combining_class; };
  const auto is_starter = [&](int32_t c) { return combining_class(c) == 0; };
  for (auto at = out.begin(); at != out.end();) {
    const auto begin = std::find_if_not(at, out.end(), is_starter);
    const auto end = std::find_if(begin, out.end(), is_starter);
    if (end - begin > 1) {
      std::stable_sort(begin, end,
                       [&](int32_t a, int32_t b) { return combining_class(a) < combining_class(b); });
    }
    at = end;
  }
  text.swap(out);
}

constexpr std::array<char, 128> MakeAsciiTable(bool lower_case) {
  std::array<char, 128> table = {};  // 0: dropped
  for (int c = ' '; c < 0x7f; ++c) table[c] = static_cast<char>(c);
  for (const char c : {'\t', '\n', '\r'}) table[c] = ' ';
  for (int c = 'A'; lower_case && c <= 'Z'; ++c) table[c] = static_cast<char>(c - 'A' + 'a');
  return table;
}

void NormalizeAscii(absl::string_view text, bool lower_case, std::string& normalized) {
  static constexpr std::array<char, 128> kTables[] = {MakeAsciiTable(false), MakeAsciiTable(true)};
  const std::array<char, 128>& table = kTables[lower_case];
  for (const char c : text) {
    if (const char to = table[c]; to != 0) normalized += to;
  }
}

}  // namespace

CodePoint DecodeCodePoint(absl::string_view text) {
  utf8proc_int32_t value = -1;
  const auto bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                      static_cast<utf8proc_ssize_t>(text.size()), &value);
  if (bytes < 1) return {-1, 1};
  return {value, static_cast<int>(bytes)};
}

bool IsBertPunctuation(int32_t c) {
  if (c < 0x80) {
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  }
  const utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

void NormalizeForBert(absl::string_view text, const BertNormalization& options, std::string& normalized) {
  if (std::all_of(text.begin(), text.end(), IsAscii)) {
    return NormalizeAscii(text, options.lower_case, normalized);
  }
  std::vector<int32_t> clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const auto [c, bytes] = DecodeCodePoint(text);
    text.remove_prefix(bytes);
    if (c < 0 || IsDropped(c)) continue;
    const bool spaces = options.split_cjk && IsCjk(c);
    if (spaces) clean.push_back(' ');
    clean.push_back(IsWhitespace(c) ? ' ' : c);
    if (spaces) clean.push_back(' ');
  }
  if (options.strip_accents) DecomposeCanonically(clean);
  for (const int32_t c : clean) {
    if (options.strip_accents && utf8proc_category(c) == UTF8PROC_CATEGORY_MN) continue;
    if (options.lower_case) {
      AppendLowerCase(c, normalized);
    } else {
      AppendUtf8(c, normalized);
    }
  }
}

}  // namespace halftone
