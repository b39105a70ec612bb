// Learned tables, looked up by number: what a transformer reads words with.
#ifndef HALFTONE_NN_EMBEDDING_H_
#define HALFTONE_NN_EMBEDDING_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "nn/module.h"

namespace halftone::nn {

struct EmbeddingOptions {
  int64_t rows = 0;
  int64_t features = 0;
  std::optional<int64_t> padding_row = std::nullopt;  // takes no gradient
  Init init = Init::Normal(1);
};

struct EmbeddingLookup;

// weight [rows, features].
class Embedding : public Module {
 public:
  explicit Embedding(const EmbeddingOptions& options)
      : weight_({options.rows, options.features}, options.init), padding_row_(options.padding_row) {
    weight_.set_sparse();
  }

  // Numbers in [0, rows), int64 [...], to their rows, [..., features] in full precision.
  Variable Forward(const Variable& index) override;
  void Visit(Visitor& v) override { v("weight", weight_); }

 private:
  friend Variable SumOfEmbeddings(Graph& graph, absl::Span<const EmbeddingLookup> lookups);

  Parameter weight_;
  std::optional<int64_t> padding_row_;
};

struct EmbeddingLookup {
  Embedding& table;
  Tensor index;
};

// The sum of what the tables have for their indices, of one shape, in one pass and added in that order.
Variable SumOfEmbeddings(Graph& graph, absl::Span<const EmbeddingLookup> lookups);

}  // namespace halftone::nn

#endif  // HALFTONE_NN_EMBEDDING_H_
