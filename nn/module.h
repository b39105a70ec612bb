// A part of a network: parameters, buffers, and children under names.
//
// Visit is the one source of names: checkpoints, per-layer precision, initialisation and printing all go
// through it.
#ifndef HALFTONE_NN_MODULE_H_
#define HALFTONE_NN_MODULE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "nn/graph.h"
#include "nn/parameter.h"

namespace halftone::nn {

class Module;

// Walks a module's tree. Paths are the names from the root, joined by dots: "layer1.0.conv1.weight".
class Visitor {
 public:
  virtual ~Visitor() = default;

  void operator()(absl::string_view name, Module& child);
  void operator()(absl::string_view name, Parameter& parameter);
  void operator()(absl::string_view name, Buffer& buffer);
  template <typename M>
  void operator()(absl::string_view name, std::optional<M>& child) {
    if (child.has_value()) (*this)(name, *child);
  }
  template <typename M>
  void operator()(absl::string_view name, std::unique_ptr<M>& child) {
    if (child != nullptr) (*this)(name, *child);
  }

 protected:
  virtual void OnModule(const std::string& path, Module& module) { (void)path, (void)module; }
  virtual void OnParameter(const std::string& path, Parameter& parameter) { (void)path, (void)parameter; }
  virtual void OnBuffer(const std::string& path, Buffer& buffer) { (void)path, (void)buffer; }

 private:
  std::string Path(absl::string_view name) const;

  std::string prefix_;
};

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  virtual Variable Forward(const Variable& x) = 0;
  Variable operator()(const Variable& x) {
    const ModuleScope scope(x.graph(), path_);
    return Forward(x);
  }

  // Names every child, parameter and buffer, in the order of the state dict. A leaf without any needs none.
  virtual void Visit(Visitor& visitor) { (void)visitor; }

  // Where this module is in the network; known after Initialize.
  const std::string& path() const { return path_; }

 private:
  friend void Initialize(Module& root, Device& device, const Rng& rng);

  std::string path_;
};

// Gives every parameter and buffer its memory and its first value.
void Initialize(Module& root, Device& device, const Rng& rng);

void ForEachParameter(Module& root, absl::FunctionRef<void(const std::string& path, Parameter&)> f);
void ForEachBuffer(Module& root, absl::FunctionRef<void(const std::string& path, Buffer&)> f);
std::vector<Parameter*> Parameters(Module& root);

// Turns float32 parameters and buffers into another dtype: float64 for gradient checks.
void ConvertTo(Module& root, DType dtype);

}  // namespace halftone::nn

#endif  // HALFTONE_NN_MODULE_H_
