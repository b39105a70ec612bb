#include "nn/embedding.h"

#include <utility>
#include <vector>

#include "tensor/ops/embedding/embedding.h"

namespace halftone::nn {

Variable Embedding::Forward(const Variable& index) {
  return SumOfEmbeddings(index.graph(), {{*this, index.value()}});
}

Variable SumOfEmbeddings(Graph& graph, absl::Span<const EmbeddingLookup> lookups) {
  struct Table {
    Tensor index;
    int64_t rows, padding_row;
  };
  std::vector<ops::Lookup> values;
  std::vector<Variable> weights;
  std::vector<Table> tables;
  for (const EmbeddingLookup& l : lookups) {
    Parameter& weight = l.table.weight_;
    weights.push_back(graph.Use(weight, weight.full_precision()));
    values.push_back({weights.back().value(), l.index});
    tables.push_back({l.index, weight.shape()[0], l.table.padding_row_.value_or(ops::kNoPadding)});
  }
  Tensor y = ops::EmbeddingForward(values);
  return graph.Record("embedding", std::move(y), weights, [tables](BackwardContext& c) {
    for (size_t i = 0; i < tables.size(); ++i) {
      const Table& t = tables[i];
      c.Give(static_cast<int>(i), ops::EmbeddingBackward(c.dy(), t.index, t.rows, t.padding_row));
    }
  });
}

}  // namespace halftone::nn
