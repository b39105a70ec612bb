// The tensors that a pickle of torch.save describes.
#ifndef HALFTONE_IO_PYTORCH_PYTORCH_TENSORS_H_
#define HALFTONE_IO_PYTORCH_PYTORCH_TENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/element_type.h"
#include "io/pytorch/pickle.h"

namespace halftone {

// Elements that lie together somewhere in the file around the pickle.
struct TorchStorage {
  absl::string_view key;
  ElementType type = ElementType::kU8;  // a tensor's own may differ
  uint64_t bytes = 0;                   // of the whole storage
  // The part that is meant: all of it, but for views in files before PyTorch 1.6.
  uint64_t begin = 0, end = 0;
};

struct TorchTensor {
  std::string name;
  ElementType type = ElementType::kF32;
  std::vector<int64_t> dims, strides;  // strides in elements, >= 0
  uint64_t bytes = 0;                  // of its elements, once read
  uint64_t offset = 0;                 // bytes, from the storage's `begin`
  TorchStorage storage;
};

// A tensor's name is its path from the pickle's root: keys, indices of lists and tuples, and attributes of
// objects, joined by dots. An nn.Module's _parameters, _buffers and _modules are left out of it, so that a
// pickled module's tensors are named as by its state_dict(). A tensor at the root is named `lone`. One that
// can be reached by several paths is listed with each, but a value that lies in itself is not entered again.
// Of classes and functions nothing is looked up: those that make no tensor are passed over.
//
// Every tensor lies within the storage that it names. Errors, of one line that begins with `who`: DataLoss;
// Unimplemented (other element types; quantised, sparse, nested tensors; two tensors of one name; so many
// ways from value to value that there is no end in sight).
absl::StatusOr<std::vector<TorchTensor>> ListTorchTensors(absl::string_view who, const Pickle& pickle,
                                                          absl::string_view lone);

// The storage that a persistent id stands for; in old files some stand for source code.
bool IsTorchStorage(const Pickle& pickle, PickleRef id);
absl::StatusOr<TorchStorage> TorchStorageOf(absl::string_view who, const Pickle& pickle, PickleRef id);

}  // namespace halftone

#endif  // HALFTONE_IO_PYTORCH_PYTORCH_TENSORS_H_
