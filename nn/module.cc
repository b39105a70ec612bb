#include "nn/module.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tensor/ops/cast/cast.h"

namespace halftone::nn {
namespace {

class ParameterVisitor : public Visitor {
 public:
  explicit ParameterVisitor(absl::FunctionRef<void(const std::string&, Parameter&)> f) : f_(f) {}
  void OnParameter(const std::string& path, Parameter& parameter) override { f_(path, parameter); }

 private:
  absl::FunctionRef<void(const std::string&, Parameter&)> f_;
};

class BufferVisitor : public Visitor {
 public:
  explicit BufferVisitor(absl::FunctionRef<void(const std::string&, Buffer&)> f) : f_(f) {}
  void OnBuffer(const std::string& path, Buffer& buffer) override { f_(path, buffer); }

 private:
  absl::FunctionRef<void(const std::string&, Buffer&)> f_;
};

class PathVisitor : public Visitor {
 public:
  explicit PathVisitor(absl::FunctionRef<void(const std::string&, Module&)> f) : f_(f) {}
  void OnModule(const std::string& path, Module& module) override { f_(path, module); }

 private:
  absl::FunctionRef<void(const std::string&, Module&)> f_;
};

Tensor Filled(Device& device, const Buffer& buffer) {
  Tensor t = Tensor::Empty(device, buffer.dtype, buffer.shape);
  if (buffer.dtype == DType::kI64) {
    for (int64_t& v : t.span<int64_t>()) v = static_cast<int64_t>(buffer.initial);
  } else {
    for (float& v : t.span<float>()) v = static_cast<float>(buffer.initial);
  }
  return t;
}

}  // namespace

std::string Visitor::Path(absl::string_view name) const {
  return prefix_.empty() ? std::string(name) : absl::StrCat(prefix_, ".", name);
}

void Visitor::operator()(absl::string_view name, Module& child) {
  std::string outer = std::exchange(prefix_, Path(name));
  OnModule(prefix_, child);
  child.Visit(*this);
  prefix_ = std::move(outer);
}

void Visitor::operator()(absl::string_view name, Parameter& parameter) { OnParameter(Path(name), parameter); }
void Visitor::operator()(absl::string_view name, Buffer& buffer) { OnBuffer(Path(name), buffer); }

void ForEachParameter(Module& root, absl::FunctionRef<void(const std::string&, Parameter&)> f) {
  ParameterVisitor visitor(f);
  root.Visit(visitor);
}

void ForEachBuffer(Module& root, absl::FunctionRef<void(const std::string&, Buffer&)> f) {
  BufferVisitor visitor(f);
  root.Visit(visitor);
}

void Initialize(Module& root, Device& device, const Rng& rng) {
  PathVisitor paths([](const std::string& path, Module& module) { module.path_ = path; });
  root.Visit(paths);
  ForEachParameter(root, [&](const std::string& path, Parameter& p) { p.Initialize(device, rng, path); });
  ForEachBuffer(root, [&](const std::string&, Buffer& b) { b.value = Filled(device, b); });
}

std::vector<Parameter*> Parameters(Module& root) {
  std::vector<Parameter*> all;
  ForEachParameter(root, [&](const std::string&, Parameter& p) { all.push_back(&p); });
  return all;
}

void ConvertTo(Module& root, DType dtype) {
  ForEachParameter(root,
                   [&](const std::string&, Parameter& p) { p.SetMaster(ops::Cast(p.master(), dtype)); });
  ForEachBuffer(root, [&](const std::string&, Buffer& b) {
    if (IsFloat(b.value.dtype())) b.value = ops::Cast(b.value, dtype);
  });
}

}  // namespace halftone::nn
