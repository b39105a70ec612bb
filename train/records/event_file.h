// Event files for TensorBoard: numbers and histograms by step.
//
//   ASSIGN_OR_RETURN(EventFile events, EventFile::Create("runs/cnn", /*first_step=*/0));
//   RETURN_IF_ERROR(events.Scalars(step, {{"loss/train", loss}, {"loss_scale", scale}}));
//
// Format: TFRecord (a length and its checksum, bytes and theirs) of Event messages; train/proto/event.proto.
#ifndef HALFTONE_TRAIN_RECORDS_EVENT_FILE_H_
#define HALFTONE_TRAIN_RECORDS_EVENT_FILE_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "train/proto/event.pb.h"

namespace halftone {

// A number at a step, by its name; a slash makes groups: "loss/train".
struct Scalar {
  std::string tag;
  double value = 0;
};

// How the numbers are distributed: 30 buckets a decade on either side of 0, as TensorFlow's own. Not the
// infinities and NaNs among them.
HistogramProto HistogramOf(absl::Span<const float> values);

// Each call ends with all its bytes handed to the system: a run that is killed leaves whole records.
class EventFile {
 public:
  // A new file in `folder`, which exists. first_step: the first that it is going to have; what an earlier
  // file has of it and of later ones no longer counts.
  static absl::StatusOr<EventFile> Create(const std::string& folder, int64_t first_step);

  absl::Status Scalars(int64_t step, absl::Span<const Scalar> scalars);
  absl::Status Histogram(int64_t step, absl::string_view tag, absl::Span<const float> values);

  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  EventFile(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}
  absl::Status Write(EventProto event);

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace halftone

#endif  // HALFTONE_TRAIN_RECORDS_EVENT_FILE_H_
