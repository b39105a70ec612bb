// What every op that calls oneDNN shares: the engine, primitives made once and kept, execution with scratch
// memory from the device's allocator, and 16-bit storage around float32 arithmetic.
//
// oneDNN reports errors by exceptions. None leaves these functions: what oneDNN refuses here is a bug of
// ours, so it stops the program with oneDNN's message; ask before for what a processor may lack
// (HasFastBFloat16).
#ifndef HALFTONE_TENSOR_ONEDNN_ONEDNN_H_
#define HALFTONE_TENSOR_ONEDNN_ONEDNN_H_

#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/parallel.h"
#include "oneapi/dnnl/dnnl.hpp"
#include "tensor/tensor.h"

namespace halftone::onednn {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;

// Whether bfloat16 runs in hardware (AVX512-BF16 or AMX) and ONEDNN_MAX_CPU_ISA, if set, lets oneDNN use it.
bool HasFastBFloat16();

// float32 or bfloat16.
dnnl::memory::data_type TypeOf(DType dtype);

// Stops the program with oneDNN's message.
[[noreturn]] void Fail(const char* what, const dnnl::error& error);

// Calls f(), which may throw dnnl::error and nothing else.
template <typename F>
auto Checked(const char* what, F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const dnnl::error& error) {
    Fail(what, error);
  }
}

// A primitive as it is kept. Made for the number of threads at that time.
struct Primitive {
  dnnl::primitive primitive;
  Desc scratchpad;
};

// Attributes with the scratchpad handed in by Execute.
dnnl::primitive_attr UserScratchpad();

// What a primitive is made from, by the arguments that versions 2 and 3 of oneDNN share; only their order
// differs.
template <typename PrimitiveType, typename... Args>
typename PrimitiveType::primitive_desc Describe(const dnnl::engine& engine, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename PrimitiveType::primitive_desc(engine, args..., UserScratchpad());
#else
  return
      typename PrimitiveType::primitive_desc(typename PrimitiveType::desc(args...), UserScratchpad(), engine);
#endif
}

// The same for a gradient, which also wants to know its forward primitive.
template <typename PrimitiveType, typename ForwardDesc, typename... Args>
typename PrimitiveType::primitive_desc DescribeBackward(const dnnl::engine& engine,
                                                        const ForwardDesc& forward, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename PrimitiveType::primitive_desc(engine, args..., forward, UserScratchpad());
#else
  return typename PrimitiveType::primitive_desc(typename PrimitiveType::desc(args...), UserScratchpad(),
                                                engine, forward);
#endif
}

template <typename PrimitiveType, typename PrimitiveDesc>
Primitive Make(const PrimitiveDesc& desc) {
  return {PrimitiveType(desc), desc.scratchpad_desc()};
}

// c = scale * a b; strides say how each lies.
Primitive MakeScaledMatmul(const dnnl::engine& engine, const Desc& a, const Desc& b, const Desc& c,
                           float scale);

// A reorder between two layouts; without a primitive where they are the same.
Primitive MakeReorder(const dnnl::engine& engine, const Desc& from, const Desc& to);

struct Argument {
  int id;  // DNNL_ARG_...
  const Desc& desc;
  const void* data;  // written to where `id` is an output
};

// Runs a primitive to its end.
void Execute(Device& device, const Primitive& primitive, absl::Span<const Argument> arguments);

// The elements at `from` in the layout that the reorder leads to: a new buffer (kept alive by *buffer), or
// `from` itself where nothing need be moved.
const void* Reordered(Device& device, const Primitive& reorder, const Desc& from_desc, const void* from,
                      const Desc& to_desc, Tensor* buffer);

// The engine of a device: device.Resource<Engine>().
struct Engine {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
};

// Plans by problem, made when first asked for: device.Resource<PlanCache<Key, Plan>>(). A key holds all that
// the plan depends on; the number of threads, on which every plan depends, is added here. Thread safe; a plan
// never moves.
template <typename Key, typename Plan>
class PlanCache {
 public:
  template <typename F>
  const Plan& Get(const Key& key, F&& make) {
    std::pair<Key, int> full_key(key, NumThreads());
    absl::MutexLock lock(&mutex_);
    std::unique_ptr<Plan>& plan = plans_[full_key];
    if (plan == nullptr) plan = std::make_unique<Plan>(Checked("making a primitive", std::forward<F>(make)));
    return *plan;
  }

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<std::pair<Key, int>, std::unique_ptr<Plan>> plans_;
};

// A new float32 tensor with the values of a 16-bit one.
Tensor Widen(const Tensor& narrow);

// The same for elements [first, first + count) of `narrow`, into `wide`; and back, rounded to nearest even.
void WidenRange(const Tensor& narrow, int64_t first, int64_t count, float* wide);
void NarrowRange(const float* wide, int64_t first, int64_t count, Tensor* narrow);
// Numbers rounded to `dtype` (16-bit) that stay float32; in place where `from` is `to`.
void RoundRange(const float* from, int64_t count, DType dtype, float* to);

}  // namespace halftone::onednn

#endif  // HALFTONE_TENSOR_ONEDNN_ONEDNN_H_
