#include "tensor/cuda/cublas.h"

#include <cublasLt.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "tensor/cuda/cuda_accelerator.h"
#include "tensor/cuda/math_options.h"
#include "tensor/tensor.h"

namespace halftone::cuda {
namespace {

constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;  // what NVIDIA recommends for the largest GPUs

struct Key {
  Product product;
  uint32_t align_a, align_b, align_c;
  bool tf32;

  friend bool operator==(const Key&, const Key&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Key& key) {
    return H::combine(std::move(state), key.product, key.align_a, key.align_b, key.align_c, key.tf32);
  }
};

template <auto kDestroy>
struct Destroy {
  template <typename T>
  void operator()(T* object) const {
    (void)kDestroy(object);
  }
};
template <typename Handle, auto kDestroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<kDestroy>>;

struct Plan {
  Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> operation;
  Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> first, second, result;
  cublasLtMatmulAlgo_t algorithm;
  bool ok = false;         // false: a call failed
  bool supported = false;  // false: cuBLASLt has nothing for it
};

// Of a device.
struct Cublas {
  absl::Mutex mutex;
  Owned<cublasLtHandle_t, cublasLtDestroy> handle;
  Tensor workspace;
  absl::flat_hash_map<Key, Plan> plans;
};

std::string Describe(const Product& p) {
  return absl::StrCat("a product of ", p.batch, " x [", p.m, ", ", p.k, "] [", p.k, ", ", p.n, "] in ",
                      p.in == DType::kU8 ? std::string("float8") : std::string(NameOf(p.in)));
}

// Remembers the first call that failed.
class Calls {
 public:
  Calls(CudaAccelerator& cuda, const Product& product) : cuda_(cuda), product_(product) {}

  void operator()(const char* call, cublasStatus_t status) {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    if (ok_) cuda_.Fail(call, absl::StrCat(cublasLtGetStatusString(status), ", for ", Describe(product_)));
    ok_ = false;
  }
  bool ok() const { return ok_; }

 private:
  CudaAccelerator& cuda_;
  const Product& product_;
  bool ok_ = true;
};

// e5m2: of codes, which have no dtype of their own.
cudaDataType_t TypeOf(DType dtype, bool e5m2 = false) {
  switch (dtype) {
    case DType::kU8:
      return e5m2 ? CUDA_R_8F_E5M2 : CUDA_R_8F_E4M3;
    case DType::kF64:
      return CUDA_R_64F;
    case DType::kF16:
      return CUDA_R_16F;
    case DType::kBF16:
      return CUDA_R_16BF;
    default:
      HALFTONE_CHECK(dtype == DType::kF32);
      return CUDA_R_32F;
  }
}

template <typename T>
void Set(Calls& calls, const Plan& plan, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  calls("cublasLtMatmulDescSetAttribute",
        cublasLtMatmulDescSetAttribute(plan.operation.get(), attribute, &value, sizeof(value)));
}

template <typename Layout>
void MakeLayout(Calls& calls, cudaDataType_t type, const ColumnMajor& matrix, int64_t batch, int64_t stride,
                Layout& to) {
  cublasLtMatrixLayout_t layout = nullptr;
  calls("cublasLtMatrixLayoutCreate",
        cublasLtMatrixLayoutCreate(&layout, type, matrix.rows, matrix.columns, matrix.leading));
  to.reset(layout);
  if (layout == nullptr || batch == 1) return;
  const auto count = static_cast<int32_t>(batch);
  calls("cublasLtMatrixLayoutSetAttribute",
        cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count)));
  calls("cublasLtMatrixLayoutSetAttribute",
        cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                         sizeof(stride)));
}

void ChooseAlgorithm(Calls& calls, const Cublas& cublas, const Key& key, Plan& plan) {
  cublasLtMatmulPreference_t created = nullptr;
  calls("cublasLtMatmulPreferenceCreate", cublasLtMatmulPreferenceCreate(&created));
  const Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference(created);
  if (!calls.ok()) return;
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    calls("cublasLtMatmulPreferenceSetAttribute",
          cublasLtMatmulPreferenceSetAttribute(created, attribute, &value, sizeof(value)));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspaceBytes});
  // Parts of a sum are added up before they are rounded, not after.
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  // cuBLAS's A is b.
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.align_b);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.align_a);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.align_c);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.align_c);
  if (!calls.ok()) return;
  cublasLtMatmulHeuristicResult_t found = {};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      cublas.handle.get(), plan.operation.get(), plan.first.get(), plan.second.get(), plan.result.get(),
      plan.result.get(), created, 1, &found, &count);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED) calls("cublasLtMatmulAlgoGetHeuristic", status);
  plan.supported = calls.ok() && count > 0 && found.state == CUBLAS_STATUS_SUCCESS;
  plan.algorithm = found.algo;
}

// Of codes; null for other numbers.
struct Scales {
  const float *a = nullptr, *b = nullptr;
};

void SetScales(Calls& calls, const Plan& plan, const Scales& scales) {
  if (scales.a == nullptr) return;
  // cuBLAS's A is b.
  Set(calls, plan, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, static_cast<const void*>(scales.b));
  Set(calls, plan, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, static_cast<const void*>(scales.a));
}

Plan MakePlan(Calls& calls, const Cublas& cublas, const Key& key, const void* bias, const Scales& scales) {
  const Product& p = key.product;
  HALFTONE_CHECK(p.in == DType::kU8 ? p.out == DType::kF32
                                    : p.out == p.in || (p.out == DType::kF32 && SizeOf(p.in) == 2));
  HALFTONE_CHECK(!(p.bias && p.out == DType::kF64));
  const ColumnMajorProduct matrices = ForCublas(p);
  const bool is_double = p.in == DType::kF64;
  const cublasComputeType_t compute = is_double                         ? CUBLAS_COMPUTE_64F
                                      : key.tf32 && p.in == DType::kF32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                                        : CUBLAS_COMPUTE_32F;
  Plan plan;
  cublasLtMatmulDesc_t operation = nullptr;
  calls("cublasLtMatmulDescCreate",
        cublasLtMatmulDescCreate(&operation, compute, is_double ? CUDA_R_64F : CUDA_R_32F));
  plan.operation.reset(operation);
  if (!calls.ok()) return plan;
  Set(calls, plan, CUBLASLT_MATMUL_DESC_TRANSA, matrices.first.transpose ? CUBLAS_OP_T : CUBLAS_OP_N);
  Set(calls, plan, CUBLASLT_MATMUL_DESC_TRANSB, matrices.second.transpose ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (p.bias) {
    Set(calls, plan, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    Set(calls, plan, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, TypeOf(p.out));
    Set(calls, plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  SetScales(calls, plan, scales);
  MakeLayout(calls, TypeOf(p.in, p.e5m2_b), matrices.first, p.batch, p.b.stride, plan.first);
  MakeLayout(calls, TypeOf(p.in, p.e5m2_a), matrices.second, p.batch, p.a.stride, plan.second);
  MakeLayout(calls, TypeOf(p.out), matrices.result, p.batch, p.c.stride, plan.result);
  if (calls.ok()) ChooseAlgorithm(calls, cublas, key, plan);
  plan.ok = calls.ok();
  return plan;
}

// False: not supported, and nothing was done. After an error true.
bool Run(Device& device, const Product& product, const void* a, const void* b, const void* bias, void* c,
         double scale, const Scales& scales = {}) {
  CudaAccelerator& cuda = CudaOf(device);
  const Key key = {.product = product,
                   .align_a = AlignmentOf(a, product.a, product.batch, product.in),
                   .align_b = AlignmentOf(b, product.b, product.batch, product.in),
                   .align_c = AlignmentOf(c, product.c, product.batch, product.out),
                   .tf32 = device.Resource<MathOptions>().tf32};
  auto& cublas = device.Resource<Cublas>();
  Calls calls(cuda, product);
  absl::MutexLock lock(&cublas.mutex);
  if (cublas.handle == nullptr) {
    cublas.workspace = Tensor::Empty(device, DType::kU8, {kWorkspaceBytes});  // first: there may be no more
    cublasLtHandle_t handle = nullptr;
    calls("cublasLtCreate", cublasLtCreate(&handle));
    if (!calls.ok()) return true;
    cublas.handle.reset(handle);
  }
  auto found = cublas.plans.find(key);
  if (found == cublas.plans.end())
    found = cublas.plans.emplace(key, MakePlan(calls, cublas, key, bias, scales)).first;
  const Plan& plan = found->second;
  if (!plan.ok) return true;  // the accelerator's status says why
  if (!plan.supported) return false;
  if (product.bias) Set(calls, plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  SetScales(calls, plan, scales);
  const float narrow[2] = {static_cast<float>(scale), 0};
  const double wide[2] = {scale, 0};
  const bool is_double = product.in == DType::kF64;
  const void* alpha = is_double ? static_cast<const void*>(wide) : narrow;
  const void* beta = is_double ? static_cast<const void*>(wide + 1) : narrow + 1;
  calls("cublasLtMatmul",
        cublasLtMatmul(cublas.handle.get(), plan.operation.get(), alpha, b, plan.first.get(), a,
                       plan.second.get(), beta, c, plan.result.get(), c, plan.result.get(), &plan.algorithm,
                       cublas.workspace.device_raw(), kWorkspaceBytes, cuda.Use()));
  return true;
}

}  // namespace

void Multiply(Device& device, const Product& product, const void* a, const void* b, void* c, double scale) {
  HALFTONE_CHECK(!product.bias);
  if (Run(device, product, a, b, nullptr, c, scale)) return;
  CudaOf(device).Fail("cublasLtMatmulAlgoGetHeuristic",
                      absl::StrCat("cuBLASLt has no algorithm for ", Describe(product)));
}

bool MultiplyAndAdd(Device& device, const Product& product, const void* a, const void* b, const void* bias,
                    void* c) {
  // The start of a tensor: plans are chosen for that.
  HALFTONE_CHECK(product.bias && bias != nullptr && reinterpret_cast<uintptr_t>(bias) % 16 == 0);
  return Run(device, product, a, b, bias, c, 1);
}

bool MultiplyFloat8(Device& device, int64_t m, int64_t n, int64_t k, const Float8Matrix& a,
                    const Float8Matrix& b, float* c) {
  const Product product = {.in = DType::kU8,
                           .e5m2_a = a.e5m2,
                           .e5m2_b = b.e5m2,
                           .out = DType::kF32,
                           .m = m,
                           .k = k,
                           .n = n,
                           .transpose_b = true,
                           .a = {.row = k},
                           .b = {.row = k},
                           .c = {.row = n}};
  return Run(device, product, a.codes, b.codes, nullptr, c, 1, {.a = a.scale, .b = b.scale});
}

}  // namespace halftone::cuda
