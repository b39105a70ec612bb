// What a sweep leaves behind in its folder, for those who write it and those who read it (docs/sweep.md).
#ifndef HALFTONE_TOOLS_RESULTS_FILES_H_
#define HALFTONE_TOOLS_RESULTS_FILES_H_

namespace halftone {

inline constexpr char kResultsFile[] = "final_results.csv";
inline constexpr char kDetailsFile[] = "run_details.csv";
inline constexpr char kSweepConfigFile[] = "sweep.textproto";
inline constexpr char kResultsHeader[] =
    "model,activation,dataset,precision,epoch,train_acc,train_loss,test_acc,test_loss,time,memory,"
    "estimated_memory";
inline constexpr char kDetailsHeader[] =
    "model,activation,dataset,precision,epoch,seed,loss_scale,overflow_rate,weight_bits,activation_bits,"
    "emulated,status,reason,threads,hardware,version,run";
// The status of an epoch that is well, and so has a row in kResultsFile.
inline constexpr char kStatusOk[] = "ok";

}  // namespace halftone

#endif  // HALFTONE_TOOLS_RESULTS_FILES_H_
