#include "models/model.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/unknown_name.h"
#include "models/bert.h"
#include "models/bignet.h"
#include "models/cnn.h"
#include "models/gcn.h"
#include "models/mixer.h"
#include "models/mlp.h"
#include "models/mobilenetv2.h"
#include "models/resnet.h"
#include "models/vit.h"

namespace halftone::models {
namespace {

constexpr int64_t kMaxWidth = 1 << 16;
constexpr int64_t kMaxDepth = 1 << 10;
constexpr int64_t kMaxClasses = 1 << 20;
constexpr int64_t kMaxMlpWidth = 1 << 18;
constexpr int64_t kMaxVocabulary = 1 << 24;
constexpr int64_t kMaxPosition = 1 << 20;

template <typename M>
std::unique_ptr<nn::Module> Make(const ModelConfig& config) {
  return std::make_unique<M>(config);
}

constexpr ModelRow kModels[] = {
    {.name = "mlp",
     .about = "784-512-10; width is the hidden layer's",
     .make = Make<Mlp>,
     .width = 512,
     .image = {.channels = 1, .height = 28, .width = 28}},
    {.name = "cnn",
     .about = "four convolutions; width is the first one's channels",
     .make = Make<Cnn>,
     .width = 64},
    {.name = "resnet18",
     .about = "18 layers in residual blocks; width is the first convolution's channels",
     .make = Make<ResNet18>,
     .width = 64},
    {.name = "resnet20",
     .about = "20 layers in residual blocks; width is the first convolution's channels",
     .make = Make<ResNet20>,
     .width = 16},
    {.name = "mobilenetv2",
     .about = "inverted residuals, width multiplier 1; width is the first convolution's channels",
     .make = Make<MobileNetV2>,
     .width = 32,
     .dropout = 0.2,
     .activation = "relu6"},
    {.name = "vit",
     .about = "a transformer on an image's 4 x 4 patches; width is its tokens'",
     .make = Make<ViT>,
     .width = 192,
     .depth = 6,
     .heads = 3,
     .activation = "gelu"},
    {.name = "mixer",
     .about = "MLP-Mixer on an image's 4 x 4 patches; width is its tokens'",
     .make = Make<Mixer>,
     .width = 256,
     .depth = 8,
     .activation = "gelu"},
    {.name = "gcn",
     .about = "three graph convolutions on an image's 4 x 4 patches; width is their features",
     .make = Make<Gcn>,
     .width = 128},
    {.name = "bignet",
     .about = "18 square linear layers in residual blocks; width is theirs and that of input and output",
     .make = Make<BigNet>,
     .width = 1024,
     .image = {.channels = 1, .height = 32, .width = 32},
     .keeps_width = true},
    {.name = "halfbignet",
     .about = "bignet with float16 weights and biases, for inference",
     .make = Make<HalfBigNet>,
     .width = 1024,
     .image = {.channels = 1, .height = 32, .width = 32},
     .keeps_width = true,
     .for_inference = true},
    {.name = "bert",
     .about = "a transformer on texts, BERT's base size; width is its tokens'",
     .make = Make<BertClassifier>,
     .width = 768,
     .depth = 12,
     .heads = 12,
     .dropout = 0.1,
     .activation = "gelu",
     .mlp_ratio = 4,
     .vocabulary = 30522,
     .max_position = 512},
};

absl::Status HasNo(const ModelRow& row, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("model ", row.name, " has no ", what, " to choose; leave model.", what, " out"));
}

// `chosen`, or what is published if that is 0.
absl::StatusOr<int64_t> Choose(const ModelRow& row, absl::string_view what, int64_t chosen, int64_t published,
                               int64_t max) {
  if (chosen == 0) return published;
  if (published == 0) return HasNo(row, what);
  if (chosen >= 1 && chosen <= max) return chosen;
  return absl::InvalidArgumentError(
      absl::StrCat("model ", what, " is ", chosen, "; expected 1 to ", max, ", or 0 for ", published));
}

std::string Words(const ImageShape& s) { return absl::StrCat(s.channels, " x ", s.height, " x ", s.width); }

absl::Status CheckTexts(const ModelRow& row, const ModelConfig& config, const ModelOptions& options) {
  if (!options.text.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", row.name, " takes texts, and these are images; choose another model or data set"));
  }
  if (options.text->vocabulary > config.vocabulary) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", row.name, " knows ", config.vocabulary, " words, and the data's vocabulary has ",
        options.text->vocabulary, "; set model.vocabulary to that, or use the model's vocabulary"));
  }
  if (options.text->max_length > config.max_position) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", row.name, " takes texts of up to ", config.max_position, " tokens, and these have up to ",
        options.text->max_length, "; lower data.max_length, or raise model.max_position"));
  }
  return absl::OkStatus();
}

// Whether the data and its classes are such as the model takes.
absl::Status CheckData(const ModelRow& row, const ModelConfig& config, const ModelOptions& options) {
  if (row.vocabulary > 0) return CheckTexts(row, config, options);
  if (options.text.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", row.name, " takes images, and these are texts; choose another model or data set"));
  }
  const int64_t width = config.width;
  if (!row.keeps_width) {
    if (options.image == row.image) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("model ", row.name, " takes images of ", Words(row.image),
                                                   ", and these are ", Words(options.image),
                                                   "; choose another model or data set"));
  }
  const int64_t numbers = int64_t{options.image.channels} * options.image.height * options.image.width;
  if (numbers != width) {
    return absl::InvalidArgumentError(absl::StrCat("model ", row.name, " of width ", width,
                                                   " takes images of as many ", "numbers, and these have ",
                                                   numbers, "; set the width to that"));
  }
  if (options.num_classes > width) {
    return absl::InvalidArgumentError(absl::StrCat("model ", row.name, " gives as many logits as its width, ",
                                                   width, ", and there are ", options.num_classes,
                                                   " classes; choose another model"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Span<const ModelRow> Models() { return kModels; }

absl::StatusOr<std::unique_ptr<nn::Module>> MakeModel(const ModelOptions& options) {
  const ModelRow* row = nullptr;
  for (const ModelRow& r : kModels) {
    if (r.name == options.name) row = &r;
  }
  if (row == nullptr) return UnknownName("model", options.name, kModels);
  if (options.to_train && row->for_inference) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", row->name, " is for inference, its weights are not to be trained; choose another"));
  }
  const ops::Activation* activation =
      ops::FindActivation(options.activation.empty() ? row->activation : options.activation);
  if (activation == nullptr) return UnknownName("activation", options.activation, ops::Activations());
  ModelConfig config = {.activation = activation, .num_classes = options.num_classes};
  ASSIGN_OR_RETURN(config.width, Choose(*row, "width", options.width, row->width, kMaxWidth));
  ASSIGN_OR_RETURN(config.depth, Choose(*row, "depth", options.depth, row->depth, kMaxDepth));
  ASSIGN_OR_RETURN(config.heads, Choose(*row, "heads", options.heads, row->heads, kMaxWidth));
  if (config.heads > 0 && config.width % config.heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat("model ", row->name, " of width ", config.width, " has ",
                                                   config.heads,
                                                   " heads; the number of heads must divide the width"));
  }
  ASSIGN_OR_RETURN(config.mlp_width,
                   Choose(*row, "mlp_width", options.mlp_width, row->mlp_ratio * config.width, kMaxMlpWidth));
  ASSIGN_OR_RETURN(config.vocabulary,
                   Choose(*row, "vocabulary", options.vocabulary, row->vocabulary, kMaxVocabulary));
  ASSIGN_OR_RETURN(config.max_position,
                   Choose(*row, "max_position", options.max_position, row->max_position, kMaxPosition));
  config.dropout = options.dropout.value_or(row->dropout.value_or(0));
  if (options.dropout.has_value() && !row->dropout.has_value()) return HasNo(*row, "dropout");
  if (!(config.dropout >= 0 && config.dropout < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("model dropout is ", config.dropout, "; expected 0 to below 1"));
  }
  if (options.num_classes < 1 || options.num_classes > kMaxClasses) {
    return absl::InvalidArgumentError(
        absl::StrCat("model num_classes is ", options.num_classes, "; expected 1 to ", kMaxClasses));
  }
  RETURN_IF_ERROR(CheckData(*row, config, options));
  return row->make(config);
}

}  // namespace halftone::models
