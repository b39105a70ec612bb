// Aligned columns of text, made to fit a terminal.
#ifndef HALFTONE_TOOLS_FP16_CHECK_TEXT_TABLE_H_
#define HALFTONE_TOOLS_FP16_CHECK_TEXT_TABLE_H_

#include <cstddef>
#include <string>
#include <vector>

namespace halftone {

struct TextColumn {
  std::string heading;
  bool left = false;  // aligned; else right
  // Where the table is too wide, columns are left out, the highest of these first; 0 never is.
  int dispensable = 0;
};

enum class TextStyle { kPlain, kBold, kDim, kGood, kWarning, kBad };

struct TableRow {
  std::vector<std::string> cells;       // Printable (text.h)
  TextStyle style = TextStyle::kPlain;  // of the last cell; kDim and kBold of the whole row
};

// At least two columns, the first and the last not dispensable. `width` is that of the terminal, 0 for none.
// To fit, the first column is shortened in the middle, down to 24 characters, and the last one cut, down to
// 28; then columns are left out. `color`: styles by ANSI escapes.
std::string FormatTable(std::vector<TextColumn> columns, std::vector<TableRow> rows, size_t width,
                        bool color);

// The text in that style.
std::string Styled(const std::string& text, TextStyle style, bool color);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_TEXT_TABLE_H_
