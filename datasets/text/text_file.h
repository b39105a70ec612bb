// What the readers of text files share: whole files of a bounded size, and their lines.
#ifndef HALFTONE_DATASETS_TEXT_TEXT_FILE_H_
#define HALFTONE_DATASETS_TEXT_TEXT_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace halftone {

// expected: what the file should be, for the message: "a vocabulary, one token a line". Neither a missing
// file nor one above max_bytes is read.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, absl::string_view expected,
                                         int64_t max_bytes);

// An InvalidArgumentError "<path>, line <line>: <parts>".
template <typename... Parts>
absl::Status LineError(absl::string_view path, int64_t line, const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(path, ", line ", line, ": ", parts...));
}

// A piece of somebody's file for a message of one line: escaped, and cut when it is long.
std::string Quote(absl::string_view text);

// The lines of a file, without LF or CRLF at their ends and without a byte-order mark at the file's start. A
// line end at the end of the file starts no further line.
class LineReader {
 public:
  // bytes must outlive the reader.
  explicit LineReader(absl::string_view bytes);

  bool Next();  // false: there are no more
  absl::string_view line() const { return line_; }
  int64_t number() const { return number_; }  // of line(), counted from 1

 private:
  absl::string_view rest_, line_;
  int64_t number_ = 0;
};

}  // namespace halftone

#endif  // HALFTONE_DATASETS_TEXT_TEXT_FILE_H_
