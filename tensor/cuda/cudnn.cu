#include "tensor/cuda/cudnn.h"

#include <cudnn.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "tensor/cuda/cuda_accelerator.h"
#include "tensor/tensor.h"

namespace halftone::cuda {
namespace {

constexpr int64_t kMostWorkspaceBytes = int64_t{512} << 20;
constexpr int64_t kMostConfigurations = 32;  // that are asked for, the fastest first
enum UniqueId : int64_t { kX = 1, kW = 2, kY = 3, kSums = 4, kBias = 5 };

// A part of a batch may begin anywhere.
int64_t AlignmentOf(const void* x, const void* w, const void* y, const void* bias) {
  uintptr_t bits = 16;
  for (const void* p : {x, w, y, bias}) bits |= reinterpret_cast<uintptr_t>(p);
  return static_cast<int64_t>(bits & (~bits + 1));
}

struct DestroyDescriptor {
  void operator()(void* descriptor) const { (void)cudnnBackendDestroyDescriptor(descriptor); }
};
struct DestroyHandle {
  void operator()(cudnnHandle_t handle) const { (void)cudnnDestroy(handle); }
};

// cuDNN's own words for what went wrong last, in one line.
std::string LastWords(cudnnStatus_t status) {
  std::string words(1024, '\0');
  cudnnGetLastErrorString(words.data(), words.size());
  words.resize(words.find('\0') == std::string::npos ? words.size() : words.find('\0'));
  for (char& c : words) {
    if (c == '\n') c = ' ';
  }
  return absl::StrCat(cudnnGetErrorString(status), words.empty() ? "" : ", ", words);
}

// Remembers the first call that failed.
class Calls {
 public:
  void operator()(const char* call, cudnnStatus_t status) {
    if (status == CUDNN_STATUS_SUCCESS || !ok()) return;
    status_ = status;
    call_ = call;
    words_ = LastWords(status);
  }
  bool ok() const { return status_ == CUDNN_STATUS_SUCCESS; }
  // It is not for this GPU, or for nobody: no error of ours, and none of the machine's.
  bool unsupported() const { return CUDNN_STATUS_CATEGORY(status_) == CUDNN_STATUS_NOT_SUPPORTED; }
  const char* call() const { return call_; }
  const std::string& words() const { return words_; }

 private:
  cudnnStatus_t status_ = CUDNN_STATUS_SUCCESS;
  const char* call_ = "";
  std::string words_;
};

// A descriptor of the graph API. Calls after one that failed do nothing.
class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(Calls& calls, cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t created = nullptr;
    if (calls.ok()) calls("cudnnBackendCreateDescriptor", cudnnBackendCreateDescriptor(type, &created));
    descriptor_.reset(created);
  }

  cudnnBackendDescriptor_t get() const { return descriptor_.get(); }

  void Set(Calls& calls, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
           const void* values) {
    if (calls.ok()) {
      calls("cudnnBackendSetAttribute", cudnnBackendSetAttribute(get(), name, type, count, values));
    }
  }
  template <typename T>
  void Set(Calls& calls, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) {
    Set(calls, name, type, 1, &value);
  }
  void Set(Calls& calls, cudnnBackendAttributeName_t name, const Descriptor& other) {
    Set(calls, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.get());
  }
  void Finalize(Calls& calls) {
    if (calls.ok()) calls("cudnnBackendFinalize", cudnnBackendFinalize(get()));
  }

 private:
  std::unique_ptr<void, DestroyDescriptor> descriptor_;
};

struct Plan {
  Descriptor execution;
  int64_t workspace_bytes = 0;
  bool supported = false;
};

// Of a device. Plans go before the handle that they were made with.
struct Cudnn {
  absl::Mutex mutex;
  std::unique_ptr<cudnnContext, DestroyHandle> handle;
  absl::flat_hash_map<Convolution, Plan> plans;
};

std::string Describe(const Convolution& c) {
  const char* pass = c.pass == ConvolutionPass::kForward        ? "convolution"
                     : c.pass == ConvolutionPass::kBackwardData ? "gradient of images"
                                                                : "gradient of weights";
  return absl::StrCat(pass, " of [", c.n, ", ", c.h, ", ", c.w, ", ", c.c, "] by ", c.o, " filters of ", c.kh,
                      " x ", c.kw, ", stride ", c.stride, ", padding ", c.padding, ", ", c.groups,
                      " groups, ", std::string(NameOf(c.in)), " to ", std::string(NameOf(c.out)),
                      c.bias.has_value() ? ", with a bias" : "");
}

cudnnDataType_t TypeOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return CUDNN_DATA_DOUBLE;
    case DType::kF16:
      return CUDNN_DATA_HALF;
    case DType::kBF16:
      return CUDNN_DATA_BFLOAT16;
    default:
      HALFTONE_CHECK(dtype == DType::kF32);
      return CUDNN_DATA_FLOAT;
  }
}

// is_virtual: it is handed from one operation to the next, and never in memory.
Descriptor MakeTensor(Calls& calls, const Convolution& c, const CudnnTensor& t, int64_t id,
                      bool is_virtual = false) {
  Descriptor d(calls, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  d.Set(calls, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, TypeOf(t.dtype));
  d.Set(calls, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, t.dims.data());
  d.Set(calls, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, t.strides.data());
  d.Set(calls, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, id);
  d.Set(calls, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, c.alignment);
  d.Set(calls, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, is_virtual);
  d.Finalize(calls);
  return d;
}

Descriptor MakeConvolution(Calls& calls, const Convolution& c) {
  const int64_t dilations[] = {1, 1}, strides[] = {c.stride, c.stride}, padding[] = {c.padding, c.padding};
  Descriptor d(calls, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  d.Set(calls, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE,
        c.in == DType::kF64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT);
  d.Set(calls, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
  d.Set(calls, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, int64_t{2});
  d.Set(calls, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilations);
  d.Set(calls, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides);
  d.Set(calls, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, padding);
  d.Set(calls, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, padding);
  d.Finalize(calls);
  return d;
}

// What the three passes call the same things.
struct OperationNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
};

OperationNames NamesOf(ConvolutionPass pass) {
  if (pass == ConvolutionPass::kForward) {
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
  }
  if (pass == ConvolutionPass::kBackwardData) {
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

// result = sums [+ bias], rounded into the result's dtype.
Descriptor MakeRounding(Calls& calls, const Convolution& c, const Descriptor& sums,
                        const Descriptor& result) {
  Descriptor pointwise(calls, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  pointwise.Set(calls, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE,
                c.bias.has_value() ? CUDNN_POINTWISE_ADD : CUDNN_POINTWISE_IDENTITY);
  pointwise.Set(calls, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  pointwise.Finalize(calls);
  Descriptor operation(calls, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.Set(calls, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pointwise);
  operation.Set(calls, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, sums);
  if (c.bias.has_value()) {
    operation.Set(calls, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
                  MakeTensor(calls, c, ChannelsLast(*c.bias, 1, 1, 1, c.o), kBias));
  }
  operation.Set(calls, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, result);
  operation.Finalize(calls);
  return operation;
}

// One operation, or a second for what is done with its sums before they are rounded.
Descriptor MakeGraph(Calls& calls, cudnnHandle_t handle, const Convolution& c) {
  const CudnnTensors tensors = TensorsOf(c);
  const bool two = c.bias.has_value() || c.out != c.in;
  const Descriptor x = MakeTensor(calls, c, tensors.x, kX), w = MakeTensor(calls, c, tensors.w, kW),
                   y = MakeTensor(calls, c, tensors.y, kY), convolution = MakeConvolution(calls, c);
  const Descriptor& result = c.pass == ConvolutionPass::kForward        ? y
                             : c.pass == ConvolutionPass::kBackwardData ? x
                                                                        : w;
  const Descriptor sums = two ? MakeTensor(calls, c, tensors.sums, kSums, /*is_virtual=*/true) : Descriptor();
  const auto operand = [&](const Descriptor& d) -> const Descriptor& {
    return two && &d == &result ? sums : d;
  };
  const OperationNames names = NamesOf(c.pass);
  Descriptor operation(calls, names.type);
  operation.Set(calls, names.convolution, convolution);
  operation.Set(calls, names.x, operand(x));
  operation.Set(calls, names.w, operand(w));
  operation.Set(calls, names.y, operand(y));
  if (c.in == DType::kF64) {
    operation.Set(calls, names.alpha, CUDNN_TYPE_DOUBLE, 1.0);
    operation.Set(calls, names.beta, CUDNN_TYPE_DOUBLE, 0.0);
  } else {
    operation.Set(calls, names.alpha, CUDNN_TYPE_FLOAT, 1.0f);
    operation.Set(calls, names.beta, CUDNN_TYPE_FLOAT, 0.0f);
  }
  operation.Finalize(calls);
  const Descriptor rounding = two ? MakeRounding(calls, c, sums, result) : Descriptor();
  const cudnnBackendDescriptor_t operations[] = {operation.get(), rounding.get()};
  Descriptor graph(calls, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.Set(calls, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle);
  graph.Set(calls, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, two ? 2 : 1, operations);
  graph.Finalize(calls);
  return graph;
}

// Whether what computes by this configuration promises what cudnn.h does.
bool KeepsPromises(const Descriptor& configuration, const Convolution& c) {
  Calls calls;
  Descriptor engine(calls, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t to = engine.get();
  int64_t count = 0;
  if (!calls.ok()) return false;
  calls("cudnnBackendGetAttribute", cudnnBackendGetAttribute(configuration.get(), CUDNN_ATTR_ENGINECFG_ENGINE,
                                                             CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &to));
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  count = 0;
  if (!calls.ok()) return false;
  calls("cudnnBackendGetAttribute",
        cudnnBackendGetAttribute(engine.get(), CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes));
  // More than this header knows of: a later library's, and not all of them were written.
  if (!calls.ok() || count > CUDNN_NUMERICAL_NOTE_TYPE_COUNT) return false;
  for (int64_t i = 0; i < count; ++i) {
    switch (notes[i]) {
      case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP:
        break;
      case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:  // of float32: TensorFloat-32
        if (c.in == DType::kF32 && !c.tf32) return false;
        break;
      default:  // rounded inputs or sums, FFT, Winograd, not deterministic, and what later versions may come
                // to know
        return false;
    }
  }
  return true;
}

// The engine configurations that cuDNN proposes, the fastest first.
std::vector<Descriptor> Configurations(const Descriptor& graph, cudnnBackendHeurMode_t mode) {
  Calls calls;
  Descriptor heuristics(calls, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.Set(calls, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristics.Set(calls, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
  heuristics.Finalize(calls);
  std::vector<Descriptor> found;
  std::vector<cudnnBackendDescriptor_t> to;
  for (int64_t i = 0; i < kMostConfigurations; ++i) {
    found.emplace_back(calls, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    to.push_back(found.back().get());
  }
  int64_t count = 0;
  if (calls.ok()) {
    calls("cudnnBackendGetAttribute",
          cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                   CUDNN_TYPE_BACKEND_DESCRIPTOR, kMostConfigurations, &count, to.data()));
  }
  found.resize(calls.ok() ? std::min(count, kMostConfigurations) : 0);
  return found;
}

// Not supported: cuDNN refuses it, or has nothing that this computation may use.
Plan MakePlan(Calls& calls, Device& device, cudnnHandle_t handle, const Convolution& c) {
  const Descriptor graph = MakeGraph(calls, handle, c);
  if (!calls.ok()) return {};
  Calls broken;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    for (const Descriptor& configuration : Configurations(graph, mode)) {
      if (!KeepsPromises(configuration, c)) continue;
      Calls attempt;  // one that is not supported is no error: there are others
      Plan plan = {.execution = Descriptor(attempt, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)};
      plan.execution.Set(attempt, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle);
      plan.execution.Set(attempt, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
      plan.execution.Finalize(attempt);
      int64_t count = 0;
      if (!attempt.ok() && !attempt.unsupported() && broken.ok()) broken = attempt;
      if (!attempt.ok()) continue;
      attempt("cudnnBackendGetAttribute",
              cudnnBackendGetAttribute(plan.execution.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                       CUDNN_TYPE_INT64, 1, &count, &plan.workspace_bytes));
      if (!attempt.ok() || plan.workspace_bytes > kMostWorkspaceBytes) continue;
      plan.supported = true;
      return plan;
    }
  }
  // A library that is not there, say: what compiles kernels (NVRTC) is loaded when it is first wanted.
  if (!broken.ok()) {
    device.SayOnce(absl::StrCat(broken.call(), ": ", broken.words(), ", for a ", Describe(c)));
  }
  return {};
}

// bias: null for none.
void Execute(Calls& calls, Device& device, cudnnHandle_t handle, const Plan& plan, void* x, void* w, void* y,
             const void* bias) {
  // From the cache of the device's allocator: the same memory serves other ops in between.
  Tensor workspace = Tensor::Empty(device, DType::kU8, {plan.workspace_bytes});
  const int64_t ids[] = {kX, kW, kY, kBias}, count = bias != nullptr ? 4 : 3;
  void* const pointers[] = {x, w, y, const_cast<void*>(bias)};
  Descriptor pack(calls, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.Set(calls, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids);
  pack.Set(calls, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers);
  pack.Set(calls, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace.device_raw());
  pack.Finalize(calls);
  if (calls.ok()) calls("cudnnBackendExecute", cudnnBackendExecute(handle, plan.execution.get(), pack.get()));
}

}  // namespace

bool Convolve(Device& device, Convolution convolution, void* x, void* w, void* y, const void* bias) {
  HALFTONE_CHECK(convolution.bias.has_value() == (bias != nullptr));
  convolution.alignment = AlignmentOf(x, w, y, bias);
  CudaAccelerator& cuda = CudaOf(device);
  auto& cudnn = device.Resource<Cudnn>();
  absl::MutexLock lock(&cudnn.mutex);
  Calls calls;
  const auto failed = [&] {
    cuda.Fail(calls.call(), absl::StrCat(calls.words(), ", for a ", Describe(convolution)));
    return true;
  };
  if (cudnn.handle == nullptr) {
    cudnnHandle_t handle = nullptr;
    calls("cudnnCreate", cudnnCreate(&handle));
    cudnn.handle.reset(handle);
    if (calls.ok()) calls("cudnnSetStream", cudnnSetStream(handle, cuda.Use()));
    if (!calls.ok()) {
      cudnn.handle.reset();
      return failed();
    }
  }
  auto found = cudnn.plans.find(convolution);
  if (found == cudnn.plans.end()) {
    Plan plan = MakePlan(calls, device, cudnn.handle.get(), convolution);
    if (!calls.ok() && !calls.unsupported()) return failed();
    found = cudnn.plans.emplace(convolution, std::move(plan)).first;
  }
  const Plan& plan = found->second;
  if (!plan.supported) return false;
  Calls run;
  (void)cuda.Use();
  Execute(run, device, cudnn.handle.get(), plan, x, w, y, bias);
  calls = run;
  return run.ok() ? true : failed();
}

}  // namespace halftone::cuda
