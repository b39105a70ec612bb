#include "tensor/onednn/onednn.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <unordered_map>

#include "base/check.h"
#include "base/parallel.h"
#include "fp16/convert.h"

namespace halftone::onednn {
namespace {

// Elements a thread converts at least: below that, waking a thread costs more than it saves.
constexpr size_t kConvertGrain = 16384;

void ConvertParallel(const auto* from, auto* to, size_t n) {
  ParallelFor(n, kConvertGrain,
              [=](size_t begin, size_t end) { Convert(from + begin, to + begin, end - begin); });
}

// By way of an array of T that never leaves the first cache.
template <typename T>
void RoundThrough(const float* from, float* to, size_t n) {
  ParallelFor(n, kConvertGrain, [=](size_t begin, size_t end) {
    T narrow[1024];
    for (size_t i = begin; i < end; i += std::size(narrow)) {
      const size_t count = std::min(std::size(narrow), end - i);
      Convert(from + i, narrow, count);
      Convert(narrow, to + i, count);
    }
  });
}

}  // namespace

bool HasFastBFloat16() {
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  return (static_cast<unsigned>(isa) & static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16)) ==
         static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
}

dnnl::memory::data_type TypeOf(DType dtype) {
  if (dtype == DType::kBF16) return dnnl::memory::data_type::bf16;
  HALFTONE_CHECK(dtype == DType::kF32);
  return dnnl::memory::data_type::f32;
}

void Fail(const char* what, const dnnl::error& error) {
  std::fprintf(stderr, "oneDNN, %s: %s (status %d). This is a bug in Halftone.\n", what, error.what(),
               static_cast<int>(error.status));
  std::abort();
}

dnnl::primitive_attr UserScratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

Primitive MakeScaledMatmul(const dnnl::engine& engine, const Desc& a, const Desc& b, const Desc& c,
                           float scale) {
  dnnl::primitive_attr attributes = UserScratchpad();
  if (scale != 1) {
    constexpr auto kLinear = dnnl::algorithm::eltwise_linear;
    dnnl::post_ops ops;
#if DNNL_VERSION_MAJOR >= 3
    ops.append_eltwise(kLinear, scale, 0.0f);
#else
    ops.append_eltwise(1.0f, kLinear, scale, 0.0f);
#endif
    attributes.set_post_ops(ops);
  }
#if DNNL_VERSION_MAJOR >= 3
  return Make<dnnl::matmul>(dnnl::matmul::primitive_desc(engine, a, b, c, attributes));
#else
  return Make<dnnl::matmul>(dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), attributes, engine));
#endif
}

Primitive MakeReorder(const dnnl::engine& engine, const Desc& from, const Desc& to) {
  if (from == to) return {};
  return Make<dnnl::reorder>(dnnl::reorder::primitive_desc(engine, from, engine, to, UserScratchpad()));
}

void Execute(Device& device, const Primitive& primitive, absl::Span<const Argument> arguments) {
  Checked("running a primitive", [&] {
    const dnnl::engine& engine = device.Resource<Engine>().engine;
    std::unordered_map<int, dnnl::memory> memories;
    for (const Argument& argument : arguments) {
      memories.emplace(argument.id, dnnl::memory(argument.desc, engine, const_cast<void*>(argument.data)));
    }
    Tensor scratch;
    if (const size_t bytes = primitive.scratchpad.get_size(); bytes > 0) {
      scratch = Tensor::Empty(device, DType::kU8, {static_cast<int64_t>(bytes)});
      memories.emplace(DNNL_ARG_SCRATCHPAD, dnnl::memory(primitive.scratchpad, engine, scratch.raw()));
    }
    dnnl::stream stream(engine);
    primitive.primitive.execute(stream, memories);
    stream.wait();
  });
}

const void* Reordered(Device& device, const Primitive& reorder, const Desc& from_desc, const void* from,
                      const Desc& to_desc, Tensor* buffer) {
  if (!reorder.primitive) return from;
  *buffer = Tensor::Empty(device, DType::kU8, {static_cast<int64_t>(to_desc.get_size())});
  Execute(device, reorder, {{DNNL_ARG_FROM, from_desc, from}, {DNNL_ARG_TO, to_desc, buffer->raw()}});
  return buffer->raw();
}

Tensor Widen(const Tensor& narrow) {
  Tensor wide = Tensor::Empty(narrow.device(), DType::kF32, narrow.shape());
  WidenRange(narrow, 0, narrow.elements(), wide.data<float>());
  return wide;
}

void WidenRange(const Tensor& narrow, int64_t first, int64_t count, float* wide) {
  if (narrow.dtype() == DType::kF16) {
    ConvertParallel(narrow.data<half>() + first, wide, count);
  } else {
    ConvertParallel(narrow.data<bfloat16>() + first, wide, count);
  }
}

void NarrowRange(const float* wide, int64_t first, int64_t count, Tensor* narrow) {
  if (narrow->dtype() == DType::kF16) {
    ConvertParallel(wide, narrow->data<half>() + first, count);
  } else {
    ConvertParallel(wide, narrow->data<bfloat16>() + first, count);
  }
}

void RoundRange(const float* from, int64_t count, DType dtype, float* to) {
  if (dtype == DType::kF16) {
    RoundThrough<half>(from, to, static_cast<size_t>(count));
  } else {
    RoundThrough<bfloat16>(from, to, static_cast<size_t>(count));
  }
}

}  // namespace halftone::onednn
