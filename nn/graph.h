// Reverse-mode differentiation over a tape: one Graph a step.
//
//   Graph graph({.device = &device, .policy = &policy, .rng = rng.AtStep(step), .training = true});
//   const Variable loss = CrossEntropy(model.Forward(graph.Input(images)), labels);
//   graph.Backward(loss, /*seed=*/scaler.scale());     // gradients arrive in the Parameters
//
// A Graph carries everything that an op may depend on beside its inputs: device, precision, random numbers,
// training mode. Nothing of that is global. The tape keeps only what the gradients need, and Backward frees
// it as it goes.
#ifndef HALFTONE_NN_GRAPH_H_
#define HALFTONE_NN_GRAPH_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "nn/cast_policy.h"
#include "nn/parameter.h"
#include "tensor/tensor.h"

namespace halftone::nn {

class Graph;

// A value in a Graph: a handle, which keeps the value alive and can be copied.
class Variable {
 public:
  Variable() = default;

  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  DType dtype() const { return value_.dtype(); }
  Graph& graph() const { return *graph_; }
  bool requires_grad() const { return node_ >= 0; }
  // The only element, as a double.
  double Item() const;

 private:
  friend class Graph;
  Variable(Graph* graph, Tensor value, int node) : graph_(graph), value_(std::move(value)), node_(node) {}

  Graph* graph_ = nullptr;
  Tensor value_;
  int node_ = -1;  // -1: no gradient flows here
};

// What an op's backward function sees: the gradient of its output, and where to put those of its inputs.
class BackwardContext {
 public:
  const Tensor& dy() const { return dy_; }
  // False where nobody wants the gradient of input i: do not compute it.
  bool Needs(int i) const { return parents_[i] >= 0; }
  // In the dtype of input i (for a Parameter: of its master copy).
  void Give(int i, Tensor gradient);

 private:
  friend class Graph;
  BackwardContext(Graph& graph, Tensor dy, const std::vector<int>& parents)
      : graph_(graph), dy_(std::move(dy)), parents_(parents) {}

  Graph& graph_;
  Tensor dy_;
  const std::vector<int>& parents_;
};

// A tensor as it is computed.
struct TraceEvent {
  absl::string_view module;  // the path of the module that computes it; empty outside of any
  absl::string_view op;      // "conv2d", ...; "cast" of activations and of weights
  bool backward = false;
  // "output"; "conv1.weight", a parameter's working copy; "gradient of input", "gradient of conv1.weight"
  std::string tensor;
  const Tensor& value;
};

// A piece of a step's time.
struct ProfileEvent {
  absl::string_view module;  // the path of the module that computes; empty outside of any
  absl::string_view op;      // "conv2d", ...; "cast"; "parameter", a working copy that is used
  bool backward = false;
  std::chrono::steady_clock::time_point begin, end;
  size_t bytes = 0;  // of the op's result; 0 backward
};

struct GraphOptions {
  Device* device = nullptr;
  const CastPolicy* policy = nullptr;  // null: every op runs in the dtype of its inputs
  // The last one that matches a module decides; where none does, what holds for the module around it.
  absl::Span<const PolicyOverride> overrides = {};
  Rng rng = Rng(0);       // of this step
  bool training = false;  // batch statistics and dropout
  bool gradients = true;  // false: nothing is recorded, and Backward must not be called
  bool replay = false;    // of a step that was already taken: modules leave their buffers alone
  bool quantize = true;   // false: quantisers let everything pass
  // Sees every tensor, forward and backward.
  std::function<void(const TraceEvent& event)> trace = nullptr;
  // Sees what the time went to. An op of the forward pass begins where the one before ended, so that what
  // happens between two ops is the later one's.
  std::function<void(const ProfileEvent& event)> profile = nullptr;
};

class Graph {
 public:
  using BackwardFunction = std::function<void(BackwardContext&)>;

  explicit Graph(GraphOptions options)
      : options_(std::move(options)), policy_(options_.policy), last_(std::chrono::steady_clock::now()) {}
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  Device& device() const { return *options_.device; }
  bool training() const { return options_.training; }
  bool gradients() const { return options_.gradients; }
  bool replay() const { return options_.replay; }
  bool quantize() const { return options_.quantize; }
  const Rng& rng() const {
    random_ = true;
    return options_.rng;
  }
  // Whether rng() was asked for: whether another step would draw other numbers.
  bool random() const { return random_; }

  // The dtype in which `op` computes, given the widest dtype of its inputs.
  DType Resolve(Op op, DType widest) const {
    return policy_ == nullptr ? widest : policy_->Resolve(op, widest);
  }

  // The lower precision in which an op had better keep what its gradient alone needs of a float32 tensor:
  // half the memory, at the precision that the gradient has. None where the tensor is better kept as it is.
  absl::optional<DType> KeepIn(DType dtype) const {
    const bool halves = options_.gradients && policy_ != nullptr && policy_->lower.has_value() &&
                        dtype == DType::kF32 && SizeOf(*policy_->lower) < SizeOf(dtype);
    return halves ? policy_->lower : absl::nullopt;
  }

  // A leaf. With a gradient wanted, Gradient gives it after Backward.
  Variable Input(Tensor value, bool requires_grad = false);
  // A parameter's working copy in `dtype`; its gradient goes to the Parameter in its full precision.
  Variable Use(Parameter& parameter, DType dtype);
  // x in another floating dtype; its gradient comes back in x's own.
  Variable Cast(const Variable& x, DType dtype);

  // The result of an op and how its gradient flows to `inputs`. The function captures what it needs and no
  // more: what it captures stays in memory until Backward has passed. `op`: a constant, for traces.
  Variable Record(absl::string_view op, Tensor value, absl::Span<const Variable> inputs,
                  BackwardFunction backward);
  Variable Record(Op op, Tensor value, absl::Span<const Variable> inputs, BackwardFunction backward) {
    return Record(NameOf(op), std::move(value), inputs, std::move(backward));
  }

  // Computes the gradients of seed * root for every leaf; root has one element. Once a Graph.
  void Backward(const Variable& root, double seed = 1);
  // The same with a seed that lies on the device, and is not waited for: a scalar of any float dtype.
  void Backward(const Variable& root, const Tensor& seed);
  // Of an Input with requires_grad, after Backward; undefined if root does not depend on it.
  const Tensor& Gradient(const Variable& input) const;

 private:
  friend class BackwardContext;
  friend class ModuleScope;

  struct Node {
    std::vector<int> parents;
    BackwardFunction backward;  // empty for leaves
    absl::string_view op;
    const std::string* module = nullptr;  // whose op it is; null outside of any
    Parameter* parameter = nullptr;       // where a parameter's gradient goes
    Tensor gradient;
  };

  Variable AddLeaf(Tensor value, Parameter* parameter);
  void Accumulate(int node, Tensor gradient);
  void Trace(absl::string_view op, const std::string* module, bool backward, std::string tensor,
             const Tensor& value) const {
    options_.trace({.module = module == nullptr ? absl::string_view() : *module,
                    .op = op,
                    .backward = backward,
                    .tensor = std::move(tensor),
                    .value = value});
  }

  void Profile(absl::string_view op, const std::string* module, bool backward, size_t bytes);

  GraphOptions options_;
  mutable bool random_ = false;
  // Of the module that computes now.
  const CastPolicy* policy_;
  const std::string* module_ = nullptr;
  // Of the op whose gradient is being computed.
  const Node* backward_of_ = nullptr;
  std::vector<Node> nodes_;
  std::chrono::steady_clock::time_point last_;  // when the last op ended, for profiles
};

// While it lives, what the graph computes belongs to the module of this path.
class ModuleScope {
 public:
  ModuleScope(Graph& graph, const std::string& path);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;

 private:
  Graph& graph_;
  const CastPolicy* outer_policy_;
  const std::string* outer_module_;
};

}  // namespace halftone::nn

#endif  // HALFTONE_NN_GRAPH_H_
