// BERT with a classifier on its pooled output: tokens int64 [B, 3, S] -> logits [B, classes].
//
// Devlin, Chang, Lee, Toutanova: "BERT: Pre-training of Deep Bidirectional Transformers for Language
// Understanding", NAACL 2019. The input's planes are the words' numbers, the attention mask (0 where a token
// is padding) and the tokens' types. Names are Hugging Face's, under "bert.", so that its weights load by
// name.
#ifndef HALFTONE_MODELS_BERT_H_
#define HALFTONE_MODELS_BERT_H_

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "models/model.h"
#include "nn/attention.h"
#include "nn/embedding.h"
#include "nn/functional.h"
#include "nn/layers.h"
#include "tensor/ops/tokens/tokens.h"

namespace halftone::models {

inline constexpr nn::Init kBertInit = nn::Init::Normal(0.02);
inline constexpr double kBertEps = 1e-12;

// dropout(norm(word + type + position)): [B, 3, S] -> [B, S, width].
class BertEmbeddings : public nn::Module {
 public:
  explicit BertEmbeddings(const ModelConfig& c)
      : word_({.rows = c.vocabulary, .features = c.width, .padding_row = 0, .init = kBertInit}),
        position_({.rows = c.max_position, .features = c.width, .init = kBertInit}),
        type_({.rows = 2, .features = c.width, .init = kBertInit}),
        norm_({.features = c.width, .eps = kBertEps}),
        dropout_(c.dropout) {}

  nn::Variable Forward(const nn::Variable& tokens) override {
    const Tensor words = ops::TokenPlane(tokens.value(), 0), types = ops::TokenPlane(tokens.value(), 2);
    const Tensor positions = ops::TokenPositions(words);
    return dropout_(
        norm_(nn::SumOfEmbeddings(tokens.graph(), {{word_, words}, {type_, types}, {position_, positions}})));
  }

  void Visit(nn::Visitor& v) override {
    v("word_embeddings", word_);
    v("position_embeddings", position_);
    v("token_type_embeddings", type_);
    v("LayerNorm", norm_);
    v("dropout", dropout_);
  }

 private:
  nn::Embedding word_, position_, type_;
  nn::LayerNorm norm_;
  nn::DropoutLayer dropout_;
};

// attention(query(x), key(x), value(x)), [B, S, width] -> [B, S, width].
class BertSelfAttention : public nn::Module, public nn::Quantizable {
 public:
  explicit BertSelfAttention(const ModelConfig& c)
      : heads_(c.heads),
        dropout_(c.dropout),
        query_({.in = c.width, .out = c.width, .init = kBertInit}),
        key_({.in = c.width, .out = c.width, .init = kBertInit}),
        value_({.in = c.width, .out = c.width, .init = kBertInit}) {}

  // mask: int64 [B, S], 0 where a token is padding; or undefined.
  nn::Variable Forward(const nn::Variable& x, const Tensor& mask) {
    const nn::ModuleScope scope(x.graph(), path());
    nn::AttentionOptions options = {.heads = heads_, .quantizers = &quantizers_};
    if (dropout_ > 0 && x.graph().training()) {
      options.dropout = dropout_;
      options.stream = x.graph().rng().Stream(HashStream(path()));
    }
    return nn::Attention(query_(x), key_(x), value_(x), mask, options);
  }
  nn::Variable Forward(const nn::Variable& x) override { return Forward(x, Tensor()); }
  void Visit(nn::Visitor& v) override {
    v("query", query_);
    v("key", key_);
    v("value", value_);
    quantizers_.Visit(v);
  }

 private:
  int64_t heads_;
  double dropout_;
  nn::Linear query_, key_, value_;
};

// A transformer's encoder layer with its norms behind the sums: [B, S, width] -> [B, S, width].
class BertLayer : public nn::Module {
 public:
  explicit BertLayer(const ModelConfig& c)
      : attention_(c),
        attention_dense_(Linear(c.width, c.width)),
        attention_norm_({.features = c.width, .eps = kBertEps}),
        attention_output_dropout_(c.dropout),
        intermediate_dense_(Linear(c.width, c.mlp_width)),
        act_(*c.activation),
        output_dense_(Linear(c.mlp_width, c.width)),
        output_norm_({.features = c.width, .eps = kBertEps}),
        output_dropout_(c.dropout) {}

  // mask: int64 [B, S], 0 where a token is padding; or undefined.
  nn::Variable Forward(const nn::Variable& x, const Tensor& mask) {
    const nn::ModuleScope scope(x.graph(), path());
    const nn::Variable attention = attention_dense_(attention_.Forward(x, mask));
    const nn::Variable y = attention_norm_(x + attention_output_dropout_(attention));
    return output_norm_(y + output_dropout_(output_dense_(act_(intermediate_dense_(y)))));
  }
  nn::Variable Forward(const nn::Variable& x) override { return Forward(x, Tensor()); }

  void Visit(nn::Visitor& v) override {
    v("attention.self", attention_);
    v("attention.output.dense", attention_dense_);
    v("attention.output.LayerNorm", attention_norm_);
    v("attention.output.dropout", attention_output_dropout_);
    v("intermediate.dense", intermediate_dense_);
    v("intermediate.act", act_);
    v("output.dense", output_dense_);
    v("output.LayerNorm", output_norm_);
    v("output.dropout", output_dropout_);
  }

 private:
  static nn::LinearOptions Linear(int64_t in, int64_t out) {
    return {.in = in, .out = out, .init = kBertInit};
  }

  BertSelfAttention attention_;
  nn::Linear attention_dense_;
  nn::LayerNorm attention_norm_;
  nn::DropoutLayer attention_output_dropout_;
  nn::Linear intermediate_dense_;
  nn::ActivationLayer act_;
  nn::Linear output_dense_;
  nn::LayerNorm output_norm_;
  nn::DropoutLayer output_dropout_;
};

// [B, 3, S] -> [B, width]: tanh(pooler(the first token of the last layer)).
class Bert : public nn::Module {
 public:
  explicit Bert(const ModelConfig& c)
      : embeddings_(c), pooler_({.in = c.width, .out = c.width, .init = kBertInit}) {
    for (int64_t i = 0; i < c.depth; ++i) layers_.push_back(std::make_unique<BertLayer>(c));
  }

  nn::Variable Forward(const nn::Variable& tokens) override {
    HALFTONE_CHECK(tokens.shape().rank() == 3 && tokens.shape()[1] == 3);
    const Tensor mask = ops::TokenPlane(tokens.value(), 1);
    nn::Variable x = embeddings_(tokens);
    for (const auto& layer : layers_) x = layer->Forward(x, mask);
    return nn::Activate(*ops::FindActivation("tanh"), pooler_(nn::FirstToken(x)));
  }

  void Visit(nn::Visitor& v) override {
    v("embeddings", embeddings_);
    for (size_t i = 0; i < layers_.size(); ++i) v(absl::StrCat("encoder.layer.", i), *layers_[i]);
    v("pooler.dense", pooler_);
  }

 private:
  BertEmbeddings embeddings_;
  std::vector<std::unique_ptr<BertLayer>> layers_;
  nn::Linear pooler_;
};

class BertClassifier : public nn::Module {
 public:
  explicit BertClassifier(const ModelConfig& c)
      : bert_(c), dropout_(c.dropout), fc_({.in = c.width, .out = c.num_classes, .init = kBertInit}) {}

  nn::Variable Forward(const nn::Variable& tokens) override { return fc_(dropout_(bert_(tokens))); }

  void Visit(nn::Visitor& v) override {
    v("bert", bert_);
    v("dropout", dropout_);
    v("fc", fc_);
  }

 private:
  Bert bert_;
  nn::DropoutLayer dropout_;
  nn::Linear fc_;
};

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_BERT_H_
