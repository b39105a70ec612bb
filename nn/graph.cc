#include "nn/graph.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tensor/ops/cast/cast.h"
#include "tensor/ops/elementwise/elementwise.h"

namespace halftone::nn {

double Variable::Item() const { return ops::Item(value_); }

void BackwardContext::Give(int i, Tensor gradient) {
  if (Needs(i)) graph_.Accumulate(parents_[i], std::move(gradient));
}

Variable Graph::AddLeaf(Tensor value, Parameter* parameter) {
  Node leaf;
  leaf.parameter = parameter;
  nodes_.push_back(std::move(leaf));
  return Variable(this, std::move(value), static_cast<int>(nodes_.size()) - 1);
}

Variable Graph::Input(Tensor value, bool requires_grad) {
  if (requires_grad && options_.gradients) return AddLeaf(std::move(value), nullptr);
  return Variable(this, std::move(value), -1);
}

Variable Graph::Use(Parameter& parameter, DType dtype) {
  const Tensor& value = parameter.Working(dtype);
  if (options_.trace) Trace("cast", module_, false, parameter.path(), value);
  if (options_.profile) Profile("parameter", module_, false, value.bytes());
  return options_.gradients ? AddLeaf(value, &parameter) : Variable(this, value, -1);
}

Variable Graph::Cast(const Variable& x, DType dtype) {
  const DType from = x.dtype();
  if (from == dtype) return x;
  return Record("cast", ops::Cast(x.value(), dtype), {x},
                [from](BackwardContext& c) { c.Give(0, ops::Cast(c.dy(), from)); });
}

Variable Graph::Record(absl::string_view op, Tensor value, absl::Span<const Variable> inputs,
                       BackwardFunction backward) {
  if (options_.trace) Trace(op, module_, false, "output", value);
  if (options_.profile) Profile(op, module_, false, value.bytes());
  Node node;
  node.op = op;
  node.module = module_;
  bool any = false;
  for (const Variable& input : inputs) {
    HALFTONE_CHECK(input.graph_ == this);
    node.parents.push_back(input.node_);
    any |= input.requires_grad();
  }
  if (!any) return Variable(this, std::move(value), -1);
  node.backward = std::move(backward);
  nodes_.push_back(std::move(node));
  return Variable(this, std::move(value), static_cast<int>(nodes_.size()) - 1);
}

void Graph::Accumulate(int node, Tensor gradient) {
  Node& n = nodes_[node];
  if (options_.trace && backward_of_ != nullptr) {
    Trace(backward_of_->op, backward_of_->module, true,
          absl::StrCat("gradient of ", n.parameter == nullptr ? "input" : n.parameter->path()), gradient);
  }
  if (n.parameter != nullptr) {
    n.parameter->AccumulateGradient(std::move(gradient));
  } else if (n.gradient.defined()) {
    // A new tensor: the other contribution may be shared with another branch.
    n.gradient = ops::Add(n.gradient, gradient);
  } else {
    n.gradient = std::move(gradient);
  }
}

void Graph::Backward(const Variable& root, double seed) {
  Tensor start = Tensor::Empty(device(), root.dtype(), {});
  VisitFloat(root.dtype(), [&](auto t) { start.data<decltype(t)>()[0] = static_cast<decltype(t)>(seed); });
  Backward(root, start);
}

void Graph::Backward(const Variable& root, const Tensor& seed) {
  HALFTONE_CHECK(root.graph_ == this && root.requires_grad() && root.value().elements() == 1);
  Accumulate(root.node_, ops::Cast(seed, root.dtype()).Reshape(root.shape()));
  for (int i = root.node_; i >= 0; --i) {
    Node& node = nodes_[i];
    if (!node.backward || !node.gradient.defined()) continue;
    // Both are freed at the end of this turn, with everything that the function had captured.
    const BackwardFunction backward = std::exchange(node.backward, nullptr);
    BackwardContext context(*this, std::exchange(node.gradient, Tensor()), node.parents);
    backward_of_ = &node;
    backward(context);
    if (options_.profile) Profile(node.op, node.module, true, 0);
  }
  backward_of_ = nullptr;
}

void Graph::Profile(absl::string_view op, const std::string* module, bool backward, size_t bytes) {
  device().Synchronize();
  const auto now = std::chrono::steady_clock::now();
  options_.profile({.module = module == nullptr ? absl::string_view() : *module,
                    .op = op,
                    .backward = backward,
                    .begin = std::exchange(last_, now),
                    .end = now,
                    .bytes = bytes});
}

ModuleScope::ModuleScope(Graph& graph, const std::string& path)
    : graph_(graph), outer_policy_(graph.policy_), outer_module_(graph.module_) {
  graph.module_ = &path;
  for (const PolicyOverride& o : graph.options_.overrides) {
    if (MatchesPath(o.path, path)) graph.policy_ = &o.policy;
  }
}

ModuleScope::~ModuleScope() {
  graph_.policy_ = outer_policy_;
  graph_.module_ = outer_module_;
}

const Tensor& Graph::Gradient(const Variable& input) const {
  HALFTONE_CHECK(input.graph_ == this && input.requires_grad());
  return nodes_[input.node_].gradient;
}

}  // namespace halftone::nn
