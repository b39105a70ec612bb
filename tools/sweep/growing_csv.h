// CSV files that grow by whole rows, whatever happens in between.
#ifndef HALFTONE_TOOLS_SWEEP_GROWING_CSV_H_
#define HALFTONE_TOOLS_SWEEP_GROWING_CSV_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tools/results/csv.h"

namespace halftone::sweep {

struct CsvFile {
  std::vector<CsvRow> rows;  // without the header; none has a flaw
  int64_t size = 0;          // bytes up to the last whole row's end, and so at least the header's
  std::string cut;           // what comes behind: a row of which the end was never written
};

// A file that does not exist, or holds a part of the header alone, is one without rows. Errors: another
// header, a row of another number of fields or with wrong quotes; they name the file and the line.
absl::StatusOr<CsvFile> ReadCsv(const std::string& path, absl::string_view header);

// Rows are on the disk when Append returns; if it fails, the file is as it was.
class CsvAppender {
 public:
  // Creates the file with its header, or cuts off what comes behind `size` (of ReadCsv, or of a row of its).
  static absl::StatusOr<std::unique_ptr<CsvAppender>> Open(const std::string& path, absl::string_view header,
                                                           int64_t size);
  ~CsvAppender();
  CsvAppender(const CsvAppender&) = delete;
  CsvAppender& operator=(const CsvAppender&) = delete;

  absl::Status Append(absl::Span<const std::string> fields);

 private:
  CsvAppender(std::string path, int fd, int64_t size) : path_(std::move(path)), fd_(fd), size_(size) {}
  absl::Status Write(absl::string_view line);

  const std::string path_;
  const int fd_;
  int64_t size_;
};

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_GROWING_CSV_H_
