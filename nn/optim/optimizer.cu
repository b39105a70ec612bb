#include <algorithm>
#include <utility>

#include "fp16/format.h"
#include "nn/optim/many_arrays.cuh"
#include "nn/optim/optimizer_kernels.h"
#include "tensor/cuda/kernel.cuh"

namespace halftone {
namespace {

constexpr int kTogether = 4;      // elements of a thread at a time: they share a block of random numbers
constexpr int64_t kBlock = 4096;  // elements of a block of threads

using Params = cuda::ManyArrays<DeviceParam>;
template <typename Rule>
using ScalarsOf = decltype(std::declval<Rule>().template At<float>(1, true, 1.0f));

// What is the same for all elements.
template <typename Rule>
struct Prepared {
  bool skip;
  int64_t step;
  ScalarsOf<Rule> decaying, other;
};

// By one thread, before all else.
template <typename Rule>
__global__ void PrepareKernel(Rule rule, float factor, const float* device_factor, const double* schedule,
                              const int32_t* found_inf, int64_t* steps, Prepared<Rule>* to) {
  to->skip = found_inf != nullptr && *found_inf != 0;
  if (to->skip) return;
  if (device_factor != nullptr) factor *= *device_factor;
  if (schedule != nullptr) rule.Follow(schedule[0], schedule[1]);
  to->step = ++*steps;
  to->decaying = rule.template At<float>(to->step, true, factor);
  to->other = rule.template At<float>(to->step, false, factor);
}

// Arrays start at addresses that are multiples of 256.
template <typename T>
struct alignas(kTogether * sizeof(T)) Few {
  T of[kTogether];
};

// The first n; of a null array zeros.
template <typename T>
__device__ Few<T> LoadFew(const T* from, int64_t at, int n) {
  Few<T> few = {};
  if (from == nullptr) return few;
  if (n == kTogether) return *reinterpret_cast<const Few<T>*>(from + at);
  for (int j = 0; j < n; ++j) few.of[j] = from[at + j];
  return few;
}

template <typename T>
__device__ void StoreFew(const Few<T>& few, T* to, int64_t at, int n) {
  if (to == nullptr) return;
  if (n == kTogether) {
    *reinterpret_cast<Few<T>*>(to + at) = few;
    return;
  }
  for (int j = 0; j < n; ++j) to[at + j] = few.of[j];
}

__device__ float Decode16(uint16_t code, bool is_half) {
  const half h = half::FromBits(code);
  const bfloat16 b = bfloat16::FromBits(code);
  return is_half ? cuda::Load(&h) : cuda::Load(&b);
}

__device__ uint16_t Encode16(float value, bool is_half) {
  return is_half ? cuda::Narrow<half>(value).bits() : cuda::Narrow<bfloat16>(value).bits();
}

__device__ uint16_t EncodeAtRandom(float value, bool is_half, uint32_t random_bits) {
  constexpr FloatFormat kOfHalf = kFloat16, kOfBfloat16 = kBfloat16;
  constexpr Rounding kRounding = Rounding::kStochastic;
  return static_cast<uint16_t>(is_half
                                   ? Encode(kOfHalf, value, kRounding, Overflow::kInfinity, random_bits)
                                   : Encode(kOfBfloat16, value, kRounding, Overflow::kInfinity, random_bits));
}

__device__ float UpdateOne(const SgdRule& rule, const SgdScalars& s, float value, float grad, float& slot0,
                           float&) {
  return rule.Update(s, value, grad, slot0);
}

__device__ float UpdateOne(const AdamRule& rule, const AdamScalars& s, float value, float grad, float& slot0,
                           float& slot1) {
  return rule.Update(s, value, grad, slot0, slot1);
}

template <typename Rule>
__global__ void UpdateKernel(Params params, Rule rule, const Prepared<Rule>* prepared, bool stochastic,
                             Rng rng) {
  if (prepared->skip) return;
  const int number = cuda::ArrayOfBlock(params);
  const DeviceParam& p = params.arrays[number];
  const ScalarsOf<Rule> s = p.decays ? prepared->decaying : prepared->other;
  const Rng random = rng.AtStep(static_cast<uint64_t>(prepared->step)).Stream(p.stream);
  const int64_t begin = int64_t{static_cast<int32_t>(blockIdx.x) - params.first_block[number]} * kBlock;
  const int64_t end = std::min(begin + kBlock, p.elements);
  for (int64_t i = begin + kTogether * threadIdx.x; i < end; i += kTogether * blockDim.x) {
    const int n = static_cast<int>(std::min<int64_t>(kTogether, end - i));
    const Few<float> grad = LoadFew(p.grad, i, n);
    Few<float> slot0 = LoadFew(p.slots[0], i, n), slot1 = LoadFew(p.slots[1], i, n);
    Few<float> value = {};
    Few<uint16_t> codes = {};
    if (p.value != nullptr) {
      value = LoadFew(p.value, i, n);
      for (int j = 0; j < kTogether; ++j) {
        value.of[j] = UpdateOne(rule, s, value.of[j], grad.of[j], slot0.of[j], slot1.of[j]);
        if (p.codes != nullptr) codes.of[j] = Encode16(value.of[j], p.is_half);
      }
      StoreFew(value, p.value, i, n);
    } else {
      codes = LoadFew<uint16_t>(p.codes, i, n);
      Few<uint16_t> excess = LoadFew<uint16_t>(p.excess, i, n);
      const PhiloxBlock bits =
          stochastic ? random.Block(static_cast<uint64_t>(i / kTogether)) : PhiloxBlock{};
      for (int j = 0; j < kTogether; ++j) {
        float w = Decode16(codes.of[j], p.is_half);
        if (p.excess != nullptr) w -= Decode16(excess.of[j], p.is_half);
        w = UpdateOne(rule, s, w, grad.of[j], slot0.of[j], slot1.of[j]);
        codes.of[j] =
            stochastic ? EncodeAtRandom(w, p.is_half, bits[static_cast<size_t>(j)]) : Encode16(w, p.is_half);
        if (p.excess == nullptr) continue;
        // Beyond the largest number there is nothing to give back.
        const float rounded = Decode16(codes.of[j], p.is_half);
        excess.of[j] = Encode16(rounded - rounded == 0 ? rounded - w : 0, p.is_half);
      }
      StoreFew(excess, p.excess, i, n);
    }
    StoreFew(codes, p.codes, i, n);
    StoreFew(slot0, p.slots[0], i, n);
    StoreFew(slot1, p.slots[1], i, n);
  }
}

template <typename Rule>
void Step(const Rule& rule, const DeviceUpdate& update) {
  Device& device = *update.device;
  Tensor scratch = Tensor::Empty(device, DType::kU8, {static_cast<int64_t>(sizeof(Prepared<Rule>))});
  auto* prepared = reinterpret_cast<Prepared<Rule>*>(scratch.device_data<uint8_t>());
  cuda::Launch(device, {.blocks = 1, .threads = 1}, PrepareKernel<Rule>, rule, update.gradient_factor,
               update.device_factor, update.schedule, update.found_inf, update.steps, prepared);
  const bool stochastic = update.rng.has_value();
  const Rng rng = update.rng.value_or(Rng(0));
  cuda::InLaunches(update.params, kBlock, [&](const Params& params, size_t, int64_t blocks) {
    cuda::Launch(device, {.blocks = blocks}, UpdateKernel<Rule>, params, rule, prepared, stochastic, rng);
  });
}

// By one thread: one step leaves few values out of order.
__global__ void SortKernel(float* values, int64_t n) {
  const auto before = [](float a, float b) { return b != b ? a == a : a < b; };  // NaNs go last
  for (int64_t i = 1; i < n; ++i) {
    const float value = values[i];
    int64_t to = i;
    for (; to > 0 && before(value, values[to - 1]); --to) values[to] = values[to - 1];
    values[to] = value;
  }
}

void SortValuesOf(Tensor& values) {
  cuda::Launch(values.device(), {.blocks = 1, .threads = 1}, SortKernel, values.device_data<float>(),
               values.elements());
}

}  // namespace

const OptimizerKernels kOptimizerKernels = {
    .sgd = Step<SgdRule>, .adam = Step<AdamRule>, .sort_values = SortValuesOf};

}  // namespace halftone
