#include "models/model.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "models/bignet.h"
#include "models/cnn.h"
#include "models/mlp.h"

namespace halftone::models {
namespace {

constexpr int64_t kMaxWidth = 1 << 16;
constexpr int64_t kMaxClasses = 1 << 20;

template <typename M>
std::unique_ptr<nn::Module> Make(const ModelConfig& config) {
  return std::make_unique<M>(config);
}

constexpr ModelRow kModels[] = {
    {"mlp", "784-512-10; width is the hidden layer's", 512, {.channels = 1, .height = 28, .width = 28}, Make<Mlp>},
    {"cnn", "four convolutions; width is the first one's channels", 64, {}, Make<Cnn>},
    {"bignet", "18 square linear layers in residual blocks; width is theirs and that of input and output", 1024,
     {.channels = 1, .height = 32, .width = 32}, Make<BigNet>, /*keeps_width=*/true},
};

template <typename Rows>
absl::Status Unknown(absl::string_view what, absl::string_view name, const Rows& rows) {
  const auto append = [](std::string* out, const auto& row) { absl::StrAppend(out, row.name); };
  return absl::InvalidArgumentError(
      absl::StrCat("unknown ", what, " \"", name, "\"; valid: ", absl::StrJoin(rows, ", ", append)));
}

std::string Words(const ImageShape& s) { return absl::StrCat(s.channels, " x ", s.height, " x ", s.width); }

// Whether the images and classes are such as the model takes.
absl::Status CheckData(const ModelRow& row, int64_t width, const ModelOptions& options) {
  if (!row.keeps_width) {
    if (options.image == row.image) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("model ", row.name, " takes images of ", Words(row.image),
                                                   ", and these are ", Words(options.image),
                                                   "; choose another model or data set"));
  }
  const int64_t numbers = int64_t{options.image.channels} * options.image.height * options.image.width;
  if (numbers != width) {
    return absl::InvalidArgumentError(absl::StrCat("model ", row.name, " of width ", width, " takes images of as many ",
                                                   "numbers, and these have ", numbers, "; set the width to that"));
  }
  if (options.num_classes > width) {
    return absl::InvalidArgumentError(absl::StrCat("model ", row.name, " gives as many logits as its width, ", width,
                                                   ", and there are ", options.num_classes,
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
  if (row == nullptr) return Unknown("model", options.name, kModels);
  const ops::Activation* activation = ops::FindActivation(options.activation);
  if (activation == nullptr) return Unknown("activation", options.activation, ops::Activations());
  if (options.width < 0 || options.width > kMaxWidth) {
    return absl::InvalidArgumentError(
        absl::StrCat("model width is ", options.width, "; expected 1 to ", kMaxWidth, ", or 0 for ", row->width));
  }
  if (options.num_classes < 1 || options.num_classes > kMaxClasses) {
    return absl::InvalidArgumentError(
        absl::StrCat("model num_classes is ", options.num_classes, "; expected 1 to ", kMaxClasses));
  }
  const int64_t width = options.width == 0 ? row->width : options.width;
  RETURN_IF_ERROR(CheckData(*row, width, options));
  return row->make({.activation = activation, .width = width, .num_classes = options.num_classes});
}

}  // namespace halftone::models
