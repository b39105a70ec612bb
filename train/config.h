// Reading a TrainConfig: a file, then --set texts merged over it in order, then every default filled in.
//
// Merging is Protobuf's own for text: a scalar replaces, a message merges field by field, a repeated field
// appends.
#ifndef HALFTONE_TRAIN_CONFIG_H_
#define HALFTONE_TRAIN_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "google/protobuf/message.h"
#include "train/proto/train_config.pb.h"

namespace halftone {

// Merges text into `message`. Errors are "<source>:<line>:<column>: <what>", one line; an unknown field's
// lists the valid ones.
absl::Status MergeText(absl::string_view text, absl::string_view source, google::protobuf::Message& message);

// The same for a file, under the path as given.
absl::Status MergeTextFile(const std::string& path, google::protobuf::Message& message);

// The config of a run: `path` (empty: none), then each of `sets`. Not resolved yet: fields left out are still
// out.
absl::StatusOr<TrainConfig> LoadTrainConfig(const std::string& path, const std::vector<std::string>& sets);

// Fills in every default, and refuses values that no run can have with one line that names the field, the
// value and what was expected. What only the tables of models, data sets and so on can tell is refused when
// the run is made.
absl::Status ResolveTrainConfig(TrainConfig& config);

// As text, for people to read and to run again.
std::string PrintConfig(const google::protobuf::Message& config);

// The first field in which two configs differ, in words: "model.width: 64 -> 32"; empty if there is none.
std::string FirstDifference(const google::protobuf::Message& a, const google::protobuf::Message& b);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_CONFIG_H_
