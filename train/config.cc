#include "train/config.h"

#include <cmath>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "scaler/loss_scale.h"

namespace halftone {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::TextFormat;

// Keeps the first error: the ones behind it are mostly its consequences.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  FirstError(absl::string_view source, const Descriptor* root) : source_(source), root_(root) {}

  void AddError(int line, int column, const std::string& message) override {
    if (!text_.empty()) return;
    // Protobuf quotes what it found, and at the end that is nothing. Only within braces does it want a name
    // there.
    const char* found = !absl::EndsWith(message, "got: ")          ? ""
                        : absl::StartsWith(message, "Expected id") ? "the end; a } is missing"
                                                                   : "the end";
    text_ = absl::StrCat(source_, ":", line + 1, ":", column + 1, ": ", message, found, ValidNames(message));
  }
  void AddWarning(int, int, const std::string&) override {}

  const std::string& text() const { return text_; }

 private:
  // Protobuf says: Message type "halftone.ModelConfig" has no field named "nmae".
  std::string ValidNames(const std::string& message) const {
    const std::vector<std::string> quoted = absl::StrSplit(message, '"');
    if (quoted.size() < 4 || !absl::StrContains(quoted[2], "has no field named")) return "";
    const Descriptor* type = root_->file()->pool()->FindMessageTypeByName(quoted[1]);
    if (type == nullptr) return "";
    std::vector<std::string> names;
    for (int i = 0; i < type->field_count(); ++i) names.push_back(type->field(i)->name());
    return absl::StrCat(" Valid: ", absl::StrJoin(names, ", "), ".");
  }

  const std::string source_;
  const Descriptor* root_;
  std::string text_;
};

// Sets each singular field that is not set to its default, but not the members of a oneof: there, unset is a
// choice.
void FillDefaults(Message& message) {
  const Descriptor* type = message.GetDescriptor();
  const Reflection* reflection = message.GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->is_repeated()) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (field->containing_oneof() == nullptr || reflection->HasField(message, field)) {
        FillDefaults(*reflection->MutableMessage(&message, field));
      }
      continue;
    }
    if (reflection->HasField(message, field) || !field->has_default_value()) continue;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        reflection->SetInt32(&message, field, field->default_value_int32());
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        reflection->SetInt64(&message, field, field->default_value_int64());
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        reflection->SetUInt64(&message, field, field->default_value_uint64());
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        reflection->SetDouble(&message, field, field->default_value_double());
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        reflection->SetBool(&message, field, field->default_value_bool());
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        reflection->SetEnum(&message, field, field->default_value_enum());
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        reflection->SetString(&message, field, field->default_value_string());
        break;
      default:
        break;
    }
  }
}

// "data.batch_size is 0; expected 1 to 65536".
template <typename T>
absl::Status InRange(absl::string_view field, T value, T low, T high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; expected ", low, " to ", high));
}

// NaN is in no range.
absl::Status NonNegative(absl::string_view field, double value) {
  if (value >= 0 && std::isfinite(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; expected a number from 0 on"));
}

absl::Status CheckLearningRate(const OptimizerConfig& o) {
  switch (o.kind_case()) {
    case OptimizerConfig::kSgd:
      return NonNegative("optimizer.sgd.learning_rate", o.sgd().learning_rate());
    case OptimizerConfig::kAdam:
      return NonNegative("optimizer.adam.learning_rate", o.adam().learning_rate());
    case OptimizerConfig::kAdamw:
      return NonNegative("optimizer.adamw.learning_rate", o.adamw().learning_rate());
    case OptimizerConfig::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "the config names no optimizer; expected optimizer { sgd { ... } }, adam or adamw");
}

// What the preset says, where the config says nothing.
absl::Status FillPreset(LossScaleConfig& config) {
  ASSIGN_OR_RETURN(const LossScaleOptions preset, FindLossScalePreset(config.preset()));
  if (!config.has_initial()) config.set_initial(preset.initial);
  if (!config.has_growth_factor()) config.set_growth_factor(preset.growth_factor);
  if (!config.has_backoff_factor()) config.set_backoff_factor(preset.backoff_factor);
  if (!config.has_growth_interval()) config.set_growth_interval(preset.growth_interval);
  if (!config.has_min()) config.set_min(preset.min_scale);
  if (!config.has_max()) config.set_max(preset.max_scale);
  return absl::OkStatus();
}

absl::Status CheckWatch(const WatchConfig& w) {
  RETURN_IF_ERROR(NonNegative("watch.max_overflow_rate", w.max_overflow_rate()));
  RETURN_IF_ERROR(NonNegative("watch.max_recent_overflow_rate", w.max_recent_overflow_rate()));
  RETURN_IF_ERROR(NonNegative("watch.max_grad_norm", w.max_grad_norm()));
  RETURN_IF_ERROR(NonNegative("watch.max_loss_z", w.max_loss_z()));
  RETURN_IF_ERROR(NonNegative("watch.max_zero_share", w.max_zero_share()));
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  RETURN_IF_ERROR(InRange<int64_t>("watch.count_zeros_every", w.count_zeros_every(), 0, kMost));
  return InRange<int64_t>("watch.explain_overflows", w.explain_overflows(), -1, kMost);
}

}  // namespace

absl::Status MergeText(absl::string_view text, absl::string_view source, Message& message) {
  FirstError errors(source, message.GetDescriptor());
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  if (parser.MergeFromString(std::string(text), &message)) return absl::OkStatus();
  return absl::InvalidArgumentError(errors.text().empty() ? absl::StrCat(source, ": not a valid config")
                                                          : errors.text());
}

absl::Status MergeTextFile(const std::string& path, Message& message) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(ResolveInputPath(path)));
  return MergeText(text, path, message);
}

absl::StatusOr<TrainConfig> LoadTrainConfig(const std::string& path, const std::vector<std::string>& sets) {
  TrainConfig config;
  if (!path.empty()) RETURN_IF_ERROR(MergeTextFile(path, config));
  for (const std::string& set : sets)
    RETURN_IF_ERROR(MergeText(set, absl::StrCat("--set='", set, "'"), config));
  return config;
}

absl::Status ResolveTrainConfig(TrainConfig& config) {
  FillDefaults(config);
  RETURN_IF_ERROR(FillPreset(*config.mutable_loss_scale()));
  const DataConfig& data = config.data();
  RETURN_IF_ERROR(InRange<int64_t>("data.batch_size", data.batch_size(), 1, 65536));
  RETURN_IF_ERROR(InRange<int64_t>("data.limit", data.limit(), 0, std::numeric_limits<int64_t>::max()));
  if (data.root().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.root is empty; expected the folder of the ", data.name(),
                     " files, for example --set='data { root: \"/data/", data.name(), "\" }'"));
  }
  RETURN_IF_ERROR(InRange<int64_t>("data.max_length", data.max_length(), 3, 1 << 20));
  RETURN_IF_ERROR(InRange<int64_t>("data.bucket_batches", data.bucket_batches(), 1, 1 << 20));
  RETURN_IF_ERROR(InRange<int64_t>("data.micro_batches", data.micro_batches(), 1, data.batch_size()));
  if (data.batch_size() % data.micro_batches() != 0) {
    return absl::InvalidArgumentError(absl::StrCat("data.micro_batches is ", data.micro_batches(),
                                                   "; expected a number that divides data.batch_size, ",
                                                   data.batch_size()));
  }
  RETURN_IF_ERROR(InRange<double>("loss.label_smoothing", config.loss().label_smoothing(), 0, 1));
  RETURN_IF_ERROR(CheckLearningRate(config.optimizer()));
  RETURN_IF_ERROR(NonNegative("optimizer.max_norm", config.optimizer().max_norm()));
  RETURN_IF_ERROR(NonNegative("optimizer.max_value", config.optimizer().max_value()));
  if (config.optimizer().max_norm() > 0 && config.optimizer().max_value() > 0) {
    return absl::InvalidArgumentError(
        "optimizer.max_norm and optimizer.max_value are both set; expected one kind of clipping");
  }
  RETURN_IF_ERROR(CheckWatch(config.watch()));
  const RunConfig& run = config.run();
  RETURN_IF_ERROR(InRange<int64_t>("run.epochs", run.epochs(), 1, 1000000));
  RETURN_IF_ERROR(InRange<int32_t>("run.threads", run.threads(), 0, 1024));
  RETURN_IF_ERROR(InRange<int32_t>("run.device_index", run.device_index(), 0, 1024));
  RETURN_IF_ERROR(InRange<int64_t>("run.read_every_steps", run.read_every_steps(), 1, 1024));
  RETURN_IF_ERROR(InRange<int64_t>("run.checkpoint_every_steps", run.checkpoint_every_steps(), 0,
                                   std::numeric_limits<int64_t>::max()));
  RETURN_IF_ERROR(InRange<int64_t>("run.stop_after_steps", run.stop_after_steps(), 0,
                                   std::numeric_limits<int64_t>::max()));
  if (run.out().empty())
    return absl::InvalidArgumentError("run.out is empty; expected a folder for the run's files");
  return absl::OkStatus();
}

std::string PrintConfig(const Message& config) {
  std::string text;
  TextFormat::PrintToString(config, &text);
  return text;
}

std::string FirstDifference(const Message& a, const Message& b) {
  google::protobuf::util::MessageDifferencer differencer;
  std::string report;
  differencer.ReportDifferencesToString(&report);
  if (differencer.Compare(a, b)) return "";
  return report.substr(0, report.find('\n'));
}

}  // namespace halftone
