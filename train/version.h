#ifndef HALFTONE_TRAIN_VERSION_H_
#define HALFTONE_TRAIN_VERSION_H_

namespace halftone {

inline constexpr char kVersion[] = "0.2.0-dev";

}  // namespace halftone

#endif  // HALFTONE_TRAIN_VERSION_H_
