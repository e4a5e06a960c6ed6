#pragma once

// A folder of tensor contents. A TensorDump owns its two files. Any thread may record.
// Errors: create() returns a Result (cannot_write, bad_argument for a folder that holds a dump); a write that
// fails later never fails a run and is told by close().

#include <cstdint>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "troupe/actors/trace.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::actors {

/// Writes the elements of tensors before and after each kernel into a folder:
///
/// - `tensors.jsonl`: a first line {"troupe_dump":1}, then one line per tensor: task, name, chip, stage
///   (before | after), role (in | out | inout | out_existing | no_dep), argument, dtype, shape, offset and
///   bytes in the other file, truncated.
/// - `tensors.bin`: the elements, dense, row-major, in the machine's byte order.
///
/// Each line is written whole, so that the dump of a run that crashed can be read. Any thread may record.
/// Past `max_bytes` of elements only the lines go on (bytes 0, truncated true).
class TROUPE_API TensorDump {
 public:
  /// Makes the folder when it is missing; refuses one that holds a dump already. `names`: only kernels whose
  /// name fits this pattern, in which * and ? stand for anything; empty: all.
  [[nodiscard]] static Result<std::unique_ptr<TensorDump>> create(const std::string& folder,
                                                                  std::uint64_t max_bytes = std::uint64_t{1}
                                                                                            << 30,
                                                                  std::string names = {});

  /// `parent` is the task that the device was given (`chip_task` of it and the record's number is written).
  void record(std::string_view chip, TaskId parent, const troupe_dump_record& record);

  /// The first write that failed, or nothing. Asked at the end: a dump never fails a run.
  [[nodiscard]] Result<void> close();

 private:
  TensorDump(std::string folder, std::uint64_t max_bytes, std::string names);

  const std::string folder_;
  const std::uint64_t max_bytes_;
  const std::string names_;
  std::mutex mutex_;  // guards everything below
  std::ofstream lines_, elements_;
  std::uint64_t written_ = 0;
  int problem_ = 0;  ///< errno of the first write that failed
};

}  // namespace troupe::actors
