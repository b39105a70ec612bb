// The table of models: what `model { name: "cnn" width: 64 }` stands for.
#ifndef HALFTONE_MODELS_MODEL_H_
#define HALFTONE_MODELS_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nn/module.h"
#include "tensor/ops/activation/activation.h"

namespace halftone::models {

// One image: what a data set gives and a model takes.
struct ImageShape {
  int channels = 3;
  int height = 32;
  int width = 32;

  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

// What texts a data set gives and a model takes.
struct TextShape {
  int64_t vocabulary = 0;  // tokens are numbered in [0, vocabulary)
  int64_t max_length = 0;  // tokens of the longest text
};

struct ModelOptions {
  std::string name;               // a row of Models()
  std::string activation;         // a row of ops::Activations(); empty: the model's own
  int64_t width = 0;              // the model's own measure of its width; 0: the published one
  int64_t depth = 0;              // blocks; 0: the published number
  int64_t heads = 0;              // of attention; 0: the published number
  std::optional<double> dropout;  // in [0, 1); none: the published one
  int64_t mlp_width = 0;     // hidden features of a transformer's MLPs; 0: the published multiple of width
  int64_t vocabulary = 0;    // words that a text model has rows for; 0: the published number
  int64_t max_position = 0;  // tokens of the longest text that it takes; 0: the published number
  int64_t num_classes = 10;
  bool to_train = false;  // refused where the weights are not to be trained
  // What the data is; refused where the model takes another. Text, or else images.
  ImageShape image;
  std::optional<TextShape> text = std::nullopt;
};

// What a model's maker gets: options that have been checked, with no zero that stands for a default.
struct ModelConfig {
  const ops::Activation* activation = nullptr;
  int64_t width = 0;
  int64_t depth = 0;
  int64_t heads = 0;
  double dropout = 0;
  int64_t mlp_width = 0;
  int64_t vocabulary = 0;
  int64_t max_position = 0;
  int64_t num_classes = 0;
};

// The published model. A number that it has not, depth of a model whose blocks are all different say, is 0
// here (dropout: none) and cannot be chosen.
struct ModelRow {
  absl::string_view name;
  absl::string_view about;  // what width measures, in words, and the published size
  std::unique_ptr<nn::Module> (*make)(const ModelConfig& config);
  int64_t width = 0;
  int64_t depth = 0;
  int64_t heads = 0;  // divides the width
  std::optional<double> dropout = std::nullopt;
  absl::string_view activation = "relu";
  ImageShape image = {};
  int64_t mlp_ratio = 0;     // of the width of MLPs to the model's
  int64_t vocabulary = 0;    // of a model that takes texts, and no images
  int64_t max_position = 0;  // likewise
  // Has no classifier: gives as many logits as its width, of which the classes are the first, and takes any
  // image of as many numbers. `image` is one for the published width.
  bool keeps_width = false;
  bool for_inference = false;  // has weights that are not to be trained
};

absl::Span<const ModelRow> Models();

// A model without weights yet (nn::Initialize gives them); takes images [N, H, W, C], or where the row has a
// vocabulary texts, int64 [N, 3, S], the planes of PadRows (datasets/text); gives logits [N, num_classes], or
// [N, width] where the row keeps_width. Unknown names are errors that list the valid ones; so are numbers
// beyond reason, and numbers that the model has not.
absl::StatusOr<std::unique_ptr<nn::Module>> MakeModel(const ModelOptions& options);

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_MODEL_H_
